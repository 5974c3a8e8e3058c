"""A server may open as many files and connections as the system lets it."""

import resource
from collections.abc import Iterator

import pytest

from server.process.resources import ENOUGH_DESCRIPTORS, allow_as_many_as_may_be


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield soft, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_is_raised_as_far_as_it_may_be(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
    raised = allow_as_many_as_may_be()
    assert raised == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert raised == min(limits[1], 2**20)


def test_a_limit_that_is_low_all_the_same_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (100, 200))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: None)
    assert allow_as_many_as_may_be() == 200
    assert f"may open 200 files and connections; it should be {ENOUGH_DESCRIPTORS}" in caplog.text
