"""Which prompts a batch reads, and into how few pieces llama.cpp splits it."""

from hypothesis import given
from hypothesis import strategies as st

from mining.node.engine.batching import (
    CROWD,
    CROWD_TOKENS,
    FULL_TOKENS,
    LONE_TOKENS,
    TILE_TOKENS,
    Unread,
    gaps,
    order,
    pieces,
    room_for_prompts,
    shares,
)
from mining.node.llm.llama import Run

UNREAD = st.builds(
    lambda tokens, tiled: Unread(tokens + (TILE_TOKENS if tiled else 0), tiled),
    st.integers(1, 600),
    st.booleans(),
)


def short(tokens: int) -> Unread:
    return Unread(tokens, in_tiles=False)


def long(tokens: int) -> Unread:
    return Unread(tokens, in_tiles=True)


def test_short_prompts_are_read_whole_before_longer_ones() -> None:
    assert shares([long(500), short(20), long(300), short(10)], 256) == [128, 20, 98, 10]


def test_the_oldest_is_read_however_many_short_ones_come() -> None:
    assert shares([long(500), *[short(16)] * 8], 128) == [64, *[16] * 4, *[0] * 4]
    assert shares([long(120), *[short(16)] * 8], 128) == [120, 8, *[0] * 7]


@given(st.lists(UNREAD, min_size=1, max_size=32), st.integers(2 * TILE_TOKENS, 512))
def test_a_run_in_tiles_is_never_shorter_than_one_and_no_other_is_as_long(
    unread: list[Unread], room: int
) -> None:
    counts = shares(unread, room)
    assert 0 < sum(counts) <= room
    assert counts[0] > 0
    for count, each in zip(counts, unread, strict=True):
        left = each.tokens - count
        if count and each.in_tiles:
            assert count >= TILE_TOKENS
            assert left == 0 or left >= TILE_TOKENS
        assert left >= 0
        assert each.in_tiles or count < TILE_TOKENS


@given(st.lists(UNREAD, min_size=1, max_size=32))
def test_every_prompt_is_read_in_the_end(unread: list[Unread]) -> None:
    for _ in range(sum(each.tokens for each in unread)):
        counts = shares(unread, LONE_TOKENS)
        unread = [
            Unread(each.tokens - count, each.in_tiles)
            for each, count in zip(unread, counts, strict=True)
            if each.tokens > count
        ]
    assert unread == []


def test_single_tokens_go_through_together_and_longer_runs_with_their_like() -> None:
    def run(slot: int, tokens: int) -> Run:
        return Run(slot, 0, [5] * tokens, outputs=1)

    runs = [run(0, 1), run(1, 70), run(2, 70), run(3, 1), run(4, 70), run(5, 80), run(6, 1)]
    together = [[each.sequence for each in piece] for piece in pieces(runs)]
    assert together == [[0, 3, 6], [1, 2], [4], [5]]


def test_nobody_waits_for_a_large_batch_but_in_a_crowd() -> None:
    assert room_for_prompts(1, 8, on_gpu=False) == LONE_TOKENS
    assert room_for_prompts(CROWD, 8, on_gpu=False) == CROWD_TOKENS
    assert room_for_prompts(1, 0, on_gpu=True) == FULL_TOKENS
    assert room_for_prompts(1, 8, on_gpu=True) == LONE_TOKENS


def test_narrow_gaps_are_bridged_and_wide_ones_are_not() -> None:
    assert gaps([7, 0, 1, 4, 13, 14, 15, 16]) == [2, 3, 5, 6]


def test_few_sequences_stay_apart_and_neighbours_need_no_bridge() -> None:
    assert gaps([0, 2, 4, 6]) == []
    assert gaps(range(16)) == []


def test_where_it_is_faster_the_first_sequences_get_slots_that_are_no_neighbours() -> None:
    assert order(5, apart=False) == [0, 1, 2, 3, 4]
    assert order(5, apart=True) == [0, 2, 4, 1, 3]
    assert order(16, apart=True)[:8] == [0, 2, 4, 6, 8, 10, 1, 3]


@given(st.integers(1, 64), st.booleans())
def test_every_slot_is_given_out(slots: int, apart: bool) -> None:
    assert sorted(order(slots, apart=apart)) == list(range(slots))
