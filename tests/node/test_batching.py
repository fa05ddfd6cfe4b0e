"""Which prompts a batch reads, and into how few pieces llama.cpp cuts it."""

from hypothesis import given
from hypothesis import strategies as st

from mining.node.batching import (
    CROWD,
    CROWD_TOKENS,
    FULL_TOKENS,
    LONE_TOKENS,
    gaps,
    order,
    room_for_prompts,
    shares,
)

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=32)


def test_short_prompts_are_read_whole_before_longer_ones() -> None:
    assert shares([500, 20, 300, 10], 128) == [64, 20, 34, 10]


def test_half_of_the_room_is_the_oldest_ones_however_many_short_ones_come() -> None:
    assert shares([500, *[16] * 8], 128) == [64, *[16] * 4, *[0] * 4]


@given(LENGTHS, st.integers(1, 512))
def test_the_room_is_used_up_and_no_prompt_is_read_past_its_end(
    unread: list[int], room: int
) -> None:
    counts = shares(unread, room)
    assert sum(counts) == min(room, sum(unread))
    assert all(0 <= count <= length for count, length in zip(counts, unread, strict=True))


@given(LENGTHS)
def test_every_prompt_is_read_in_the_end(unread: list[int]) -> None:
    for _ in range(sum(unread) // LONE_TOKENS + 1):
        counts = shares(unread, LONE_TOKENS)
        unread = [left - count for left, count in zip(unread, counts, strict=True) if left > count]
    assert unread == []


def test_nobody_waits_for_a_large_batch_but_in_a_crowd() -> None:
    assert room_for_prompts(1, 8, on_gpu=False) == LONE_TOKENS
    assert room_for_prompts(CROWD, 8, on_gpu=False) == CROWD_TOKENS
    assert room_for_prompts(1, 0, on_gpu=True) == FULL_TOKENS
    assert room_for_prompts(1, 8, on_gpu=True) == LONE_TOKENS
    assert room_for_prompts(9, FULL_TOKENS, on_gpu=False) == 0


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
