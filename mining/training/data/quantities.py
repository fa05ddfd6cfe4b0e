"""Comparisons, sequences, numbers in words and units."""

import random

from mining.training.data.phrasing import Family, ask

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = (
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip

CONVERSIONS: tuple[tuple[str, str, int, int], ...] = (
    ("hours", "minutes", 60, 12),
    ("minutes", "seconds", 60, 12),
    ("days", "hours", 24, 10),
    ("weeks", "days", 7, 12),
    ("years", "months", 12, 12),
    ("kilometres", "metres", 1000, 99),
    ("km", "m", 1000, 99),
    ("metres", "centimetres", 100, 99),
    ("m", "cm", 100, 99),
    ("kilograms", "grams", 1000, 99),
    ("kg", "g", 1000, 99),
    ("litres", "millilitres", 1000, 99),
    ("centimetres", "millimetres", 10, 99),
    ("dollars", "cents", 100, 99),
)
"""Conversions: larger unit, smaller unit, the factor between them, largest number to convert."""


def in_words(number: int) -> str:
    """Return a number from 0 to 100 in English words."""
    if number == 100:
        return "one hundred"
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_SMALL[ones]}" if ones else "")


def larger(rng: random.Random) -> tuple[str, str]:
    """Ask for the larger or smaller one of two numbers."""
    top = rng.choice((99, 999))
    a, b = rng.sample(range(top + 1), 2)
    if rng.random() < 0.5:
        question = ask(
            rng,
            (
                "Which is larger, {a} or {b}?",
                "Which number is bigger: {a} or {b}?",
                "What is greater, {a} or {b}?",
                "{a} or {b}, which one is larger?",
                "Is {a} or {b} the larger number?",
            ),
            a=a,
            b=b,
        )
        return question, f"{max(a, b)} is larger than {min(a, b)}."
    question = ask(
        rng,
        (
            "Which is smaller, {a} or {b}?",
            "Which number is less: {a} or {b}?",
            "{a} or {b}, which one is smaller?",
            "Is {a} or {b} the smaller number?",
        ),
        a=a,
        b=b,
    )
    return question, f"{min(a, b)} is smaller than {max(a, b)}."


def extreme_of_three(rng: random.Random) -> tuple[str, str]:
    """Ask for the largest or smallest of three numbers."""
    a, b, c = rng.sample(range(100), 3)
    largest = rng.random() < 0.5
    word = rng.choice(("largest", "biggest") if largest else ("smallest", "lowest"))
    question = ask(
        rng,
        (
            "Which is the {word}: {a}, {b} or {c}?",
            "What is the {word} of {a}, {b} and {c}?",
            "Which number is the {word}, {a}, {b} or {c}?",
            "Find the {word} number: {a}, {b}, {c}.",
        ),
        word=word,
        a=a,
        b=b,
        c=c,
    )
    if largest:
        return question, f"The largest is {max(a, b, c)}."
    return question, f"The smallest is {min(a, b, c)}."


def even_odd(rng: random.Random) -> tuple[str, str]:
    """Ask whether a number is even or odd."""
    n = rng.randint(0, 999)
    question = ask(
        rng,
        (
            "Is {n} even or odd?",
            "Is {n} odd or even?",
            "Is the number {n} even or odd?",
            "{n}: even or odd?",
            "Tell me if {n} is even or odd.",
        ),
        n=n,
    )
    return question, f"{n} is {'odd' if n % 2 else 'even'}."


def neighbour(rng: random.Random) -> tuple[str, str]:
    """Ask for the number after or before another."""
    n = rng.randint(1, 500)
    if rng.random() < 0.5:
        question = ask(
            rng,
            (
                "What number comes after {n}?",
                "What comes after {n}?",
                "Which number follows {n}?",
                "What is the next number after {n}?",
            ),
            n=n,
        )
        return question, f"After {n} comes {n + 1}."
    question = ask(
        rng,
        (
            "What number comes before {n}?",
            "What comes before {n}?",
            "Which number is right before {n}?",
        ),
        n=n,
    )
    return question, f"Before {n} comes {n - 1}."


def sequence(rng: random.Random) -> tuple[str, str]:
    """Ask for the next number of a sequence in steps of 1, 2, 3, 5 or 10."""
    step = rng.choice((1, 2, 3, 5, 10))
    start = rng.randint(0, 50)
    shown = [start + step * i for i in range(4)]
    question = ask(
        rng,
        (
            "What comes next: {s}?",
            "Continue: {s}",
            "{s}, what is next?",
            "Which number comes next in {s}?",
            "What is the next number: {s}, ...?",
        ),
        s=", ".join(map(str, shown)),
    )
    return question, f"The next number is {shown[-1] + step}."


def number_words(rng: random.Random) -> tuple[str, str]:
    """Ask for a number up to 100 in words, or for the number that words name."""
    n = rng.randint(0, 100)
    if rng.random() < 0.5:
        question = ask(
            rng,
            (
                "Write {n} in words.",
                "How do you write {n} in words?",
                "What is {n} in words?",
                "Spell the number {n}.",
            ),
            n=n,
        )
        return question, f"{n} is {in_words(n)}."
    question = ask(
        rng,
        (
            "Write {w} in digits.",
            "What is {w} as a number?",
            "Write the number {w} in figures.",
            "How do you write {w} in digits?",
        ),
        w=in_words(n),
    )
    return question, f"{in_words(n)} is {n}.".capitalize()


def units(rng: random.Random) -> tuple[str, str]:
    """Ask for the conversion of a larger unit to a smaller one."""
    big, small, factor, top = rng.choice(CONVERSIONS)
    n = rng.randint(2, min(top, 12) if rng.random() < 0.5 else top)
    question = ask(
        rng,
        (
            "How many {small} are {n} {big}?",
            "How many {small} are in {n} {big}?",
            "Convert {n} {big} to {small}.",
            "{n} {big} in {small}?",
            "What is {n} {big} in {small}?",
            "{n} {big} is how many {small}?",
        ),
        small=small,
        big=big,
        n=n,
    )
    return question, f"{n} {big} = {n * factor} {small}."


FAMILIES: dict[str, Family] = {
    "larger of two": larger,
    "extreme of three": extreme_of_three,
    "even or odd": even_odd,
    "number after or before": neighbour,
    "next in sequence": sequence,
    "numbers in words": number_words,
    "units": units,
}
