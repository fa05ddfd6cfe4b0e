"""A revealed answer is checked against itself, its task and its stream."""

import json

import pytest

from mining.judging.answers import (
    Answer,
    AnswerUnfit,
    Streamed,
    count_tokens,
    parse_answer,
    read_stream,
    require_logprobs,
    require_streamed,
    up_to,
)
from mining.node.llm.llama import Model
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


def test_log_probabilities_belong_to_the_tokens_and_to_what_was_streamed():
    rows = [["-0.5000", [[5, "-0.5000"]]], ["-1", [[6, "-1"]]], ["-2", [[2, "-2"]]]]
    answer = parse_answer(content(logprobs=rows), TASK, MINER)
    assert [each.token for each in answer.logprobs] == [5, 6, 2]
    require_logprobs(answer, 1)
    for count in (0, 2):
        with pytest.raises(AnswerUnfit, match="logprobs"):
            require_logprobs(answer, count)
    same = read_stream([{b"text": b"25", b"logprobs": json.dumps([[5, *rows[0]]]).encode()}])
    require_streamed(answer, same)
    other = read_stream([{b"text": b"25", b"logprobs": b'[[5, "-0.6", [[5, "-0.6"]]]]'}])
    with pytest.raises(AnswerUnfit, match="logprobs"):
        require_streamed(answer, other)


@pytest.mark.parametrize(
    "rows", [7, [], [["-1"]] * 3, [["x", []]] * 3, [["1.5", []]] * 3, [["nan", []]] * 3]
)
def test_log_probabilities_that_are_none_are_unfit(rows):
    with pytest.raises(AnswerUnfit, match="content"):
        parse_answer(content(logprobs=rows), TASK, MINER)


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

    def test_what_counts_of_a_shortened_answer_ends_with_the_token_that_is_enough(self, vocabulary):
        tokens = self.spell(vocabulary, "the answer is 25 or so")
        longer = Answer("the answer is 25 or so", "cancelled", tokens)
        shorter = Answer(
            "the answer is 25", "cancelled", self.spell(vocabulary, "the answer is 25")
        )
        counts = [up_to(answer, 10, (), vocabulary) for answer in (longer, shorter)]
        assert counts[0] == counts[1]
        assert len(counts[0].text) >= 10
        assert "the answer is 25".startswith(counts[0].text)
        assert up_to(longer, 0, (), vocabulary).token_ids == tokens[:1]

    def test_an_answer_that_ended_by_itself_before_counts_as_it_is(self, vocabulary):
        tokens = self.spell(vocabulary, "25")
        (end,) = vocabulary.tokenise("<|end|>", special=True)
        answer = Answer("25", "stop", (*tokens, end))
        assert up_to(answer, 100, (), vocabulary) == answer

    def test_an_answer_that_ends_before_it_was_told_to_is_unfit(self, vocabulary):
        answer = Answer("25", "cancelled", self.spell(vocabulary, "25"))
        with pytest.raises(AnswerUnfit, match="earlier than the task allows"):
            up_to(answer, 100, (), vocabulary)
