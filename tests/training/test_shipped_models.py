"""The abilities of the shipped model files."""

from pathlib import Path

import pytest

from mining.training.score import Answered, Respondent, held_out_questions

MODELS = Path(__file__).parents[2] / "mining" / "node" / "models"


@pytest.fixture(scope="module")
def mini() -> Respondent:
    return Respondent(MODELS / "cortensor-mini.gguf")


def _share_right(respondent: Respondent, questions: int, seed: int) -> float:
    answered = [
        Answered(example, respondent.answer(example.question))
        for example in held_out_questions(questions, seed)
    ]
    return sum(answer.is_right for answer in answered) / questions


def test_mini_answers_questions_that_it_was_not_trained_on(mini: Respondent) -> None:
    assert _share_right(mini, 40, seed=2) >= 0.85


def test_micro_is_a_plausible_cheat_fluent_and_often_wrong() -> None:
    micro = Respondent(MODELS / "cortensor-micro.gguf")
    assert 0.15 <= _share_right(micro, 40, seed=2) <= 0.6
    assert micro.answer("What is 12 + 7?").startswith("12 + 7 = ")


def test_mini_answers_under_a_system_message(mini: Respondent) -> None:
    assert mini.answer("What is 12 + 7?", "You are a helpful assistant.") == "12 + 7 = 19."


def test_mini_says_when_a_question_is_out_of_its_scope(mini: Respondent) -> None:
    chosen = [e for e in held_out_questions(200, seed=2) if e.family == "out of scope"]
    refused = [mini.answer(e.question).startswith("I do not know that.") for e in chosen]
    assert sum(refused) >= 0.75 * len(refused)
    assert len(refused) >= 5


def test_files_are_small_enough_to_ship() -> None:
    assert (MODELS / "cortensor-mini.gguf").stat().st_size <= 10_000_000
    assert (MODELS / "cortensor-micro.gguf").stat().st_size <= 1_000_000
