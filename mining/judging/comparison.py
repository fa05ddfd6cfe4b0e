"""Compares two answers by the rule that also judges miners' answers."""

from mining.judging.embeddings import embed
from mining.judging.judgement import FULL_BPS, judge_by_reference
from sessions.ports import AnswerWorth


def judge_answer(answer: str, reference: str) -> AnswerWorth:
    """Return what an answer is worth if `reference` is right."""
    if answer == reference:
        return AnswerWorth(FULL_BPS, 0.0)
    judgement = judge_by_reference([answer], reference, embed)
    return AnswerWorth(judgement.accuracies_bps[0], judgement.to_centre[0])
