"""One answer beside another, by the rule that miners' answers are judged by."""

from mining.judging.embeddings import embed
from mining.judging.judgement import FULL_BPS, judge_by_reference
from sessions.ports import AnswerWorth


def judge_answer(answer: str, reference: str) -> AnswerWorth:
    """What an answer is worth if the other one is right."""
    if answer == reference:
        return AnswerWorth(FULL_BPS, 0.0)
    judgement = judge_by_reference([answer], reference, embed)
    return AnswerWorth(judgement.accuracies_bps[0], judgement.to_centre[0])
