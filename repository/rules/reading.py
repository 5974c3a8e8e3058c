"""What an expression reads, and which macros it uses: found without evaluating it.

Works on tokens, and errs on the side of more: what is not plainly `features.x` or `features["x"]`
counts as all features.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

MACROS: Final = frozenset({"all", "exists", "exists_one"})
REFUSED_MACROS: Final = frozenset({"map", "filter"})

_TOKEN: Final = re.compile(
    r"""
    (?P<skip>\s+|//[^\n]*)
    | (?P<string>[bBrR]{0,2}(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}
        |\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<sign>[\s\S])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of an expression."""

    sort: str
    text: str


class PlacedToken(NamedTuple):
    """A piece of an expression, and where it stands."""

    sort: str
    text: str
    start: int
    end: int


class Sample(NamedTuple):
    """What an expression reads."""

    features: frozenset[str] | None
    """None: any."""
    previous: frozenset[str] | None
    in_macros: frozenset[str] | None
    """Of both, what is read for each element again."""
    variables: frozenset[str]
    """Which of the variables it names at all."""
    reads: int
    """How often it names features or previous."""
    has_macros: bool
    macro_tokens: int
    """How long its macros are, all together."""
    macro_reads: int
    """How often they name features or previous."""
    regexes: int
    """How often it matches with a regular expression."""
    has_sums: bool
    """Whether it adds anything up: texts and lists are copied each time."""
    has_searches: bool
    """Whether it looks for one value in another, which may take the product of their sizes."""


def read_expression(expression: str) -> Sample:
    tokens = list(_tokens(expression))
    bodies = _macro_bodies(tokens)
    inner: set[str | None] = set()
    for start, end in bodies:
        inner |= _names(tokens, "features", start, end) | _names(tokens, "previous", start, end)
    whole = len(tokens)
    reads = [token in (("name", "features"), ("name", "previous")) for token in tokens]
    return Sample(
        features=_some_or_any(_names(tokens, "features", 0, whole)),
        previous=_some_or_any(_names(tokens, "previous", 0, whole)),
        in_macros=_some_or_any(inner),
        variables=frozenset(token.text for token in tokens if token.sort == "name"),
        reads=sum(reads),
        has_macros=bool(bodies),
        macro_tokens=sum(end - start for start, end in bodies),
        macro_reads=sum(sum(reads[start:end]) for start, end in bodies),
        regexes=len(_arguments(tokens, "matches")),
        has_sums=("sign", "+") in tokens,
        has_searches=any(argument is None for argument in _arguments(tokens, "contains")),
    )


def regex_literals(expression: str) -> list[str | None]:
    """The regular expressions that it matches with, as they stand there; None: worked out."""
    return _arguments(list(_tokens(expression)), "matches")


def macro_problem(expression: str) -> str | None:
    """What is wrong with the macros of an expression, or None."""
    tokens = list(_tokens(expression))
    for index in range(len(tokens)):
        name = _macro_at(tokens, index, MACROS | REFUSED_MACROS)
        if name in REFUSED_MACROS:
            return f"{name} takes too long for a rule: use all, exists or exists_one"
    bodies = _macro_bodies(tokens)
    for start, end in bodies:
        if any(start < other < end for other, _ in bodies):
            return "a macro in a macro takes too long for a rule"
    return None


def placed_tokens(expression: str) -> list[PlacedToken]:
    """What an expression is made of, without spaces and comments."""
    return [
        PlacedToken(str(match.lastgroup), match[0], *match.span())
        for match in _TOKEN.finditer(expression)
        if match.lastgroup != "skip"
    ]


def _tokens(expression: str) -> Iterator[Token]:
    for sort, text, _, _ in placed_tokens(expression):
        yield Token(sort, text)


def _names(tokens: Sequence[Token], variable: str, start: int, end: int) -> set[str | None]:
    """The features that are read of a variable; None among them: any."""
    names: set[str | None] = set()
    for index in range(start, end):
        if tokens[index] == ("name", variable):
            names.add(_selected(tokens, index))
    return names


def _selected(tokens: Sequence[Token], index: int) -> str | None:
    texts = [token.text for token in tokens[index + 1 : index + 4]]
    if len(texts) >= 2 and texts[0] == "." and tokens[index + 2].sort == "name":
        # A macro or a function over the whole map, or a feature.
        return None if texts[2:] == ["("] else texts[1]
    if len(texts) == 3 and texts[0] == "[" and texts[2] == "]":
        quoted = texts[1]
        if tokens[index + 2].sort == "string" and quoted[0] == quoted[-1] and "\\" not in quoted:
            return quoted[1:-1] if quoted[1:2] != quoted[0] else None
    return None


def _macro_bodies(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """From where to where the arguments of each macro go."""
    return [
        (index + 3, _closing(tokens, index + 3))
        for index in range(len(tokens))
        if _macro_at(tokens, index, MACROS | REFUSED_MACROS)
    ]


def _arguments(tokens: Sequence[Token], function: str) -> list[str | None]:
    """The last argument of each call of a function, where it is a literal text."""
    arguments: list[str | None] = []
    for index in range(len(tokens) - 1):
        if tokens[index] == ("name", function) and tokens[index + 1] == ("sign", "("):
            end = _closing(tokens, index + 2)
            before, last = tokens[end - 2], tokens[end - 1]
            alone = last.sort == "string" and before.text in ("(", ",")
            arguments.append(last.text if alone else None)
    return arguments


def _macro_at(tokens: Sequence[Token], index: int, names: frozenset[str]) -> str | None:
    texts = [token.text for token in tokens[index : index + 3]]
    if len(texts) == 3 and texts[0] == "." and texts[1] in names and texts[2] == "(":
        return texts[1]
    return None


def _closing(tokens: Sequence[Token], start: int) -> int:
    depth = 1
    for index in range(start, len(tokens)):
        if tokens[index].sort == "sign":
            depth += (tokens[index].text in "([{") - (tokens[index].text in ")]}")
        if depth == 0:
            return index
    return len(tokens)


def _some_or_any(names: set[str | None]) -> frozenset[str] | None:
    return None if None in names else frozenset(name for name in names if name is not None)
