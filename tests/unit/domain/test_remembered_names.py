"""Names that callers make up are remembered only if they are short: what is remembered stays."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from domain.entity_key import EntityKey, entity_type_problem, key_violations
from domain.operations import Remove
from domain.update import FeatureUpdate, Update, feature_name_problem, update_violations

NAMES = 200
LONG = 100_000


def of_an_update(name: str) -> object:
    update = Update(key=EntityKey("card", "1"), updates=(FeatureUpdate(name, Remove()),))
    return update_violations(update)


def of_a_key(name: str) -> object:
    return key_violations(EntityKey(name, "1"))


@pytest.mark.parametrize(
    "ask",
    [feature_name_problem, entity_type_problem, of_an_update, of_a_key],
    ids=lambda ask: ask.__name__,
)
def test_long_names_do_not_stay_in_memory(ask: Callable[[str], object]) -> None:
    tracemalloc.start()
    try:
        for number in range(NAMES):
            assert ask(f"{ask.__name__}{number}".ljust(LONG, "x"))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < LONG


@pytest.mark.parametrize(("length", "is_right"), [(128, True), (129, False)])
def test_a_feature_name_is_as_long_as_it_may_be(length: int, is_right: bool) -> None:
    assert (feature_name_problem("x" * length) is None) is is_right


@pytest.mark.parametrize(("length", "is_right"), [(63, True), (64, False)])
def test_an_entity_type_is_as_long_as_it_may_be(length: int, is_right: bool) -> None:
    assert (entity_type_problem("x" * length) is None) is is_right
