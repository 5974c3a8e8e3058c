// Writes a schema of each kind to a folder: fields and types as TypeScript has them, and what more the
// validators of the packages ask of a value. Those are code, so they are asked: with values that no
// field takes, to which they answer what they would take.
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createGenerator } from "ts-json-schema-generator";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
const CNPG = "cloudnative-pg/_schemas/ComGithubCloudnativePgCloudnativePgApiV1";
const PROMETHEUS =
  "prometheus-operator/_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1";
const VALIDATORS = { Cluster: CNPG, PrometheusRule: PROMETHEUS, ServiceMonitor: PROMETHEUS };

const WRONG = { string: ["\0", ""], number: [0.5, -1e18, 1e18], array: [[]] };
const NARROWER = {
  enum: ({ params }) => ({ enum: params.allowedValues }),
  pattern: ({ params }) => ({ pattern: params.pattern }),
  type: ({ params }) => (params.type === "integer" ? { type: "integer" } : {}),
  ...Object.fromEntries(
    ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"].map((keyword) => [
      keyword,
      ({ params }) => ({ [keyword]: params.limit }),
    ]),
  ),
};

// An object with nothing but this value, at this place.
function only(path, value) {
  return path.reduceRight((inner, step) => (step === 0 ? [inner] : { [step]: inner }), value);
}

function narrow(schema, path, validate) {
  const place = path.map((step) => `/${step}`).join("");
  for (const wrong of WRONG[schema.type] ?? []) {
    validate(only(path, wrong));
    for (const error of validate.errors ?? []) {
      if (error.instancePath === place) Object.assign(schema, NARROWER[error.keyword]?.(error));
    }
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    narrow(inner, [...path, name], validate);
  }
  if (schema.items) narrow(schema.items, [...path, 0], validate);
  if (schema.additionalProperties) narrow(schema.additionalProperties, [...path, "x"], validate);
}

for (const [kind, prefix] of Object.entries(VALIDATORS)) {
  // A type that names its fields takes no others. Comments would make the files five times as large.
  const schema = createGenerator({
    path: join(here, "kinds.ts"),
    tsconfig: join(here, "tsconfig.json"),
    jsDoc: "none",
    expose: "none",
    topRef: false,
  }).createSchema(kind);
  const { validate } = await import(join(here, `node_modules/@kubernetes-models/${prefix}${kind}.js`));
  narrow(schema, [], validate);
  writeFileSync(join(out, `${kind}.json`), `${JSON.stringify(schema, null, 1)}\n`);
}
