"""A parser for the regular expressions of ECMA-262 that JSON Schema's patterns use."""

import re
from dataclasses import dataclass

LAST = 0x10FFFF
_DIGITS = (("0", "9"),)
_WORD = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE = (
    ("\t", "\r"),
    (" ", " "),
    ("\u00a0", "\u00a0"),
    ("\u1680", "\u1680"),
    ("\u2000", "\u200a"),
    ("\u2028", "\u2029"),
    ("\u202f", "\u202f"),
    ("\u205f", "\u205f"),
    ("\u3000", "\u3000"),
    ("\ufeff", "\ufeff"),
)
_NEWLINES = (("\n", "\n"), ("\r", "\r"), ("\u2028", "\u2029"))
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d{1,9})(?:(,)(\d{0,9}))?\})\??")
_PROPERTY = re.compile(r"[pP]\{((?:L|M|N)[a-z]?|(?:Script|sc)=[A-Za-z_]{1,40})\}")
_OF_SIGNS = re.compile(r"[pP]\{(?:Script|sc)=(?:Common|Zyyy|Inherited|Zinh|Qaai|Unknown|Zzzz)\}")
"""Scripts that contain symbols and control characters."""
_CODE_POINT = re.compile(r"u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})")
_LOW_HALF = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_GROUP = re.compile(r"\?(?::|<[A-Za-z_$][A-Za-z0-9_$]*>)")


class Unreadable(ValueError):
    """The text is not a regular expression."""


class Unserved(ValueError):
    """The regular expression uses a feature that the grammar library does not have."""


Range = tuple[int, int] | str
"""A range of code points, or a Unicode property in the library's syntax."""


@dataclass(frozen=True)
class Signs:
    """A character class: one character among some, or among all others."""

    is_negated: bool
    ranges: tuple[Range, ...]

    def admits(self, sign: str) -> bool:
        """Return whether an ASCII character other than letters and digits is in the class."""
        code = ord(sign)
        is_listed = any(
            ends.startswith(r"\P") if isinstance(ends, str) else ends[0] <= code <= ends[1]
            for ends in self.ranges
        )
        return is_listed != self.is_negated

    @property
    def is_misread(self) -> bool:
        """Whether the library admits more than the class.

        If a class has all control characters, the library accepts every JSON escape for it, also
        those of `"` and `\\`.
        """
        controls = (chr(code) for code in range(32) if code != ord("\n"))
        return not (self.admits('"') and self.admits("\\")) and all(map(self.admits, controls))

    def without(self, sign: str) -> "Signs":
        """Return the class without one character."""
        code = ord(sign)
        if not self.admits(sign):
            return self
        if self.is_negated:
            return Signs(True, (*self.ranges, (code, code)))
        ranges: list[Range] = []
        for ends in self.ranges:
            if isinstance(ends, str) or not ends[0] <= code <= ends[1]:
                ranges.append(ends)
                continue
            ranges += [(ends[0], code - 1)] if ends[0] < code else []
            ranges += [(code + 1, ends[1])] if code < ends[1] else []
        return Signs(False, tuple(ranges))

    def text(self) -> str:
        """Return the class in the library's syntax."""
        if not self.ranges:  # `[^]` is any character, `[]` is none
            return r"[\x{0}-\x{10FFFF}]" if self.is_negated else r"[^\x{0}-\x{10FFFF}]"
        if not self.is_negated and len(self.ranges) == 1:
            only = self.ranges[0]
            if isinstance(only, tuple) and only[0] == only[1]:
                return _sign(only[0])
        return f"[{'^' if self.is_negated else ''}{''.join(map(_range, self.ranges))}]"


@dataclass(frozen=True)
class Concatenation:
    parts: tuple["RegexNode", ...]


@dataclass(frozen=True)
class Choice:
    parts: tuple["RegexNode", ...]


@dataclass(frozen=True)
class Repeat:
    inner: "RegexNode"
    least: int
    most: int | None


@dataclass(frozen=True)
class Anchor:
    sign: str


@dataclass(frozen=True)
class Lookahead:
    inner: "RegexNode"


RegexNode = Signs | Concatenation | Choice | Repeat | Anchor | Lookahead
ALL = Signs(True, ())


def read_regex(source: str) -> RegexNode:
    """Parse a regular expression. Raises Unreadable or Unserved."""
    reader = _RegexReader(source)
    node = reader.choice()
    if reader.at < len(source):
        raise Unreadable("a ')' closes nothing")
    return node


def _sign(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:X}}}"


def _range(ends: Range) -> str:
    if isinstance(ends, str):
        return ends
    first, last = ends
    return _sign(first) if first == last else f"{_sign(first)}-{_sign(last)}"


def _codes(ranges: tuple[tuple[str, str], ...]) -> tuple[Range, ...]:
    return tuple((ord(first), ord(last)) for first, last in ranges)


def _others(ranges: tuple[tuple[str, str], ...]) -> tuple[Range, ...]:
    """Return all other code points. The ranges must be sorted and disjoint."""
    others: list[Range] = []
    free = 0
    for first, last in ranges:
        if ord(first) > free:
            others.append((free, ord(first) - 1))
        free = ord(last) + 1
    return (*others, (free, LAST))


class _RegexReader:
    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0

    def choice(self) -> RegexNode:
        ways = [self._row()]
        while self._take("|"):
            ways.append(self._row())
        return ways[0] if len(ways) == 1 else Choice(tuple(ways))

    def _row(self) -> RegexNode:
        parts: list[RegexNode] = []
        while self.at < len(self.source) and self.source[self.at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Concatenation(tuple(parts))

    def _repeated(self, node: RegexNode) -> RegexNode:
        found = _QUANTIFIER.match(self.source, self.at)
        if found is None:
            return node
        if isinstance(node, Anchor | Lookahead):
            raise Unreadable("a quantifier follows what matches no character")
        self.at = found.end()
        if _QUANTIFIER.match(self.source, self.at):
            raise Unreadable("a quantifier follows another")
        sign, least, comma, most = found.groups()
        if sign:
            return Repeat(node, int(sign == "+"), 1 if sign == "?" else None)
        low = int(least)
        high = low if comma is None else (int(most) if most else None)
        if high is not None and high < low:
            raise Unreadable("numbers out of order in a quantifier")
        return Repeat(node, low, high)

    def _atom(self) -> RegexNode:
        sign = self.source[self.at]
        if _QUANTIFIER.match(self.source, self.at):
            raise Unreadable("a quantifier has nothing to repeat")
        self.at += 1
        match sign:
            case "^" | "$":
                return Anchor(sign)
            case ".":
                return Signs(True, _codes(_NEWLINES))
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
        return Signs(False, (self._plain(sign),))

    def _group(self) -> RegexNode:
        is_ahead = self._take("?=")
        if named := _GROUP.match(self.source, self.at):
            self.at = named.end()
        elif not is_ahead and self.source.startswith("?", self.at):
            raise Unserved("look-behinds, negative look-aheads and flags are not held")
        inner = self.choice()
        if not self._take(")"):
            raise Unreadable("a group does not end")
        return Lookahead(inner) if is_ahead else inner

    def _escape(self) -> RegexNode:
        if self.at >= len(self.source):
            raise Unreadable("it ends with a backslash")
        sign = self.source[self.at]
        if sign in "bB":
            raise Unserved("word boundaries are not held")
        if sign in "123456789k":
            raise Unserved("references to groups are not held")
        return Signs(False, self._escaped())

    def _class(self) -> RegexNode:
        is_negated = self._take("^")
        ranges: list[Range] = []
        while not self._take("]"):
            first = self._class_part()
            dash = self.source.startswith("-", self.at)
            if not dash or self.source.startswith("-]", self.at) or len(first) > 1:
                ranges.extend(first)
                continue
            self.at += 1
            last = self._class_part()
            low, high = first[0], last[0]
            if len(last) > 1 or isinstance(low, str) or isinstance(high, str) or low[0] != low[1]:
                ranges.extend((*first, (ord("-"), ord("-")), *last))
            elif high[0] < low[0]:
                raise Unreadable("a range of characters is out of order")
            else:
                ranges.append((low[0], high[1]))
        return Signs(is_negated, tuple(ranges))

    def _class_part(self) -> tuple[Range, ...]:
        if self.at >= len(self.source):
            raise Unreadable("a '[' does not end")
        sign = self.source[self.at]
        self.at += 1
        if sign != "\\":
            return (self._plain(sign),)
        if self._take("b"):
            return ((8, 8),)
        if self.at >= len(self.source):
            raise Unreadable("it ends with a backslash")
        return self._escaped()

    def _escaped(self) -> tuple[Range, ...]:
        """Return the characters of an escape sequence, after its backslash."""
        if self.source[self.at] in "pP":
            found = _PROPERTY.match(self.source, self.at)
            if found is None or _OF_SIGNS.match(self.source, self.at):
                raise Unserved("of Unicode's properties, letters, marks, numbers, scripts are held")
            self.at = found.end()
            return (f"\\{found.group()}",)
        if found := _CODE_POINT.match(self.source, self.at):
            self.at = found.end()
            code = int(next(filter(None, found.groups())), 16)
            low = _LOW_HALF.match(self.source, self.at) if 0xD800 <= code < 0xDC00 else None
            if low is not None:
                self.at = low.end()
                code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
            if 0xD800 <= code < 0xE000 or code > LAST:
                raise Unreadable("it has half of a surrogate pair, or no code point")
            return ((code, code),)
        sign = self.source[self.at]
        self.at += 1
        match sign:
            case "d":
                return _codes(_DIGITS)
            case "D":
                return _others(_DIGITS)
            case "w":
                return _codes(_WORD)
            case "W":
                return _others(_WORD)
            case "s":
                return _codes(_SPACE)
            case "S":
                return _others(_SPACE)
            case "0" if not self.source[self.at : self.at + 1].isdigit():
                return ((0, 0),)
            case "c" if (letter := self.source[self.at : self.at + 1]).isalpha():
                self.at += 1
                return ((ord(letter) % 32, ord(letter) % 32),) if letter.isascii() else ()
        if sign in _CONTROLS:
            return ((ord(_CONTROLS[sign]),) * 2,)
        if sign.isalnum():
            raise Unreadable(f"the escape \\{sign} means nothing")
        return (self._plain(sign),)

    def _plain(self, sign: str) -> tuple[int, int]:
        code = ord(sign)
        if 0xD800 <= code < 0xE000:
            raise Unreadable("it has half of a surrogate pair")
        return (code, code)

    def _take(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False
