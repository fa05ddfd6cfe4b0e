"""Computations take turns on one thread."""

import threading
from collections.abc import Callable, Iterator

import pytest

from mining.node.engine.turns import Turns, shared


@pytest.fixture
def turns() -> Iterator[Turns]:
    turns = Turns("tested")
    yield turns
    turns.close()


def test_everything_is_done_on_one_thread(turns: Turns) -> None:
    threads = {turns.ask(threading.get_ident).result(5) for _ in range(5)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_whoever_has_more_to_do_comes_after_the_others(turns: Turns) -> None:
    steps: list[str] = []
    done = threading.Event()

    def steps_of(name: str, count: int) -> Callable[[], bool]:
        left = iter(range(count - 1, -1, -1))

        def turn() -> bool:
            steps.append(name)
            return next(left) > 0

        return turn

    ready = threading.Event()
    turns.ask(ready.wait)  # both are there before the first step
    turns.take(steps_of("a", 3))
    turns.take(steps_of("b", 2))
    turns.ask(lambda: steps.append("once"))
    ready.set()

    def last() -> bool:
        if len(steps) < 6:
            return True
        done.set()
        return False

    turns.take(last)
    assert done.wait(5)
    assert steps == ["a", "b", "once", "a", "b", "a"]


def test_who_asks_twice_gets_no_more_turns_than_others(turns: Turns) -> None:
    counts = {"asks often": 0, "asks once": 0}
    ready, over = threading.Event(), threading.Event()

    def often() -> bool:
        counts["asks often"] += 1
        return not over.is_set()

    def once() -> bool:
        counts["asks once"] += 1
        if counts["asks once"] == 10:
            over.set()
        return not over.is_set()

    turns.ask(ready.wait)
    for _ in range(20):
        turns.take(often)
    turns.take(once)
    ready.set()
    assert over.wait(5)
    turns.ask(lambda: None).result(5)
    assert abs(counts["asks often"] - counts["asks once"]) <= 1


def test_what_fails_fails_for_who_asked_and_nobody_else(turns: Turns) -> None:
    def fail() -> None:
        raise ValueError("no")

    failing, working = turns.ask(fail), turns.ask(lambda: 7)
    with pytest.raises(ValueError, match="no"):
        failing.result(5)
    assert working.result(5) == 7


def test_what_was_asked_for_is_done_before_the_thread_ends() -> None:
    turns = Turns("tested")
    asked = [turns.ask(lambda: None) for _ in range(100)]
    turns.close()
    assert all(future.done() for future in asked)


def test_a_process_has_one_thread_for_all_who_compute_with_several() -> None:
    assert shared() is shared()
