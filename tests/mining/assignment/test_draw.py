"""The draw of miners."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mining.assignment.draw import (
    LOADING_FACTOR,
    SPEED_FACTOR,
    Candidate,
    choose_miners,
    readiness,
    weight,
)

candidates = st.lists(
    st.builds(
        Candidate,
        address=st.integers(0, 2**160 - 1).map(lambda n: f"0x{n:040x}"),
        reputation=st.integers(-100, 1000),
        dedicated=st.booleans(),
        speed=st.none() | st.floats(0, 1e12),
    ),
    unique_by=lambda c: c.address,
    max_size=12,
)


@given(candidates, st.integers(0, 16), st.binary(min_size=1, max_size=32), st.randoms())
def test_the_draw_depends_on_the_set_and_the_seed_only(pool, count, seed, shuffler):
    shuffled = list(pool)
    shuffler.shuffle(shuffled)
    assert choose_miners(pool, count, seed) == choose_miners(shuffled, count, seed)


@given(candidates, st.integers(0, 16), st.binary(min_size=1, max_size=32))
def test_as_many_distinct_miners_as_asked_for_come_back_dedicated_ones_first(pool, count, seed):
    chosen = choose_miners(pool, count, seed)
    assert len(chosen) == min(count, len(pool))
    assert len({c.address for c in chosen}) == len(chosen)
    wanted = min(count, sum(c.dedicated for c in pool))
    assert all(c.dedicated for c in chosen[:wanted])


@given(candidates, st.binary(min_size=1, max_size=32))
def test_fewer_places_only_cut_the_same_order_short(pool, seed):
    everyone = choose_miners(pool, len(pool), seed)
    assert choose_miners(pool, 3, seed) == everyone[:3]


def test_chances_follow_reputation():
    pool = [Candidate("0xa", 199), Candidate("0xb", -1), Candidate("0xc", -100)]
    assert [weight(c) for c in pool] == [300, 100, 1]
    draws = 4000
    first = Counter(choose_miners(pool, 1, n.to_bytes(4, "big"))[0].address for n in range(draws))
    total = sum(weight(c) for c in pool)
    for candidate in pool[:2]:
        expected = draws * weight(candidate) / total
        assert abs(first[candidate.address] - expected) < 0.1 * expected + 30
    assert first["0xc"] < 60


def test_speed_helps_and_a_lie_about_it_gains_little():
    quick, slow, boast = (Candidate("0xa", 0, speed=speed) for speed in (150.0, 50.0, 1e12))
    assert readiness(quick, 100) == 1.5
    assert readiness(slow, 100) == 1 / SPEED_FACTOR
    assert readiness(boast, 100) == SPEED_FACTOR
    assert readiness(Candidate("0xa", 0), 100) == readiness(quick, 0) == 1


def test_a_model_in_memory_goes_before_one_that_has_to_be_loaded():
    pool = [Candidate("0xa", 0, speed=30.0), Candidate("0xb", 0, speed=None)]
    draws = 2000
    first = Counter(choose_miners(pool, 1, n.to_bytes(4, "big"))[0].address for n in range(draws))
    expected = draws * LOADING_FACTOR / (1 + LOADING_FACTOR)
    assert abs(first["0xb"] - expected) < 0.15 * expected
