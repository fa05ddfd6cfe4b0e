"""The corpus: its answers are true, and its two splits share no question."""

import itertools
import random
import re
from datetime import date, timedelta

import pytest

from mining.training.data.corpus import FAMILIES, Example, examples, held_out
from mining.training.data.phrasing import normalised, styled

_DAYS = [(date(2024, 1, 1) + timedelta(days=i)).strftime("%A") for i in range(7)]


def _drawn(family: str, count: int = 300) -> list[tuple[str, str]]:
    rng = random.Random(7)
    return [FAMILIES[family](rng) for _ in range(count)]


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def _listed(question: str) -> list[str]:
    """The words of a question's list, which is what stands around its commas."""
    listed = re.search(r"\w+(?:, \w+)+", question)
    assert listed is not None
    return listed[0].split(", ")


@pytest.mark.parametrize("family", ["addition", "subtraction", "multiplication", "division"])
def test_arithmetic_answers_are_true_and_about_the_numbers_asked(family: str) -> None:
    operations = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "x": lambda a, b: a * b,
        "/": lambda a, b: a / b,
    }
    for question, answer in _drawn(family):
        stated = re.fullmatch(r"(\d+) ([-+x/]) (\d+) = (\d+)\.", answer)
        assert stated is not None
        a, sign, b, result = stated.groups()
        assert operations[sign](int(a), int(b)) == int(result)
        assert sorted(_numbers(question)) == sorted((int(a), int(b)))


def test_comparisons_name_the_right_number() -> None:
    for question, answer in _drawn("larger of two"):
        top = "larger" in answer
        assert _numbers(answer)[0] == (max if top else min)(_numbers(question))
        assert top == any(word in question for word in ("larger", "bigger", "greater"))
    for question, answer in _drawn("extreme of three"):
        top = "largest" in question or "biggest" in question
        assert _numbers(answer) == [(max if top else min)(_numbers(question))]


def test_counted_words_are_as_many_as_the_answer_says() -> None:
    for question, answer in _drawn("count words"):
        if "items" not in question and "," in question:
            assert _numbers(answer)[-1] == len(_listed(question))


def test_sorted_words_are_the_question_s_words_in_order() -> None:
    for question, answer in _drawn("sort words"):
        words = answer.removeprefix("Sorted: ").rstrip(".").split(", ")
        assert words == sorted(words)
        assert all(word in question for word in words)


def test_a_weekday_some_days_later_is_what_a_calendar_says() -> None:
    for question, answer in _drawn("days later"):
        start = next(day for day in _DAYS if day in question)
        day = _DAYS[(_DAYS.index(start) + _numbers(question)[0]) % 7]
        assert answer.endswith(f"{start} comes {day}.")


def test_months_are_as_long_as_a_calendar_says() -> None:
    for question, answer in _drawn("days in a month"):
        for month in range(1, 12):
            if date(2023, month, 1).strftime("%B") in question:
                length = (date(2023, month + 1, 1) - date(2023, month, 1)).days
                assert _numbers(answer)[0] == length


def test_no_normalised_question_has_two_answers() -> None:
    answers: dict[str, str] = {}
    for example in itertools.islice(examples(3, "train"), 8000):
        assert answers.setdefault(normalised(example.question), example.answer) == example.answer


def test_no_held_out_question_is_trained_on_however_it_is_typed() -> None:
    for example in itertools.islice(examples(5, "train"), 5000):
        assert not held_out(example.question)
        assert not any(held_out(question) for question, _ in example.history)


def test_held_out_questions_differ_and_cover_every_family_evenly() -> None:
    chosen = list(itertools.islice(examples(1, "held_out"), 300))
    assert all(held_out(example.question) for example in chosen)
    assert len({normalised(example.question) for example in chosen}) == 300
    counts = [sum(e.family == family for e in chosen) for family in FAMILIES]
    assert min(counts) >= 2
    assert max(counts) <= 12


def test_typing_habits_do_not_change_what_is_asked() -> None:
    rng = random.Random(2)
    for question in ("What is 12 + 7?", "Please spell apple for me.", "What's the opposite of up?"):
        assert {normalised(styled(rng, question)) for _ in range(200)} == {normalised(question)}


def test_the_same_seed_draws_the_same_examples() -> None:
    def drawn(seed: int) -> list[Example]:
        return list(itertools.islice(examples(seed, "train"), 50))

    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)
