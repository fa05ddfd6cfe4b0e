"""Judges answers with the validator's embedding model."""

import pytest

from mining.judging.embeddings import embed
from mining.judging.judgement import FULL_BPS, judge, judge_by_reference, judge_logprobs
from sessions.logprobs import TokenLogprob

LONG = (
    "Paris is the capital of France. It lies on the Seine, in the north of the country, and is"
    " known for its museums, its bridges and its bread."
)
ALMOST = LONG.replace("its bridges and its bread", "its bridges and also its bread")
OTHER = (
    "A binary search tree keeps smaller keys on the left and larger ones on the right, so that"
    " looking one up takes time in the order of its height."
)


def test_equal_answers_are_worth_all():
    judgement = judge(["12 + 13 = 25."] * 3, embed)
    assert judgement is not None
    assert judgement.accuracies_bps == [FULL_BPS] * 3
    assert judgement.distances == [[0.0] * 3] * 3


@pytest.mark.parametrize("texts", [["alone"], ["the same", "the same"]])
def test_equal_answers_are_judged_without_an_embedding(texts):
    def never(texts):
        raise AssertionError(f"embedded {texts}")

    judgement = judge(texts, never)
    assert judgement is not None
    assert judgement.accuracies_bps == [FULL_BPS] * len(texts)
    by_reference = judge_by_reference(texts, texts[0], never)
    assert by_reference.accuracies_bps == [FULL_BPS] * len(texts)
    assert by_reference.to_centre == [0.0] * len(texts)


def test_an_answer_that_is_not_the_majoritys_is_worth_nothing():
    judgement = judge(["25", "26", "25"], embed)
    assert judgement is not None
    assert judgement.accuracies_bps == [FULL_BPS, 0, FULL_BPS]
    assert judgement.distances[0][1] > 0


@pytest.mark.parametrize(("answer", "wrong"), [("yes", "no"), ("Monday.", "Tuesday.")])
def test_short_answers_must_be_equal_however_near_they_are(answer, wrong):
    judgement = judge([answer, answer, wrong], embed)
    assert judgement is not None
    assert judgement.accuracies_bps == [FULL_BPS, FULL_BPS, 0]


def test_a_long_answer_that_is_nearly_the_majoritys_is_worth_nearly_all():
    judgement = judge([LONG, ALMOST, LONG], embed)
    assert judgement is not None
    first, almost, third = judgement.accuracies_bps
    assert first == third == FULL_BPS
    assert 9_000 <= almost < FULL_BPS


def test_long_answers_may_each_differ_a_little_and_still_agree():
    judgement = judge([LONG, ALMOST, LONG.replace("known", "well known")], embed)
    assert judgement is not None
    assert min(judgement.accuracies_bps) > 9_000
    assert judgement.accuracies_bps[judgement.centre] == FULL_BPS


def test_a_wrong_figure_in_the_right_sentence_is_worth_nothing():
    right = "If you add twelve to thirteen with care, then what you get in the end is 25, always."
    wrong = right.replace("25", "26")
    judgement = judge([right, right, wrong], embed)
    assert judgement is not None
    assert judgement.accuracies_bps == [FULL_BPS, FULL_BPS, 0]


def test_another_subject_is_worth_nothing():
    judgement = judge([OTHER, LONG, ALMOST], embed)
    assert judgement is not None
    assert judgement.accuracies_bps[0] == 0
    assert judgement.to_centre[0] > 0.5


@pytest.mark.parametrize("texts", [["25", "26"], ["1", "2", "3"], ["a", "a", "b", "b"]])
def test_without_a_majority_nothing_is_decided(texts):
    assert judge(texts, embed) is None


@pytest.mark.parametrize("texts", [["25", "26", "25"], [LONG, OTHER, ALMOST, LONG]])
def test_the_order_of_arrival_does_not_matter(texts):
    judgement, mirrored = judge(texts, embed), judge(texts[::-1], embed)
    assert judgement is not None
    assert mirrored is not None
    assert judgement.accuracies_bps == mirrored.accuracies_bps[::-1]


def test_one_answer_alone_agrees_with_itself():
    judgement = judge(["25"], embed)
    assert judgement is not None
    assert judgement.accuracies_bps == [FULL_BPS]


def test_the_validators_own_run_decides_where_it_is_the_measure():
    judgement = judge_by_reference(["25", "26", LONG], "26", embed)
    assert judgement.accuracies_bps == [0, FULL_BPS, 0]
    assert judgement.centre is None


def told(*logprobs: float, first: int = 5) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(first + n, value, ((first + n, value), (99, value - 1)))
        for n, value in enumerate(logprobs)
    )


def test_log_probabilities_are_believed_as_far_as_floating_point_may_differ():
    honest = told(-0.5, -1.5)
    assert judge_logprobs([honest, told(-0.51, -1.49), told(-0.5, -3.0)], None) == [
        True,
        True,
        False,
    ]
    assert judge_logprobs([honest], None) == [True]


def test_log_probabilities_without_a_majority_are_for_a_rerun_to_decide():
    honest, liar = told(-0.5), told(-2.5)
    assert judge_logprobs([honest, liar], None) is None
    assert judge_logprobs([honest, liar], honest) == [True, False]


def test_log_probabilities_are_compared_as_long_as_the_tokens_are_the_same():
    parts = (*told(-0.5), *told(-9.0, first=40))
    assert judge_logprobs([told(-0.5, -1.0), parts], told(-0.5, -1.0)) == [True, True]


def test_made_up_rivals_are_found():
    honest = told(-0.5)
    liar = (honest[0]._replace(top=((5, -0.5), (77, -0.6))),)
    assert judge_logprobs([liar], honest) == [False]
