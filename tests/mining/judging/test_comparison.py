"""A client's answer is judged by the same rule as a miner's."""

import pytest

from mining.judging.comparison import judge_answer

LONG = (
    "The network runs language models on the machines of strangers and pays them for honest work."
)


def test_the_same_words_are_worth_all_of_it():
    assert judge_answer("19.", "19.").accuracy_bps == 10_000


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (LONG.replace("pays them for honest work", "pays them for their honest work"), True),
        ("Bananas are yellow when they are ripe, and green for some weeks before that.", False),
        ("19", False),
    ],
)
def test_other_words_count_if_they_say_the_same(answer, counts):
    worth = judge_answer(answer, LONG)
    assert (worth.accuracy_bps > 0) == counts
    assert 0 < worth.distance <= 2
