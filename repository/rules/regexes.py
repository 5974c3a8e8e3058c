"""What a regular expression costs, found without compiling it.

The runtime compiles a regular expression each time it is asked, so what one costs is what
compiling it costs: about a microsecond for each unit of weight.
"""

import re
from typing import Final

_CLASS: Final = 5
_UNICODE_CLASS: Final = 1_600
"""A class such as `\\p{L}` is hundreds of ranges of bytes."""
_IN_ANY_CASE: Final = 5

_PIECE: Final = re.compile(
    r"""
    (?P<quoted>\\Q[\s\S]*?(?:\\E|$))
    | (?P<unicode>\\[pP](?:\{[^}]*\}|.))
    | (?P<class>\[\^?\]?(?:\[:[^\]]*:\]|\\[\s\S]|[^\]\\])*\]?|\.|\\[dDwWsSC])
    | (?P<open>\((?:\?[^:)<]*(?:<[^>]*>|:)?)?)
    | (?P<close>\))
    | (?P<repeat>\{(?P<low>\d+)(?P<open_end>,(?P<high>\d*))?\}[?+]?)
    | (?P<quantifier>[*+?])
    | (?P<literal>\\x\{[0-9A-Fa-f]*\}|\\[\s\S]|[\s\S])
    """,
    re.VERBOSE,
)


def regex_weight(pattern: str) -> int:
    """What a regular expression in RE2's syntax weighs, its counted repetitions written out."""
    groups = [[0]]
    for piece in _PIECE.finditer(pattern):
        weights = groups[-1]
        match piece.lastgroup:
            case "open":
                groups.append([0])
            case "close" if len(groups) > 1:
                groups[-2].append(sum(groups.pop()))
            case "repeat":
                weights[-1] *= max(1, int(piece["low"][:9]), int((piece["high"] or "0")[:9]))
            case "unicode":
                weights.append(_UNICODE_CLASS)
            case "class":
                inside = len(re.findall(r"\\[pP]", piece[0])) * _UNICODE_CLASS
                weights.append(inside + _CLASS + len(piece[0]) // 4)
            case "literal" | "quoted":
                weights.append(len(piece[0].encode(errors="replace")))
    case = _IN_ANY_CASE if re.search(r"\(\?[a-zA-Z]*i", pattern) else 1
    return case * sum(map(sum, groups))
