"""Tokens of log-probabilities: their offsets, their names, and which of them are listed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.node.engine.pieces import TextAssembler
from sessions.faces.openai.responses.logprobs import Places, Spelling, chat_logprobs, text_logprobs
from sessions.logprobs import TokenLogprob


class Spelled(Spelling):
    """A vocabulary of these tokens."""

    def __init__(self, *tokens: bytes) -> None:
        super().__init__(1)
        self._tokens = tokens

    def bytes_of(self, token: int) -> bytes:
        return self._tokens[token]


def told(*tokens: int) -> list[TokenLogprob]:
    return [TokenLogprob(token, -0.5, ((token, -0.5),)) for token in tokens]


def offsets(spelling: Spelling, text: str, tokens: Sequence[int]) -> list[int]:
    return [each.offset for each in Places(spelling).take(told(*tokens), text)]


def test_a_character_of_two_tokens_counts_once() -> None:
    spelling = Spelled(b"a", b"\xc3", b"\xa9", b"b", b"\xf0\x9f", b"\x98\x80", b"!")
    assert offsets(spelling, "aéb😀!", range(7)) == [0, 1, 1, 2, 3, 3, 4]
    shown = text_logprobs(Places(spelling).take(told(*range(7)), "aéb😀!"), 0, spelling, 10)
    assert shown["text_offset"] == [10, 11, 11, 12, 13, 13, 14]


def test_bytes_that_are_no_character_take_the_place_of_one() -> None:
    spelling = Spelled(b"\xe2", b"a", b"\xe2\x80", b"\xe2", b"\x80\xa6b", b"", b"c")
    text = "\ufffda\ufffd…bc"
    assert offsets(spelling, text, range(7)) == [0, 1, 2, 3, 3, 5, 5]


def test_parts_of_a_character_have_names_of_their_own() -> None:
    spelling = Spelled(b"\xe2\x80", b"\xe2\x81", b"\xa6", "…".encode())
    row = TokenLogprob(0, -0.1, ((0, -0.1), (1, -0.2), (2, -0.3)))
    shown = text_logprobs(Places(spelling).take([row], "…"), 3, spelling, 0)
    assert shown["tokens"] == ["bytes:\\xe2\\x80"]
    assert shown["top_logprobs"] == [
        {"bytes:\\xe2\\x80": -0.1, "bytes:\\xe2\\x81": -0.2, "bytes:\\xa6": -0.3}
    ]
    [entry] = chat_logprobs(Places(spelling).take([row], "…"), 3, spelling)["content"]
    assert (entry["token"], entry["bytes"]) == ("bytes:\\xe2\\x80", [0xE2, 0x80])
    assert [rival["bytes"] for rival in entry["top_logprobs"]] == [[226, 128], [226, 129], [166]]


def test_of_two_tokens_that_spell_the_same_the_likelier_is_shown() -> None:
    spelling = Spelled(b"a", b"a")
    row = TokenLogprob(0, -0.1, ((0, -0.1), (1, -0.2)))
    shown = text_logprobs(Places(spelling).take([row], "a"), 2, spelling, 0)
    assert shown["top_logprobs"] == [{"a": -0.1}]


@pytest.mark.parametrize(
    ("text", "count"), [("12 + 7", 3), ("12 + ", 3), ("12 +", 2), ("", 0), ("12 + 7=", 4)]
)
def test_no_token_is_told_that_a_stop_string_has_cut_off(text: str, count: int) -> None:
    spelling = Spelled(b"12", b" +", b" 7", b"=")
    assert len(Places(spelling).take(told(0, 1, 2, 3), text)) == count


def test_a_stream_tells_what_the_whole_answer_does() -> None:
    """`= ` is held back, since it may be the beginning of the stop string that it then is."""
    spelling = Spelled(b"12", b" +", b" 7", b"= ", b"?\n", b"no")
    places = Places(spelling)
    pieces = [("12", [0]), (" +", [1]), (" 7", [2, 3]), ("", [4, 5])]
    streamed = [places.take(told(*tokens), text) for text, tokens in pieces]
    assert [[each.told.token for each in row] for row in streamed] == [[0], [1], [2], []]
    assert [each for row in streamed for each in row] == Places(spelling).take(
        told(*range(6)), "12 + 7"
    )


def test_what_was_held_back_is_told_with_its_text() -> None:
    spelling = Spelled(b"a", b"=", b"b")
    places = Places(spelling)
    assert [each.told.token for each in places.take(told(0, 1), "a")] == [0]
    assert [each.told.token for each in places.take(told(2), "=b")] == [1, 2]


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=12), st.data())
def test_in_any_pieces_each_token_stands_where_its_text_begins(
    tokens: list[bytes], data: st.DataObject
) -> None:
    spelling, assembler = Spelled(*tokens), TextAssembler()
    fed = [assembler.feed(token) for token in tokens] + [assembler.finish()]
    text = "".join(fed)
    whole = Places(spelling).take(told(*range(len(tokens))), text)
    # What follows the tokens before this one begins at its place.
    for each in whole:
        before = b"".join(tokens[: each.told.token]).decode(errors="replace")
        assert len(before) - 1 <= each.offset <= len(before)
        assert each.offset < len(text)
    at = data.draw(st.integers(0, len(tokens)))
    places = Places(spelling)
    first = places.take(told(*range(at)), "".join(fed[:at]))
    assert first + places.take(told(*range(at, len(tokens))), "".join(fed[at:])) == whole
