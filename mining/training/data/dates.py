"""Weekdays and months."""

import random

from mining.training.data.phrasing import Family, ask

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _ordinal(n: int) -> str:
    return f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }"


def next_day(rng: random.Random) -> tuple[str, str]:
    """Ask for the day after or before a day."""
    i = rng.randrange(7)
    if rng.random() < 0.5:
        question = ask(
            rng,
            (
                "What day comes after {d}?",
                "Which day follows {d}?",
                "What is the day after {d}?",
                "If today is {d}, what day is tomorrow?",
                "Today is {d}. What day is it tomorrow?",
                "What comes after {d}?",
                "Which day is after {d}?",
            ),
            d=DAYS[i],
        )
        return question, f"The day after {DAYS[i]} is {DAYS[(i + 1) % 7]}."
    question = ask(
        rng,
        (
            "What day comes before {d}?",
            "What is the day before {d}?",
            "If today is {d}, what day was yesterday?",
            "Today is {d}. What day was it yesterday?",
            "What comes before {d}?",
            "Which day is before {d}?",
        ),
        d=DAYS[i],
    )
    return question, f"The day before {DAYS[i]} is {DAYS[(i - 1) % 7]}."


def days_later(rng: random.Random) -> tuple[str, str]:
    """Ask for the weekday some days after another."""
    i, n = rng.randrange(7), rng.randint(2, 10)
    question = ask(
        rng,
        (
            "What day comes {n} days after {d}?",
            "What day is {n} days after {d}?",
            "Which day is it {n} days after {d}?",
            "Today is {d}. What day is it in {n} days?",
            "If today is {d}, what day is it in {n} days?",
            "What weekday is {n} days from {d}?",
        ),
        n=n,
        d=DAYS[i],
    )
    return question, f"{n} days after {DAYS[i]} comes {DAYS[(i + n) % 7]}."


def next_month(rng: random.Random) -> tuple[str, str]:
    """Ask for the month after or before a month."""
    i = rng.randrange(12)
    after = rng.random() < 0.5
    word = "after" if after else "before"
    question = ask(
        rng,
        (
            "What month comes {word} {m}?",
            "Which month is {word} {m}?",
            "What is the month {word} {m}?",
            "Which month comes {word} {m}?",
            "What comes {word} {m}?",
            "Tell me the month {word} {m}.",
            "Name the month {word} {m}.",
        ),
        word=word,
        m=MONTHS[i],
    )
    other = MONTHS[(i + (1 if after else -1)) % 12]
    return question, f"The month {word} {MONTHS[i]} is {other}."


def month_number(rng: random.Random) -> tuple[str, str]:
    """Ask for the number of a month, or for the month of a number."""
    i = rng.randrange(12)
    if rng.random() < 0.5:
        question = ask(
            rng,
            (
                "What is the {n} month of the year?",
                "Which month is the {n}?",
                "What's the {n} month?",
                "Name the {n} month.",
                "Which is the {n} month of the year?",
            ),
            n=_ordinal(i + 1),
        )
        return question, f"The {_ordinal(i + 1)} month is {MONTHS[i]}."
    question = ask(
        rng,
        (
            "What number is {m}?",
            "Which number does the month {m} have?",
            "What number month is {m}?",
            "{m} is which month of the year?",
            "Is {m} the 1st, 2nd or which month?",
        ),
        m=MONTHS[i],
    )
    return question, f"{MONTHS[i]} is month number {i + 1}."


def month_days(rng: random.Random) -> tuple[str, str]:
    """Ask for the number of days in a month."""
    i = rng.randrange(12)
    question = ask(
        rng,
        (
            "How many days are in {m}?",
            "How many days does {m} have?",
            "How long is {m}?",
            "Days in {m}?",
            "How many days has {m}?",
            "How many days are there in {m}?",
            "What is the number of days in {m}?",
            "How many days long is {m}?",
        ),
        m=MONTHS[i],
    )
    if i == 1:
        return question, "February has 28 days, 29 in a leap year."
    return question, f"{MONTHS[i]} has {MONTH_DAYS[i]} days."


FAMILIES: dict[str, Family] = {
    "day after or before": next_day,
    "days later": days_later,
    "month after or before": next_month,
    "month numbers": month_number,
    "days in a month": month_days,
}
