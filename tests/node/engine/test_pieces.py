"""Text appears in whole characters, at once, and never past a stop string."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mining.node.engine.pieces import TextAssembler


def pieces(data: list[bytes], *stop: str) -> tuple[list[str], bool]:
    assembler = TextAssembler(stop)
    shown = []
    for chunk in data:
        shown.append(assembler.feed(chunk))
        if assembler.stopped:
            break
    shown.append(assembler.finish())
    return shown, assembler.stopped


def test_plain_text_is_shown_at_once() -> None:
    assert pieces([b"Hel", b"lo"]) == (["Hel", "lo", ""], False)


def test_a_character_waits_for_its_last_byte() -> None:
    euro = "€".encode()
    assert pieces([b"a" + euro[:1], euro[1:2], euro[2:]])[0] == ["a", "", "€", ""]


def test_broken_bytes_and_nul_become_replacement_characters() -> None:
    assert "".join(pieces([b"a\xff\x00b", "€".encode()[:2]])[0]) == "a\ufffd\ufffdb\ufffd"


def test_a_stop_string_is_found_across_pieces_and_cut_off() -> None:
    assert pieces([b"one E", b"N", b"D two"], "END") == (["one ", "", "", ""], True)


def test_what_only_looked_like_a_stop_string_is_shown() -> None:
    assert pieces([b"one E", b"N", b"E"], "END")[0] == ["one ", "", "EN", "E"]


def test_the_first_stop_string_in_the_text_counts() -> None:
    assert "".join(pieces([b"abcdef"], "ef", "cd")[0]) == "ab"


def test_an_empty_stop_string_stops_nothing() -> None:
    assert pieces([b"abc"], "") == (["abc", ""], False)


@given(st.text("abé", max_size=30), st.text("abé", min_size=1, max_size=4), st.data())
def test_any_split_shows_the_text_up_to_the_stop_string(
    text: str, stop: str, data: st.DataObject
) -> None:
    encoded = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(encoded)), max_size=8)))
    edges = [0, *cuts, len(encoded)]
    chunks = [encoded[a:b] for a, b in itertools.pairwise(edges)]
    shown, stopped = pieces(chunks, stop)
    assert "".join(shown) == text.split(stop)[0]
    assert stopped == (stop in text)
