#!/usr/bin/env bash
# Makes the schemas of this folder anew, from the packages that package.json names. Needs Node 20 and npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
cp kinds.ts make.mjs package.json tsconfig.json "$work"
npm install --prefix "$work" --ignore-scripts --no-audit --no-fund --no-package-lock --silent
node "$work/make.mjs" "$PWD"
cp "$work/node_modules/@kubernetes-models/cloudnative-pg/LICENSE" LICENSE
