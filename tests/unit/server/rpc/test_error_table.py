"""The one table from domain errors to what callers see."""

from collections.abc import Iterator
from typing import Final, TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from domain.errors import (
    AggregateExists,
    AggregateNotFound,
    AuthenticationUnavailable,
    CommitUnknown,
    Contended,
    Corrupted,
    DatabaseUnavailable,
    Draining,
    EntityTypeInUse,
    EntityTypeNotFound,
    FeatomError,
    FieldViolation,
    IncompatibleChange,
    InvalidValue,
    LateValue,
    LimitExceeded,
    MessageTooLarge,
    Overloaded,
    PermissionDenied,
    RateExceeded,
    RequestIdReused,
    RuleViolated,
    RuleViolation,
    ServiceNotFound,
    StaleEtag,
    Unauthenticated,
    Unavailable,
)
from server.rpc.errors import INTERNAL_MESSAGE, MEANINGS, to_status

Detail = TypeVar("Detail", bound=Message)

EXAMPLES: Final[dict[type[FeatomError], tuple[FeatomError, StatusCode, str]]] = {
    type(error): (error, code, reason)
    for error, code, reason in (
        (
            InvalidValue([FieldViolation("a", "is bad"), FieldViolation("b", "is worse")]),
            StatusCode.INVALID_ARGUMENT,
            "INVALID_VALUE",
        ),
        (
            RuleViolated([RuleViolation("RANGE", "age", "is 7"), RuleViolation("RULE", "r", "x")]),
            StatusCode.FAILED_PRECONDITION,
            "RULE_VIOLATED",
        ),
        (StaleEtag(7), StatusCode.ABORTED, "ETAG_MISMATCH"),
        (AggregateExists(7), StatusCode.ALREADY_EXISTS, "AGGREGATE_EXISTS"),
        (AggregateNotFound(), StatusCode.NOT_FOUND, "AGGREGATE_NOT_FOUND"),
        (ServiceNotFound(), StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND"),
        (EntityTypeNotFound(), StatusCode.NOT_FOUND, "ENTITY_TYPE_NOT_FOUND"),
        (RequestIdReused(), StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
        (
            IncompatibleChange(3, [RuleViolation("INCOMPATIBLE", "rules.r", "new")]),
            StatusCode.FAILED_PRECONDITION,
            "INCOMPATIBLE_CHANGE",
        ),
        (EntityTypeInUse(), StatusCode.FAILED_PRECONDITION, "ENTITY_TYPE_IN_USE"),
        (LateValue(["a", "b"]), StatusCode.FAILED_PRECONDITION, "LATE_VALUE"),
        (Contended(), StatusCode.UNAVAILABLE, "CONTENDED"),
        (Overloaded(), StatusCode.UNAVAILABLE, "OVERLOADED"),
        (Draining(), StatusCode.UNAVAILABLE, "DRAINING"),
        (
            DatabaseUnavailable("its disk is full", "53100"),
            StatusCode.UNAVAILABLE,
            "DATABASE_UNAVAILABLE",
        ),
        (CommitUnknown(), StatusCode.UNAVAILABLE, "COMMIT_UNKNOWN"),
        (AuthenticationUnavailable(), StatusCode.UNAVAILABLE, "AUTHENTICATION_UNAVAILABLE"),
        (RateExceeded(10, 0.5), StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
        (LimitExceeded("keys", 10, 11), StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED"),
        (MessageTooLarge("bytes", 10, 11), StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
        (Unauthenticated(), StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (
            PermissionDenied(["write card", "read shop"]),
            StatusCode.PERMISSION_DENIED,
            "PERMISSION_DENIED",
        ),
        (Corrupted("secret bytes", "23514"), StatusCode.INTERNAL, "INTERNAL"),
    )
}
"""An error of each sort, with the code and the reason that the contract gives it."""

each_example = pytest.mark.parametrize(
    "example", EXAMPLES.values(), ids=lambda e: type(e[0]).__name__
)


def leaves(error: type[FeatomError]) -> Iterator[type[FeatomError]]:
    below = error.__subclasses__()
    if not below:
        yield error
    for each in below:
        yield from leaves(each)


def detail(status: Status, kind: type[Detail]) -> Detail | None:
    """The detail of this kind, if there is exactly one."""
    unpacked = [kind() for _ in status.details]
    found = [
        each for each, packed in zip(unpacked, status.details, strict=True) if packed.Unpack(each)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def info(status: Status) -> ErrorInfo:
    found = detail(status, ErrorInfo)
    assert found is not None
    return found


@pytest.mark.parametrize("error", list(leaves(FeatomError)), ids=lambda error: error.__name__)
def test_every_domain_error_has_a_status_and_a_reason(error: type[FeatomError]) -> None:
    assert error in MEANINGS
    assert error in EXAMPLES


def test_nothing_stands_in_the_table_that_the_contract_does_not_know() -> None:
    assert MEANINGS.keys() == EXAMPLES.keys()


@each_example
def test_an_error_has_the_code_and_the_reason_of_the_contract(
    example: tuple[FeatomError, StatusCode, str],
) -> None:
    error, code, reason = example
    answered, status = to_status(error, "id-1")
    assert answered is code
    assert status.code == code.value[0]
    assert info(status).reason == reason
    assert info(status).domain == "featom.dev"


@each_example
def test_the_message_is_that_of_the_error_unless_it_is_internal(
    example: tuple[FeatomError, StatusCode, str],
) -> None:
    error, code, _ = example
    _, status = to_status(error, "id-1")
    internal = code is StatusCode.INTERNAL
    assert status.message == (INTERNAL_MESSAGE if internal else str(error))


@each_example
def test_retry_info_comes_where_another_try_makes_sense_and_nowhere_else(
    example: tuple[FeatomError, StatusCode, str],
) -> None:
    error, code, _ = example
    _, status = to_status(error, "id-1")
    retry = detail(status, RetryInfo)
    assert (retry is not None) == isinstance(error, Unavailable | RateExceeded)
    assert (retry is not None) or code is not StatusCode.UNAVAILABLE
    if retry is not None:
        assert isinstance(error, Unavailable | RateExceeded)
        assert retry.retry_delay.ToTimedelta().total_seconds() == error.retry_after > 0


def test_late_values_are_violations_too() -> None:
    error, *_ = EXAMPLES[LateValue]
    _, status = to_status(error, "id-1")
    failure = detail(status, PreconditionFailure)
    assert failure is not None
    named = [(violation.type, violation.subject) for violation in failure.violations]
    assert named == [("LATE_VALUE", "a"), ("LATE_VALUE", "b")]


def test_an_invalid_value_names_every_field() -> None:
    error, *_ = EXAMPLES[InvalidValue]
    _, status = to_status(error, "id-1")
    assert detail(status, BadRequest) == BadRequest(
        field_violations=[
            BadRequest.FieldViolation(field="a", description="is bad"),
            BadRequest.FieldViolation(field="b", description="is worse"),
        ]
    )
    assert info(status).metadata["violations"] == "2"


def test_a_violated_rule_is_named_with_its_type_and_subject() -> None:
    error, *_ = EXAMPLES[RuleViolated]
    _, status = to_status(error, "id-1")
    assert detail(status, PreconditionFailure) == PreconditionFailure(
        violations=[
            PreconditionFailure.Violation(type="RANGE", subject="age", description="is 7"),
            PreconditionFailure.Violation(type="RULE", subject="r", description="x"),
        ]
    )


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (StaleEtag, "current_version", "7"),
        (AggregateExists, "current_version", "7"),
        (LimitExceeded, "limit", "10"),
        (LimitExceeded, "subject", "keys"),
        (MessageTooLarge, "limit", "10"),
        (LateValue, "features", "a,b"),
        (LateValue, "violations", "2"),
        (PermissionDenied, "refused", "write card,read shop"),
        (IncompatibleChange, "violating_aggregates", "3"),
        (RuleViolated, "violations", "2"),
        (Corrupted, "request_id", "id-1"),
    ],
)
def test_the_metadata_says_what_a_program_needs(
    error: type[FeatomError], name: str, value: str
) -> None:
    _, status = to_status(EXAMPLES[error][0], "id-1")
    assert info(status).metadata[name] == value


@pytest.mark.parametrize("error", [RuntimeError("secret"), Corrupted("secret"), KeyError("secret")])
def test_the_cause_of_an_internal_error_is_never_sent(error: Exception) -> None:
    code, status = to_status(error, "id-1")
    assert code is StatusCode.INTERNAL
    assert status.message == INTERNAL_MESSAGE
    assert b"secret" not in status.SerializeToString()
    assert dict(info(status).metadata) == {"request_id": "id-1"}


def test_an_error_nobody_gave_a_meaning_is_internal() -> None:
    code, status = to_status(FeatomError("secret"), "id-1")
    assert code is StatusCode.INTERNAL
    assert b"secret" not in status.SerializeToString()


@pytest.mark.parametrize("text", ["x", "%", "ä", "😀", "\n"], ids=ascii)
def test_whatever_is_said_fits_into_what_clients_accept(text: str) -> None:
    """8 KiB of trailing metadata in all; binary metadata travels in base64."""
    violations = [FieldViolation(f"updates[{n}].set", text * 50 * n) for n in range(1_000)]
    for error in (
        InvalidValue(violations),
        InvalidValue(violations[::-1]),
        Overloaded(text * 9_999),
    ):
        _, status = to_status(error, "i" * 128)
        in_base64 = 4 * (status.ByteSize() + 2) // 3
        percent_encoded = sum(
            1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode())
            for character in status.message
        )
        assert in_base64 + percent_encoded + 500 < 8_192


def test_what_does_not_fit_is_counted_and_the_first_are_named() -> None:
    violations = [FieldViolation(f"updates[{n}].set", "must be finite") for n in range(1_000)]
    _, status = to_status(InvalidValue(violations), "id-1")
    assert info(status).metadata["violations"] == "1000"
    bad_request = detail(status, BadRequest)
    assert bad_request is not None
    named = [violation.field for violation in bad_request.field_violations]
    assert len(named) >= 50
    assert named == [violation.field for violation in violations[: len(named)]]
    assert status.message.endswith("…")


def test_a_violation_of_many_words_does_not_hide_the_others() -> None:
    violations = [FieldViolation("a", "ü" * 100_000), FieldViolation("b", "is bad")]
    _, status = to_status(InvalidValue(violations), "id-1")
    bad_request = detail(status, BadRequest)
    assert bad_request is not None
    long, short = bad_request.field_violations
    assert (long.field, short.field, short.description) == ("a", "b", "is bad")
    assert long.description.startswith("üüü")
    assert long.description.endswith("…")
