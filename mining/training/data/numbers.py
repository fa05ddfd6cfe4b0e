"""Arithmetic with numbers that are small enough for the model to learn."""

import random

from mining.training.data.phrasing import Family, ask


def _number(rng: random.Random) -> int:
    return rng.randint(0, 9) if rng.random() < 0.2 else rng.randint(0, 99)


def addition(rng: random.Random) -> tuple[str, str]:
    """Ask for the sum of two numbers below 100."""
    a, b = _number(rng), _number(rng)
    question = ask(
        rng,
        (
            "What is {a} + {b}?",
            "{a}+{b}=?",
            "{a} + {b}",
            "{a} + {b} = ?",
            "What's {a} plus {b}?",
            "Add {a} and {b}.",
            "How much is {a} + {b}?",
            "{a}+{b}",
            "What is the sum of {a} and {b}?",
            "Calculate {a} + {b}.",
            "Whats {a} + {b}?",
        ),
        a=a,
        b=b,
    )
    return question, f"{a} + {b} = {a + b}."


def subtraction(rng: random.Random) -> tuple[str, str]:
    """Ask for a difference that is not negative."""
    b, a = sorted((_number(rng), _number(rng)))
    question = ask(
        rng,
        (
            "What is {a} - {b}?",
            "{a}-{b}=?",
            "{a} - {b}",
            "{a} - {b} = ?",
            "What's {a} minus {b}?",
            "Subtract {b} from {a}.",
            "How much is {a} - {b}?",
            "{a}-{b}",
            "Take {b} away from {a}.",
            "Calculate {a} - {b}.",
        ),
        a=a,
        b=b,
    )
    return question, f"{a} - {b} = {a - b}."


def multiplication(rng: random.Random) -> tuple[str, str]:
    """Ask for a product from the tables up to 12."""
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    question = ask(
        rng,
        (
            "What is {a} x {b}?",
            "What is {a} * {b}?",
            "{a}*{b}=?",
            "{a} * {b}",
            "{a} x {b}",
            "{a} times {b}?",
            "What's {a} times {b}?",
            "Multiply {a} by {b}.",
            "How much is {a} * {b}?",
            "What is the product of {a} and {b}?",
            "Calculate {a} * {b}.",
            "Whats {a} x {b}?",
        ),
        a=a,
        b=b,
    )
    return question, f"{a} x {b} = {a * b}."


def division(rng: random.Random) -> tuple[str, str]:
    """Ask for a quotient without remainder, from the tables up to 12."""
    b, quotient = rng.randint(1, 12), rng.randint(0, 12)
    a = b * quotient
    question = ask(
        rng,
        (
            "What is {a} / {b}?",
            "{a}/{b}=?",
            "{a} / {b}",
            "What's {a} divided by {b}?",
            "Divide {a} by {b}.",
            "How much is {a} / {b}?",
            "How often does {b} go into {a}?",
            "Calculate {a} / {b}.",
            "{a} divided by {b}?",
        ),
        a=a,
        b=b,
    )
    return question, f"{a} / {b} = {quotient}."


def double_half(rng: random.Random) -> tuple[str, str]:
    """Ask for the double of a number, or for half of an even one."""
    n = rng.randint(1, 50)
    if rng.random() < 0.5:
        question = ask(
            rng,
            ("What is double {n}?", "Double {n}.", "What is twice {n}?", "What is {n} doubled?"),
            n=n,
        )
        return question, f"Double {n} is {2 * n}."
    question = ask(
        rng,
        ("What is half of {n}?", "Halve {n}.", "Half of {n}?", "How much is half of {n}?"),
        n=2 * n,
    )
    return question, f"Half of {2 * n} is {n}."


FAMILIES: dict[str, Family] = {
    "addition": addition,
    "subtraction": subtraction,
    "multiplication": multiplication,
    "division": division,
    "double and half": double_half,
}
