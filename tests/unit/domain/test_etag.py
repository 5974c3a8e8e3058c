"""Etags: opaque outside, exact inside."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.etag import ETAG_LENGTH, Etag, parse_etag
from tests.kit.samples import UID

ETAGS = st.builds(Etag, st.uuids(), st.integers(0, 2**32 - 1), st.integers(0, 2**63 - 1))
TOKEN = str(Etag(UID, 1, 7))


@given(ETAGS)
def test_an_etag_comes_back_from_its_token(etag: Etag) -> None:
    token = str(etag)
    assert parse_etag(token) == etag
    assert len(token) == ETAG_LENGTH
    assert token.isascii()


@given(ETAGS)
def test_a_token_is_quoted_and_can_stand_in_a_header(etag: Etag) -> None:
    token = str(etag)
    assert token[0] == token[-1] == '"'
    assert set(token[1:-1]) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@given(ETAGS, ETAGS)
def test_different_etags_have_different_tokens(one: Etag, other: Etag) -> None:
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize(
    "junk",
    [
        "",
        '"',
        '""',
        "7",
        '"7"',
        TOKEN[1:-1],
        TOKEN + " ",
        " " + TOKEN[1:],
        TOKEN[:-1] + "'",
        "W/" + TOKEN,
        TOKEN[:-2] + '"',
        TOKEN[:-2] + '="',
        TOKEN[:-3] + '=="',
        TOKEN[:5] + "=" * 34 + '"',
        TOKEN[:-2] + 'é"',
        TOKEN[:-2] + '\n"',
        TOKEN[:-2] + '+"',
        TOKEN[:-2] + '/"',
        TOKEN * 2,
        "😀" * ETAG_LENGTH,
        "x" * 1_000_000,
    ],
    ids=lambda junk: junk[:50],
)
def test_junk_is_no_etag(junk: str) -> None:
    with pytest.raises(ValueError, match="not an etag of this store"):
        parse_etag(junk)


@given(st.lists(st.tuples(st.integers(0, ETAG_LENGTH - 1), st.characters()), max_size=4))
def test_a_damaged_token_is_read_or_refused_and_nothing_else(
    damages: list[tuple[int, str]],
) -> None:
    token = list(TOKEN)
    for place, character in damages:
        token[place] = character
    try:
        etag = parse_etag("".join(token))
    except ValueError:
        return
    assert isinstance(etag.uid, UUID)
