"""What is granted is allowed, and nothing else."""

import tracemalloc

import pytest

from server.access.authorization import Grant, Grants
from server.access.permissions import EVERY_TYPE, Need, Permission
from tests.kit.effort import at_once

READ, WRITE, ADMIN = Permission.READ, Permission.WRITE, Permission.ADMIN


def allowed(glob: str, principal: str) -> bool:
    return not Grants([Grant([glob], {READ: ["*"]})]).refused(principal, [Need(READ, "card")])


@pytest.mark.parametrize(
    ("glob", "principal", "expected"),
    [
        ("cn:alice", "cn:alice", True),
        ("cn:alice", "cn:alice2", False),
        ("cn:alice", "cn:Alice", False),
        ("cn:a.b", "cn:axb", False),
        ("jwt:system:serviceaccount:shop:*", "jwt:system:serviceaccount:shop:scorer", True),
        ("jwt:system:serviceaccount:*:scorer", "jwt:system:serviceaccount:shop:scorer", True),
        ("jwt:system:serviceaccount:*:scorer", "jwt:system:serviceaccount:a:b:scorer", False),
        ("jwt:system:serviceaccount:shop:*", "jwt:system:serviceaccount:shop2:scorer", False),
        ("uri:spiffe://prod/*", "uri:spiffe://prod/a", True),
        ("uri:spiffe://prod/*", "uri:spiffe://prod/a/b", False),
        ("uri:spiffe://prod/**", "uri:spiffe://prod/a/b", True),
        ("jwt:*", "cn:alice", False),
        ("**", "cn:alice", True),
        ("cn:alice", "cn:alice\nx", False),
    ],
)
def test_a_star_ends_at_a_colon_or_a_slash_and_two_do_not(
    glob: str, principal: str, expected: bool
) -> None:
    assert allowed(glob, principal) is expected


def test_without_grants_everything_is_refused() -> None:
    needs = [Need(READ, "card"), Need(WRITE, "card")]
    assert Grants().refused("cn:alice", needs) == needs


def test_no_permission_includes_another() -> None:
    for granted in Permission:
        grants = Grants([Grant(["**"], {granted: ["*"]})])
        refused = grants.refused("cn:alice", [Need(each, "card") for each in Permission])
        assert {need.permission for need in refused} == set(Permission) - {granted}


def test_grants_add_up_and_all_that_is_refused_is_named() -> None:
    grants = Grants(
        [
            Grant(["cn:alice"], {READ: ["card", "shop_*"]}),
            Grant(["cn:*"], {WRITE: ["card"]}),
        ]
    )
    needs = [
        Need(READ, "card"),
        Need(READ, "shop_one"),
        Need(WRITE, "card"),
        Need(READ, "customer"),
        Need(WRITE, "shop_one"),
    ]
    assert grants.refused("cn:alice", needs) == needs[3:]
    assert grants.refused("cn:bob", needs) == [needs[0], needs[1], *needs[3:]]


@pytest.mark.parametrize(("glob", "expected"), [("*", True), ("c*", False), ("*d", False)])
def test_every_type_is_allowed_by_a_glob_for_each_of_them_alone(glob: str, expected: bool) -> None:
    grants = Grants([Grant(["**"], {READ: [glob]})])
    assert (not grants.refused("cn:alice", [Need(READ, EVERY_TYPE)])) is expected


def test_of_long_names_neither_time_nor_memory_is_taken() -> None:
    grants = Grants([Grant(["**"], {READ: ["a*b*c*d*e*f"]})])
    with at_once():
        tracemalloc.start()
        for number in range(10):
            name = f"{number}" + "abcde" * 100_000
            assert grants.refused("cn:alice", [Need(READ, name)])
            assert grants.refused("cn:alice", [Need(READ, name[1:])])
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 1_000_000
