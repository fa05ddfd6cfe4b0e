"""A seed determines subjects and questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.node.network.job import MAX_CHALLENGE_BYTES, MAX_DOMAIN_BYTES
from mining.node.network.questions import SUBJECTS, is_question, questions, subject_of

SEEDS = st.integers(0, 2**256 - 1)


@given(SEEDS, st.integers(1, 4))
def test_everybody_finds_the_same_questions_of_an_author(seed: int, count: int) -> None:
    domain, subdomain = subject_of(seed)
    assert len((domain + subdomain).encode()) <= MAX_DOMAIN_BYTES
    asked = questions(domain, subdomain, seed, "0xAb", count)
    assert asked == questions(domain, subdomain, seed, "0xab", count)
    assert 1 <= len(asked) <= count
    assert len(set(asked)) == len(asked)
    assert all(is_question(text) and len(text) < MAX_CHALLENGE_BYTES for text in asked)


def test_every_subject_is_drawn_and_authors_differ() -> None:
    drawn = {subject_of(seed) for seed in range(500)}
    assert drawn == {(domain, sub) for domain, subs in SUBJECTS.items() for sub in subs}
    authors = {tuple(questions("arithmetic", "addition", 1, f"0x{n}", 2)) for n in range(20)}
    assert len(authors) > 15


def test_a_foreign_subject_has_a_question_too() -> None:
    assert questions("law", "torts", 1, "0xab", 2) == ["What is torts?"]


@pytest.mark.parametrize(
    ("text", "will_do"),
    [
        ("What is two plus two?", True),
        ("I do not know.", False),
        ("A\nB?" * 5, False),
        ("?", False),
    ],
)
def test_only_one_line_that_asks_will_do_as_a_prompt(text: str, will_do: bool) -> None:
    assert is_question(text) is will_do
