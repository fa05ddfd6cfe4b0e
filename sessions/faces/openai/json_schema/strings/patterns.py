"""Conversion of ECMA-262 regular expressions into those of the grammar library.

In JSON Schema a pattern may match anywhere in a string. The converted pattern matches the whole
string. All classes are written as code points, since `.`, `\\s` and `\\d` have other meanings in
the library.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.strings.regex_reading import (
    ALL,
    Anchor,
    Choice,
    Concatenation,
    Lookahead,
    RegexNode,
    Repeat,
    Signs,
    Unreadable,
    Unserved,
    read_regex,
)

MAX_CHARACTERS = 2_048
MAX_WEIGHT = 20_000
"""The most nodes of a pattern whose repetitions are written out."""
MAX_WAYS = 64
"""The most alternatives for anchors inside of groups."""
LEFT_OUT = "\x01"
"""A character to exclude from strings for which the library would otherwise misread a class."""
_ANY_TEXT = Repeat(ALL, 0, None)


@dataclass(frozen=True)
class Pattern:
    """A regular expression that a whole string has to match.

    Args:
        text: the anchored expression in the library's syntax.
        least: the fewest characters of a match.
        most: the most characters of a match, or None for no limit.
    """

    text: str
    least: int
    most: int | None

    @property
    def is_any(self) -> bool:
        """Whether it is certain that it matches every string."""
        return self.text == f"^(?:{_text(_ANY_TEXT, '')})$"


def read_patterns(source: str, path: str) -> tuple[Pattern, ...]:
    """Convert a pattern into expressions that all have to match.

    Raises:
        SchemaInvalid: the pattern is not a regular expression, or is too large.
        NotHeld: it uses a feature that the library does not have.
    """
    if len(source) > MAX_CHARACTERS:
        raise SchemaInvalid(path, f"it has more than {MAX_CHARACTERS} characters")
    try:
        return _patterns(source)
    except Unreadable as error:
        raise SchemaInvalid(path, f"it is not a regular expression: {error}") from error
    except Unserved as error:
        raise NotHeld(path, str(error)) from error
    except RecursionError as error:
        raise SchemaInvalid(path, "its groups are nested too deep") from error


@lru_cache(maxsize=256)
def _patterns(source: str) -> tuple[Pattern, ...]:
    node = read_regex(source)
    if _weight(node) > MAX_WEIGHT:
        raise Unserved("it repeats too much; give smaller numbers in braces")
    ahead, node = _without_lookaheads(node)
    return tuple(_pattern(each) for each in (*ahead, node))


def _pattern(node: RegexNode) -> Pattern:
    whole = _whole(node)
    least, most = _lengths(whole)
    is_misread = any(signs.is_misread for signs in _signs(whole))
    return Pattern(f"^(?:{_text(whole, LEFT_OUT if is_misread else '')})$", least, most)


def _signs(node: RegexNode) -> Iterator[Signs]:
    match node:
        case Signs():
            yield node
        case Concatenation(parts) | Choice(parts):
            for part in parts:
                yield from _signs(part)
        case Repeat(inner):
            yield from _signs(inner)


def _without_lookaheads(node: RegexNode) -> tuple[list[RegexNode], RegexNode]:
    """Split look-aheads at the start of a pattern off, as expressions that have to match too."""
    parts = list(node.parts) if isinstance(node, Concatenation) else [node]
    start = next((i for i, part in enumerate(parts) if not isinstance(part, Anchor)), len(parts))
    ahead = []
    while start and start < len(parts) and isinstance(part := parts[start], Lookahead):
        ahead.append(Concatenation((Anchor("^"), part.inner)))
        del parts[start]
    if _holds_lookahead(Concatenation(tuple(parts))):
        raise Unserved("a look-ahead is held at the start of a pattern only, after '^'")
    return list(ahead), Concatenation(tuple(parts))


def _holds_lookahead(node: RegexNode) -> bool:
    match node:
        case Lookahead():
            return True
        case Concatenation(parts) | Choice(parts):
            return any(map(_holds_lookahead, parts))
        case Repeat(inner):
            return _holds_lookahead(inner)
    return False


def _whole(node: RegexNode) -> RegexNode:
    """Return an expression without anchors for all strings in which `node` is found."""
    if not _holds_anchor(node):
        return _ANY_TEXT if _lengths(node)[0] == 0 else Concatenation((_ANY_TEXT, node, _ANY_TEXT))
    found = [whole for way in _ways(node) if (whole := _anchored(way)) is not None]
    return Choice(tuple(found)) if found else Signs(False, ())


def _ways(node: RegexNode) -> list[list[RegexNode]]:
    """Return the alternatives of an expression as sequences with anchors at their top level."""
    if not _holds_anchor(node) or isinstance(node, Anchor):
        return [[node]]
    match node:
        case Choice(parts):
            ways = [way for part in parts for way in _ways(part)]
        case Concatenation(parts):
            combined = list(product(*map(_ways, parts))) if len(parts) < MAX_WAYS else []
            ways = [[each for way in combination for each in way] for combination in combined]
        case _:
            raise Unserved("an anchor that may be repeated is not held")
    if not 0 < len(ways) <= MAX_WAYS:
        raise Unserved("its anchors stand at too many places")
    return ways


def _anchored(way: Sequence[RegexNode]) -> RegexNode | None:
    """Return the expression of the whole string for a sequence, or None if it never matches."""
    inner = [part for part in way if not isinstance(part, Anchor)]
    before = after = True
    for index, part in enumerate(way):
        if isinstance(part, Anchor):
            crossed = way[:index] if part.sign == "^" else way[index + 1 :]
            solid = [each for each in crossed if not isinstance(each, Anchor)]
            if any(_lengths(each)[0] for each in solid):
                return None
            if solid:
                raise Unserved("an anchor beside a part that may be missing is not held")
            before, after = before and part.sign != "^", after and part.sign != "$"
    return Concatenation(
        (*([_ANY_TEXT] if before else []), *inner, *([_ANY_TEXT] if after else []))
    )


def _holds_anchor(node: RegexNode) -> bool:
    match node:
        case Anchor():
            return True
        case Concatenation(parts) | Choice(parts):
            return any(map(_holds_anchor, parts))
        case Repeat(inner):
            return _holds_anchor(inner)
    return False


def _weight(node: RegexNode) -> int:
    match node:
        case Concatenation(parts) | Choice(parts):
            return 1 + sum(map(_weight, parts))
        case Repeat(inner, least, most):
            return _weight(inner) * max(least, most or 1, 1)
        case Lookahead(inner):
            return 1 + _weight(inner)
    return 1


def _lengths(node: RegexNode) -> tuple[int, int | None]:
    """Return the fewest and the most characters of a match."""
    match node:
        case Signs():
            return 1, 1
        case Concatenation(parts):
            lengths = [_lengths(part) for part in parts]
            most = [high for _, high in lengths]
            bound = None if None in most else sum(high or 0 for high in most)
            return sum(low for low, _ in lengths), bound
        case Choice(parts):
            lengths = [_lengths(part) for part in parts]
            most = [high for _, high in lengths]
            bound = None if None in most else max(high or 0 for high in most)
            return min(low for low, _ in lengths), bound
        case Repeat(inner, least, most_times):
            low, high = _lengths(inner)
            if high == 0 or most_times == 0:
                return 0, 0
            return low * least, None if high is None or most_times is None else high * most_times
    return 0, 0


def _text(node: RegexNode, left_out: str) -> str:
    match node:
        case Signs():
            return (node.without(left_out) if left_out else node).text()
        case Concatenation(parts):
            return "".join(_text(part, left_out) for part in parts)
        case Choice(parts):
            return f"(?:{'|'.join(_text(part, left_out) for part in parts)})"
        case Repeat(inner, least, most):
            times = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
            if times is None:
                times = f"{{{least}}}" if least == most else f"{{{least},{most or ''}}}"
            return f"(?:{_text(inner, left_out)}){times}" if most != 0 else ""
    return ""
