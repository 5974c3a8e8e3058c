"""The error tree: as it is drawn, and with words of its own for every leaf."""

import inspect
import re
from collections.abc import Iterator

import pytest

from domain import errors
from domain.errors import FeatomError, InvalidValue, LimitExceeded, Unavailable

DRAWN = re.compile(r"    (?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:  .*)?")


def drawn_tree() -> dict[str, str | None]:
    """Each class of the drawing with the class that it hangs on."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for drawn in filter(None, map(DRAWN.fullmatch, (errors.__doc__ or "").splitlines())):
        del path[len(drawn["lines"]) // 4 :]
        parents[drawn["name"]] = path[-1] if path else None
        path.append(drawn["name"])
    return parents


def real_tree() -> dict[str, str | None]:
    classes = [
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, FeatomError) and member.__module__ == errors.__name__
    ]
    return {
        each.__name__: None if each is FeatomError else each.__bases__[0].__name__
        for each in classes
    }


def classes_below(error: type[FeatomError]) -> Iterator[type[FeatomError]]:
    for below in error.__subclasses__():
        yield below
        yield from classes_below(below)


ALL = [FeatomError, *classes_below(FeatomError)]
WITHOUT_ARGUMENTS = [
    error
    for error in ALL
    if set(inspect.getfullargspec(error).args) <= {"self", "message", "retry_after"}
]


def test_the_tree_is_as_it_is_drawn() -> None:
    assert drawn_tree() == real_tree()


def test_all_errors_stand_in_one_file() -> None:
    assert {error.__module__ for error in ALL} == {errors.__name__}


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_says_in_its_docstring_what_happened(error: type[FeatomError]) -> None:
    message = (error.__doc__ or "").partition("\n")[0]
    assert re.fullmatch(r"[A-Z].{10,}\.", message)


@pytest.mark.parametrize("error", WITHOUT_ARGUMENTS, ids=lambda error: error.__name__)
def test_the_docstring_is_the_message_where_no_better_one_is_given(
    error: type[FeatomError],
) -> None:
    assert str(error()) == (error.__doc__ or "").partition("\n")[0]
    assert str(error("a better one")) == "a better one"


@pytest.mark.parametrize(
    "error", list(classes_below(Unavailable)), ids=lambda error: error.__name__
)
def test_whatever_is_unavailable_says_when_to_try_again(error: type[Unavailable]) -> None:
    assert 0 < error().retry_after <= 10


def test_the_message_of_an_invalid_value_names_every_violation() -> None:
    error = InvalidValue(
        [errors.FieldViolation("a", "is bad"), errors.FieldViolation("b", "is worse")]
    )
    assert str(error) == "The request is not valid: a: is bad; b: is worse."


def test_the_message_of_a_limit_names_what_and_how_much() -> None:
    assert str(LimitExceeded("keys", 1_000)) == "At most 1,000 keys are allowed."
    assert str(LimitExceeded("keys", 1_000, 1_001)) == (
        "At most 1,000 keys are allowed, this would be 1,001."
    )
