"""Many sequences in one engine, each with the answer that it has alone."""

import threading
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from mining.node.engine import batching
from mining.node.engine.batch_engine import Engine
from mining.node.engine.batching import TILE_TOKENS, gaps
from mining.node.engine.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    Generation,
    GenerationRequest,
)
from mining.node.llm.prompts import PLAIN, ContextExceeded
from mining.node.protocol.sampling_params import SamplingParams
from tests.node.generation_requests import endless, request


def test_pieces_join_to_the_result(engine: Engine) -> None:
    generation = engine.submit(request(engine, 1))
    text = "".join(generation)
    result = generation.result()
    assert text == result.text
    assert result.completion_tokens == len(result.token_ids) <= 40
    assert result.prompt_tokens == len(generation.request.prompt_tokens)


def test_the_same_request_gives_the_same_tokens(engine: Engine) -> None:
    first, again = (engine.submit(request(engine, 2)).result() for _ in range(2))
    assert first == again
    other = engine.submit(request(engine, 2, seed=bytes(32))).result()
    assert other.token_ids != first.token_ids


def test_a_sequence_is_what_it_would_be_alone(engine: Engine) -> None:
    """But for rounding: batches differ in the last bits, so that one in many may go another way."""
    requests = [request(engine, seed) for seed in range(12)]
    alone = [engine.submit(item).result() for item in requests]
    together = [generation.result() for generation in [engine.submit(item) for item in requests]]
    same = sum(a.token_ids == b.token_ids for a, b in zip(alone, together, strict=True))
    assert same >= 11


def test_a_seed_decides_nothing_without_temperature(engine: Engine) -> None:
    prompt = request(engine, 3).prompt_tokens
    cold = [
        engine.submit(
            request(engine, seed, prompt_tokens=prompt, sampling=SamplingParams())
        ).result()
        for seed in (4, 5)
    ]
    assert cold[0] == cold[1]


def test_more_requests_than_slots_wait_in_line(engine: Engine) -> None:
    generations = [engine.submit(request(engine, seed, max_tokens=20)) for seed in range(20)]
    assert all(generation.result(10).text for generation in generations)


def test_requests_join_while_others_run(engine: Engine) -> None:
    long = engine.submit(endless(engine))
    pieces = iter(long)
    next(pieces)
    short = engine.submit(request(engine, 7, max_tokens=3)).result(5)
    assert short.completion_tokens <= 3
    assert "".join(pieces)
    assert long.result().completion_tokens == 450


def test_a_long_prompt_is_read_in_chunks(engine: Engine) -> None:
    prompt = engine.prompts.tokenise("the hen " * 40, PLAIN)
    whole = request(engine, 8, prompt_tokens=prompt * 2, max_tokens=10)
    alone = engine.submit(whole).result()
    running = engine.submit(endless(engine))
    next(iter(running))
    beside = engine.submit(whole).result()
    running.cancel()
    assert beside.prompt_tokens == len(prompt) * 2 > 128
    assert beside.token_ids == alone.token_ids


def test_cancelling_ends_within_a_step_and_frees_the_slot(engine: Engine) -> None:
    long = endless(engine)
    generations = [engine.submit(long) for _ in range(engine.slots)]
    waiting = engine.submit(long)
    next(iter(generations[0]))
    for generation in [*generations, waiting]:
        generation.cancel()
    for generation in [*generations, waiting]:
        with pytest.raises(Cancelled):
            generation.result(5)
    assert engine.submit(request(engine, 9)).result(5).text


def test_a_deadline_ends_what_is_running_and_what_is_waiting(engine: Engine) -> None:
    long = endless(engine)
    late = GenerationRequest(
        long.prompt_tokens, 450, long.sampling, long.seed, deadline_at=time.time() + 0.02
    )
    generations = [engine.submit(late) for _ in range(engine.slots + 1)]
    for generation in generations:
        with pytest.raises(DeadlinePassed):
            generation.result(30)


def test_iterating_raises_what_ended_it(engine: Engine) -> None:
    generation = engine.submit(endless(engine))
    generation.cancel()
    with pytest.raises(Cancelled):
        list(generation)


def test_what_does_not_fit_is_refused_before_any_work(engine: Engine) -> None:
    with pytest.raises(ContextExceeded):
        engine.submit(request(engine, 1, max_tokens=512))
    with pytest.raises(ValueError, match="at least 1"):
        engine.submit(request(engine, 1, prompt_tokens=[]))


def test_a_prompt_that_begins_like_another_is_read_from_where_they_part(model_path: Path) -> None:
    engine = Engine(model_path, slots=4)
    try:
        shared = engine.prompts.tokenise("the inn and the hen " * 20, PLAIN)
        requests = [
            request(engine, seed, prompt_tokens=[*shared, *engine.prompts.tokenise(f"{seed}", 0)])
            for seed in range(8)
        ]
        alone = []
        for item in requests:
            fresh = Engine(model_path, slots=1)
            alone.append(fresh.submit(item).result())
            fresh.close()
        together = [each.result(10) for each in [engine.submit(item) for item in requests]]
        assert engine.prefill_tokens < len(shared) + 8 * 2 * TILE_TOKENS
        assert engine.shared_tokens >= 7 * (len(shared) - 2 * TILE_TOKENS)
        same = sum(a.token_ids == b.token_ids for a, b in zip(alone, together, strict=True))
        assert same >= 7
    finally:
        engine.close()


def test_a_slots_next_prompt_reuses_what_its_last_one_left(model_path: Path) -> None:
    engine = Engine(model_path, slots=1)
    try:
        first = engine.submit(request(engine, 1)).result()
        read = engine.prefill_tokens
        again = engine.submit(request(engine, 1)).result()
        assert engine.prefill_tokens - read == 1
        assert again == first
    finally:
        engine.close()


def test_an_idle_slot_between_busy_ones_keeps_what_it_holds(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridged: set[int] = set()

    def noticed(busy: Collection[int]) -> list[int]:
        idle = gaps(busy)
        bridged.update(idle)
        return idle

    monkeypatch.setattr(batching, "gaps", noticed)
    engine = Engine(model_path, slots=10)
    try:
        long, short = endless(engine), request(engine, 9, max_tokens=4)
        first = engine.submit(short).result()
        running = [engine.submit(short if number == 3 else long) for number in range(10)]
        running[3].result(10)  # its slot falls idle while its neighbours go on
        until = time.monotonic() + 10
        while not bridged and time.monotonic() < until:
            time.sleep(0.001)
        read = engine.prefill_tokens
        again = engine.submit(short).result(10)
        assert len(bridged) == 1
        assert again.token_ids[:2] == first.token_ids[:2]
        assert engine.prefill_tokens - read == 1
        for generation in running:
            generation.cancel()
    finally:
        engine.close()


def test_a_short_prompt_does_not_wait_for_a_long_one(model_path: Path) -> None:
    """Both are read in shares; the short one is through after a step, the long one after four."""
    engine = Engine(model_path, slots=3)
    try:
        running = engine.submit(endless(engine))
        pieces = iter(running)
        next(pieces)
        long = engine.submit(request(engine, 1, prompt_tokens=[20] * 460, max_tokens=1))
        short = engine.submit(request(engine, 2, max_tokens=1))
        ended = []
        for name, each in (("short", short), ("long", long)):
            threading.Thread(target=lambda n=name, e=each: (e.result(), ended.append(n))).start()
        long.result(10)
        time.sleep(0.1)
        assert ended == ["short", "long"]
        running.cancel()
    finally:
        engine.close()


def test_closing_ends_what_is_unfinished(model_path: Path) -> None:
    engine = Engine(model_path, slots=1)
    long = endless(engine)
    generations = [engine.submit(long) for _ in range(2)]
    next(iter(generations[0]))
    engine.close()
    for generation in generations:
        with pytest.raises(EngineClosed):
            generation.result(5)
    with pytest.raises(EngineClosed):
        engine.submit(long)


def test_engines_that_compute_with_several_threads_do_it_on_one(model_path: Path) -> None:
    """A second OpenMP team in the process would slow both down to a third."""
    engines = [Engine(model_path, slots=2, threads=2) for _ in range(2)]
    try:
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("engines") == 1
        asked = [request(engine, 1, max_tokens=20) for engine in engines]
        both = [engine.submit(each) for engine, each in zip(engines, asked, strict=True)]
        assert both[0].result(10) == both[1].result(10)
        running = engines[0].submit(endless(engines[0]))
        engines[0].close()
        with pytest.raises(EngineClosed):
            running.result(5)
        assert engines[1].embed([[70]])[0].shape
        answered = engines[1].submit(request(engines[1], 1, max_tokens=5)).result(10)
        assert answered.completion_tokens == 5
    finally:
        for engine in engines:
            engine.close()
            engine.close()  # more than once is all right


def test_many_threads_may_submit(engine: Engine) -> None:
    results: dict[int, str] = {}

    def ask(seed: int) -> None:
        results[seed] = engine.submit(request(engine, seed, max_tokens=10)).result(10).text

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 16


def test_speed_is_measured(engine: Engine) -> None:
    engine.submit(request(engine, 1)).result()
    assert engine.tokens_per_s > 0


def test_a_generation_that_is_not_over_can_be_waited_for() -> None:
    with pytest.raises(TimeoutError):
        Generation(GenerationRequest([1], 1)).result(0.01)
