"""Sets of strings and of numbers, with their intersections and complements."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from math import gcd

from sessions.faces.openai.json_schema.strings.complement import can_be_left_out
from sessions.faces.openai.json_schema.strings.patterns import Pattern

Matches = Callable[[Pattern, str], bool]


class NoComplement(Exception):
    """The library cannot express the complement of a set. The text says why."""


@dataclass(frozen=True)
class Strings:
    """The strings that satisfy all of these constraints. `among` lists them all, if not None."""

    among: tuple[str, ...] | None = None
    other_than: frozenset[str] = frozenset()
    least: int = 0
    most: int | None = None
    patterns: tuple[Pattern, ...] = ()

    @property
    def is_any(self) -> bool:
        return self == Strings()

    @property
    def is_empty(self) -> bool:
        """Whether it is certain that there is no such string."""
        least = max(self.least, *(each.least for each in self.patterns), 0)
        mosts = [self.most, *(each.most for each in self.patterns)]
        return self.among == () or any(most is not None and most < least for most in mosts)

    def admits(self, text: str, matches: Matches) -> bool:
        return (
            (self.among is None or text in self.among)
            and text not in self.other_than
            and self.least <= len(text)
            and (self.most is None or len(text) <= self.most)
            and all(matches(pattern, text) for pattern in self.patterns)
        )

    def both(self, other: "Strings", matches: Matches) -> "Strings":
        for listed, rule in ((self, other), (other, self)):
            if listed.among is not None:
                members = frozenset(rule.among) if rule.among is not None else None
                bare = replace(rule, among=None)
                kept = (each for each in listed.among if members is None or each in members)
                return Strings(among=tuple(each for each in kept if bare.admits(each, matches)))
        mosts = [each.most for each in (self, other) if each.most is not None]
        return Strings(
            other_than=self.other_than | other.other_than,
            least=max(self.least, other.least),
            most=min(mosts, default=None),
            patterns=tuple(dict.fromkeys(self.patterns + other.patterns)),
        )

    def complement(self) -> list["Strings"]:
        """Return alternatives for all other strings. Raises NoComplement."""
        if self.patterns:
            raise NoComplement("strings that do not match a pattern or a format are not held")
        if self.among is not None:
            if not can_be_left_out(self.among):
                raise NoComplement("strings other than many or long ones are not held")
            return [Strings(other_than=frozenset(self.among))]
        others = [Strings(among=tuple(sorted(self.other_than)))] if self.other_than else []
        if self.least:
            others.append(Strings(most=self.least - 1))
        if self.most is not None:
            others.append(Strings(least=self.most + 1))
        return others


@dataclass(frozen=True)
class Edge:
    """A bound of numbers. `is_open` excludes the number itself."""

    at: Decimal
    is_open: bool = False


@dataclass(frozen=True)
class Numbers:
    """The numbers that satisfy all of these constraints. `among` lists them all, if not None."""

    among: tuple[Decimal, ...] | None = None
    least: Edge | None = None
    most: Edge | None = None
    is_whole: bool = False
    step: Decimal | None = None
    """Every number is a multiple of it."""

    @property
    def is_any(self) -> bool:
        return self == Numbers()

    @property
    def is_empty(self) -> bool:
        if self.among is not None:
            return not self.among
        if self.least is None or self.most is None:
            return False
        step = self.whole_step if self.is_whole else self.step
        if step is None:
            low, high = self.least.at, self.most.at
            return low > high or (low == high and (self.least.is_open or self.most.is_open))
        return _first(self.least, step) > _last(self.most, step)

    @property
    def whole_step(self) -> Decimal:
        """The smallest integer of which all integers in the set are multiples."""
        return _lcm(self.step, Decimal(1)) or Decimal(1)

    def admits(self, number: Decimal) -> bool:
        if self.among is not None and number not in self.among:
            return False
        if self.least and (
            number < self.least.at or (self.least.is_open and number == self.least.at)
        ):
            return False
        if self.most and (number > self.most.at or (self.most.is_open and number == self.most.at)):
            return False
        if self.is_whole and number != number.to_integral_value():
            return False
        return self.step is None or (Fraction(number) / Fraction(self.step)).denominator == 1

    def both(self, other: "Numbers") -> "Numbers":
        for listed, rule in ((self, other), (other, self)):
            if listed.among is not None:
                return Numbers(among=tuple(filter(rule.admits, listed.among)))
        leasts = [each.least for each in (self, other) if each.least is not None]
        mosts = [each.most for each in (self, other) if each.most is not None]
        return Numbers(
            least=max(leasts, key=lambda edge: (edge.at, edge.is_open), default=None),
            most=min(mosts, key=lambda edge: (edge.at, not edge.is_open), default=None),
            is_whole=self.is_whole or other.is_whole,
            step=_lcm(self.step, other.step),
        )

    def complement(self) -> list["Numbers"]:
        """Return alternatives for all other numbers. Raises NoComplement."""
        if self.is_whole or self.step is not None:
            raise NoComplement("numbers that are not a multiple of another are not held")
        if self.among is not None:
            edges = [Edge(number, is_open=True) for number in sorted(self.among)]
            return [
                Numbers(least=low, most=high)
                for low, high in zip([None, *edges], [*edges, None], strict=True)
            ]
        others = []
        if self.least is not None:
            others.append(Numbers(most=Edge(self.least.at, not self.least.is_open)))
        if self.most is not None:
            others.append(Numbers(least=Edge(self.most.at, not self.most.is_open)))
        return others


def _first(edge: Edge, step: Decimal) -> int:
    """Return the index of the first multiple of `step` at or above a lower bound."""
    at = Fraction(edge.at) / Fraction(step)
    number = -((-at.numerator) // at.denominator)
    return number + 1 if edge.is_open and number == at else number


def _last(edge: Edge, step: Decimal) -> int:
    at = Fraction(edge.at) / Fraction(step)
    number = at.numerator // at.denominator
    return number - 1 if edge.is_open and number == at else number


def _lcm(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Return the least common multiple. None stands for no constraint."""
    if one is None or other is None:
        return one if other is None else other
    a, b = Fraction(one), Fraction(other)
    numerator = a.numerator * b.numerator // gcd(a.numerator, b.numerator)
    common = Fraction(numerator, gcd(a.denominator, b.denominator))
    return Decimal(common.numerator) / Decimal(common.denominator)


def whole_edges(numbers: Numbers) -> tuple[int | None, int | None]:
    """Return the first and the last integer."""
    low, high = numbers.least, numbers.most
    first = last = None
    if low is not None:
        first = int(low.at.to_integral_value(ROUND_CEILING))
        first += low.is_open and first == low.at
    if high is not None:
        last = int(high.at.to_integral_value(ROUND_FLOOR))
        last -= high.is_open and last == high.at
    return first, last
