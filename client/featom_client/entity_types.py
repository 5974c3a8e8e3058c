"""Entity types: what all aggregates of one type must be like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from featom_client import contract
from featom_client.calls import Call
from featom_client.errors import Violation, invalid_request
from featom_client.values import Value, decode, encode

KINDS: Final = (
    *("unspecified", "bool", "int64", "double", "string", "bytes", "timestamp"),
    *("bool_list", "int64_list", "double_list", "string_list", "float_vector"),
)
"""As the enum of the contract numbers them."""
LATE_POLICIES: Final = ("", "keep_newest", "apply", "reject")
ADDITIONAL_FEATURES: Final = ("", "allow", "reject")
_REFUSE: Final[Any] = 1
_ACCEPT_EXISTING: Final[Any] = 2
_PLAIN: Final = (
    *("required", "max_length", "pattern", "dimension", "allow_non_finite", "description"),
)
_VALUES: Final = ("default_value", "minimum", "maximum")
_PAGE: Final = 500


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature must be like; docs/rules.md explains each field."""

    type: str
    """One of KINDS, such as "int64"."""
    required: bool = False
    default_value: Value = None
    minimum: Value = None
    maximum: Value = None
    allowed_values: Sequence[Value] = ()
    max_length: int = 0
    pattern: str = ""
    dimension: int = 0
    allow_non_finite: bool = False
    late_policy: str = ""
    """"keep_newest", "apply" or "reject"; empty: keep_newest."""
    ttl: timedelta | None = None
    description: str = ""


@dataclass(frozen=True)
class Rule:
    """What must hold between features: a CEL expression, and what is wrong if it is not true."""

    name: str
    expression: str
    message: str


@dataclass(frozen=True)
class EntityType:
    """What all aggregates of one type must be like."""

    name: str
    features: Mapping[str, FeatureSpec] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    additional_features: str = ""
    """"allow" or "reject"; empty: allow."""
    etag: str = ""
    """If it is set when the type is applied, it must be that of the current revision."""
    revision: int = 0
    """Set by the server."""


@dataclass(frozen=True)
class Applied:
    """The outcome of an apply."""

    entity_type: EntityType
    differences: tuple[str, ...]
    """What was changed, as `path: before -> after`; empty if nothing."""
    violating_aggregates: int
    """How many stored aggregates break it."""


def apply(entity_type: EntityType, validate_only: bool, accept_existing: bool) -> Call[Applied]:
    request = contract.ApplyEntityTypeRequest(
        entity_type=to_message(entity_type),
        validate_only=validate_only,
        incompatible_change=_ACCEPT_EXISTING if accept_existing else _REFUSE,
    )
    # Applied twice it changes nothing; on condition of an etag the second one would be refused.
    return Call(
        contract.ENTITY_TYPES + "ApplyEntityType",
        request,
        _applied,
        repeatable=not entity_type.etag,
    )


def _applied(answer: Any) -> Applied:
    differences = (f"{each.path}: {each.before} -> {each.after}" for each in answer.differences)
    return Applied(
        from_message(answer.entity_type), tuple(differences), answer.violating_aggregates
    )


def get(name: str, revision: int) -> Call[EntityType]:
    request = contract.GetEntityTypeRequest(name=name, revision=revision)
    return Call(
        contract.ENTITY_TYPES + "GetEntityType",
        request,
        lambda answer: from_message(answer.entity_type),
    )


def list_page(page_token: str) -> Call[tuple[list[EntityType], str]]:
    """One page, and the token of the next; empty if it was the last."""
    request = contract.ListEntityTypesRequest(page_size=_PAGE, page_token=page_token)
    return Call(
        contract.ENTITY_TYPES + "ListEntityTypes",
        request,
        lambda answer: (list(map(from_message, answer.entity_types)), answer.next_page_token),
    )


def delete(name: str, etag: str | None, force: bool) -> Call[None]:
    request = contract.DeleteEntityTypeRequest(name=name, etag=etag or "", force=force)
    return Call(
        contract.ENTITY_TYPES + "DeleteEntityType", request, lambda _: None, repeatable=False
    )


def to_message(entity_type: EntityType) -> contract.EntityType:
    """Raises InvalidRequest, naming all that cannot be sent."""
    problems: list[Violation] = []
    message = contract.EntityType(name=entity_type.name, etag=entity_type.etag)
    message.additional_features = _number(
        ADDITIONAL_FEATURES, entity_type.additional_features, "additional_features", problems
    )
    for rule in entity_type.rules:
        message.rules.add(name=rule.name, expression=rule.expression, message=rule.message)
    for name, spec in entity_type.features.items():
        _write_spec(spec, message.features[name], f"features.{name}", problems)
    if problems:
        raise invalid_request("the entity type cannot be sent", *problems)
    return message


def _write_spec(spec: FeatureSpec, into: Any, path: str, problems: list[Violation]) -> None:
    into.type = _number(KINDS, spec.type, f"{path}.type", problems)
    into.late_policy = _number(LATE_POLICIES, spec.late_policy, f"{path}.late_policy", problems)
    for name in _PLAIN:
        setattr(into, name, getattr(spec, name))
    if spec.ttl is not None:
        into.ttl.FromTimedelta(spec.ttl)
    for name in _VALUES:
        if (value := getattr(spec, name)) is not None:
            _write_value(value, getattr(into, name), f"{path}.{name}", problems)
    for index, value in enumerate(spec.allowed_values):
        place = f"{path}.allowed_values[{index}]"
        _write_value(value, into.allowed_values.add(), place, problems)


def _write_value(value: Value, into: Any, path: str, problems: list[Violation]) -> None:
    try:
        into.CopyFrom(encode(value))
    except (TypeError, ValueError) as error:
        problems.append(Violation(path, str(error)))


def _number(names: Sequence[str], name: str, path: str, problems: list[Violation]) -> Any:
    if name in names:
        return names.index(name)
    listed = ", ".join(each for each in names if each not in {"", "unspecified"})
    problems.append(Violation(path, f"must be one of {listed}, not {name!r}"))
    return 0


def from_message(message: contract.EntityType) -> EntityType:
    return EntityType(
        name=message.name,
        features={name: _read_spec(message.features[name]) for name in sorted(message.features)},
        rules=tuple(Rule(rule.name, rule.expression, rule.message) for rule in message.rules),
        additional_features=ADDITIONAL_FEATURES[message.additional_features],
        etag=message.etag,
        revision=message.revision,
    )


def _read_spec(message: contract.FeatureSpec) -> FeatureSpec:
    values = {name: decode(getattr(message, name)) for name in _VALUES if message.HasField(name)}
    return FeatureSpec(
        type=KINDS[message.type],
        late_policy=LATE_POLICIES[message.late_policy],
        allowed_values=tuple(map(decode, message.allowed_values)),
        ttl=message.ttl.ToTimedelta() if message.HasField("ttl") else None,
        **{name: getattr(message, name) for name in _PLAIN},
        **values,
    )
