"""The draw of miners."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mining.choice import Candidate, choose_miners, weight

candidates = st.lists(
    st.builds(
        Candidate,
        address=st.integers(0, 2**160 - 1).map(lambda n: f"0x{n:040x}"),
        reputation=st.integers(-100, 1000),
        dedicated=st.booleans(),
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
