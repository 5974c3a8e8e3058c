"""The text of a DSN is taken apart as libpq takes it apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.dsn.conninfo import NotADsn, parameters_in
from tests.unit.dsn import libpq

URIS = [
    "postgresql://",
    "postgres://u@h",
    "postgresql://h",
    "postgresql:///",
    "postgresql://@h/",
    "postgresql://u:@h",
    "postgresql://:p@h",
    "postgresql://u:p@h:1/d",
    "postgresql://h:/d",
    "postgresql://:5/d",
    "postgresql://h:1:2/d",
    "postgresql://h/a/b",
    "postgresql://h//d",
    "postgresql://h/d#fragment",
    "postgresql://u:p@h:1,h2:2/d?connect_timeout=3&sslmode=prefer",
    "postgresql://h1,h2:5/d",
    "postgresql://h1:5,h2/d",
    "postgresql://[::1]:5/d",
    "postgresql://[::1],[::2]:6/d",
    "postgresql://[::1/d",
    "postgresql://[]/d",
    "postgresql://[::1]x/d",
    "postgresql://%2Ftmp/d",
    "postgresql:///d?host=/tmp&port=5",
    "postgresql://u%40x:p%2F%25@h/d%20e",
    "postgresql://user%3Apassword@h",
    "postgresql://u:p@ss@h/d",
    "postgresql://u:p?w@h/d",
    "postgresql://u:p/x@h/d",
    "postgresql://h?user=a&user=b",
    "postgresql://u@h?user=b",
    "postgresql://h?user=x@y",
    "postgresql://h?dbname=a/b&user=x?y",
    "postgresql://h/d?ssl=true",
    "postgresql://h?",
    "postgresql://h?&",
    "postgresql://h?user=a&",
    "postgresql://h?user=a&&",
    "postgresql://h?&user=a",
    "postgresql://h/?a",
    "postgresql://h?=x",
    "postgresql://h/?host=a=b",
    "postgresql://h/%zz",
    "postgresql://h/%00",
    "postgresql://h/%",
    "postgresql://h/d?user=a b",
    "postgresql://h?user= a ",
    "postgresql:// h /d",
    "postgresql://u@h?options=-c%20a%3Db",
    "postgresql:x",
    "postgres:/x",
    "http://h",
    "mysql://u:p@h/d",
]
KEYWORDS = [
    "",
    "  ",
    "host=a port=5",
    "host = a  port =5",
    "host=a\tuser=b\n",
    "host='a b' user=c",
    "host='a\\'b'",
    "host=a'b'",
    "password='it''s'",
    "password=a\\ b",
    "user=a\\",
    "password='x",
    "host",
    "host=",
    "host= user=b",
    "host=a user",
    "dbname='' user=x",
    "host=a,b port=1,2",
    "host=a host=b",
    "=a",
    "host==a",
]


def read(dsn: str) -> dict[str, str] | None:
    """What a DSN says, or None if it is refused."""
    try:
        return parameters_in(dsn)
    except NotADsn:
        return None


@pytest.mark.parametrize("dsn", [*URIS, *KEYWORDS])
def test_a_dsn_says_what_it_says_to_libpq(dsn: str) -> None:
    assert read(dsn) == libpq.parsed(dsn)


plain = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=8)


@given(st.dictionaries(st.sampled_from(["user", "password", "dbname", "host"]), plain))
def test_what_is_quoted_is_read_as_it_was(parameters: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    dsn = " ".join(f"{keyword}={quoted(value)}" for keyword, value in parameters.items())
    assert read(dsn) == parameters == libpq.parsed(dsn)


@given(st.text(st.sampled_from("u:p@h,/?=&%4[] .'\\"), max_size=12))
def test_whatever_follows_the_scheme_says_what_it_says_to_libpq(text: str) -> None:
    dsn = f"postgresql://{text}"
    known = libpq.parsed(dsn)
    # libpq also refuses keywords that it does not know; the module parameters does that here.
    found = read(dsn)
    if known is not None or found is None or set(found) <= set(libpq.variables()):
        assert found == known


@given(st.text(st.sampled_from("hostuer=' \\pw"), max_size=12))
def test_whatever_is_after_a_keyword_says_what_it_says_to_libpq(text: str) -> None:
    dsn = f"user={text}"
    known, found = libpq.parsed(dsn), read(dsn)
    if known is not None or found is None or set(found) <= set(libpq.variables()):
        assert found == known


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:s3cr%t@h/d",
        "postgresql://u:s3cr et@h/d",
        "host=h password=s3cr et",
        "host=h password='s3cret",
        "host=h password=x s3cr-t=1 y",
        "postgresql://u:p@h/d?password=s3cr%t",
    ],
)
def test_what_is_wrong_is_told_without_a_part_of_the_password(dsn: str) -> None:
    with pytest.raises(NotADsn) as refused:
        parameters_in(dsn)
    assert "s3cr" not in str(refused.value)
