"""Checking a revealed answer against itself, its task and its stream."""

import json

import pytest

from mining.answers import (
    Answer,
    AnswerUnfit,
    Streamed,
    count_tokens,
    parse_answer,
    read_stream,
    require_streamed,
)
from mining.node.llama import Model
from sessions.models import Task

MINER = "0x" + "aB" * 20
TASK = Task(session_id=1, task_id=1_000_000, task_digest="0x" + "ab" * 32)


def content(**changes):
    value = {
        "result": "25",
        "salt": "0x00",
        "session_id": 1,
        "task_id": 1_000_000,
        "task_digest": "0x" + "ab" * 32,
        "miner": MINER,
        "model": 1,
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        "token_ids": [5, 6, 2],
    }
    return json.dumps(value | changes).encode()


def test_an_answer_is_read_from_its_content():
    assert parse_answer(content(), TASK, MINER.lower()) == Answer("25", "stop", (5, 6, 2))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"result": "25"}',
        content(session_id=2),
        content(task_id=1_000_001),
        content(task_digest="0x" + "cd" * 32),
        content(miner="0x" + "cd" * 20),
        content(result=25),
        content(result="a\x00b"),
        content(finish_reason="tired"),
        content(token_ids="5"),
        content(token_ids=[True]),
        content(token_ids=[1.5]),
    ],
    ids=lambda value: value[:40].decode(),
)
def test_content_that_says_something_else_is_unfit(bad):
    with pytest.raises(AnswerUnfit, match="content"):
        parse_answer(bad, TASK, MINER)


def test_what_was_streamed_must_be_what_is_revealed():
    answer = Answer("twenty-five", "stop", (1,))
    require_streamed(answer, None)
    require_streamed(answer, Streamed("twenty-five", complete=True))
    require_streamed(answer, Streamed("twenty", complete=False))
    for streamed in (
        Streamed("twenty", complete=True),
        Streamed("thirty", complete=False),
        Streamed("twenty-five!", complete=True),
        Streamed("twenty-five!", complete=False),
    ):
        with pytest.raises(AnswerUnfit, match="streamed"):
            require_streamed(answer, streamed)


def test_a_streams_pieces_are_joined_even_within_a_character():
    euro = "€".encode()
    pieces = [{b"text": euro[:1]}, {b"text": euro[1:]}, {b"done": b"1"}]
    assert read_stream(pieces) == Streamed("€", complete=True)
    assert read_stream(pieces[:2]) == Streamed("€", complete=False)
    assert read_stream([]) is None


class TestTokens:
    @pytest.fixture(scope="class")
    def vocabulary(self, model_path):
        model = Model(model_path, vocab_only=True)
        yield model
        model.close()

    def spell(self, vocabulary, text):
        return tuple(vocabulary.tokenise(text, special=False))

    def test_tokens_that_spell_the_answer_count_with_the_one_that_ends_it(self, vocabulary):
        tokens = self.spell(vocabulary, "the answer is 25")
        (end,) = vocabulary.tokenise("<|end|>", special=True)
        answer = Answer("the answer is 25", "stop", (*tokens, end))
        assert count_tokens(answer, 100, (), vocabulary) == len(tokens) + 1

    def test_a_stop_string_is_spelt_and_not_part_of_the_answer(self, vocabulary):
        tokens = self.spell(vocabulary, "25\n\n")
        assert count_tokens(Answer("25", "stop", tokens), 100, ["\n\n"], vocabulary) == len(tokens)

    @pytest.mark.parametrize("text", ["the answer is 26", "the answer is 25 or so", ""])
    def test_tokens_that_spell_something_else_are_unfit(self, vocabulary, text):
        tokens = self.spell(vocabulary, "the answer is 25")
        with pytest.raises(AnswerUnfit, match="spell"):
            count_tokens(Answer(text, "stop", tokens), 100, (), vocabulary)

    def test_padding_is_unfit(self, vocabulary):
        tokens = self.spell(vocabulary, "25")
        (end,) = vocabulary.tokenise("<|end|>", special=True)
        with pytest.raises(AnswerUnfit, match="after the answer's end"):
            count_tokens(Answer("25", "stop", (*tokens, end, end)), 100, (), vocabulary)

    @pytest.mark.parametrize("tokens", [(), (1,) * 33, (-1,), (10**6,)])
    def test_tokens_out_of_range_are_unfit(self, vocabulary, tokens):
        with pytest.raises(AnswerUnfit, match="token_ids"):
            count_tokens(Answer("", "stop", tokens), 32, (), vocabulary)
