"""Many sequences in one engine, each as if it were alone."""

import threading
import time
from pathlib import Path

import pytest

from mining.node.engine import Engine
from mining.node.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    FinishReason,
    Generation,
    GenerationRequest,
)
from mining.node.llama import Context, Decoded, Entry
from mining.node.prompts import PLAIN, ContextExceeded
from mining.node.sampling import SamplingParams

WARM = SamplingParams(temperature=0.9, top_p=0.95, top_k=50)


def request(engine: Engine, number: int, **changes: object) -> GenerationRequest:
    values: dict[str, object] = {
        "prompt_tokens": engine.prompts.tokenise(f"{number}: the hen is in the inn", PLAIN),
        "max_tokens": 40,
        "sampling": WARM,
        "seed": number.to_bytes(32, "big"),
    }
    return GenerationRequest(**{**values, **changes})  # type: ignore[arg-type]


def endless(engine: Engine, seed: int = 1, **changes: object) -> GenerationRequest:
    """Hundreds of tokens: one that is found to end early is of no use to these tests."""
    for candidate in range(seed, seed + 50):
        long = request(engine, candidate, max_tokens=450, **changes)
        if engine.submit(long).result().completion_tokens == 450:
            return long
    raise AssertionError("every seed ends early")


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


def test_max_tokens_ends_an_answer(engine: Engine) -> None:
    long = endless(engine)
    result = engine.submit(
        request(engine, 0, prompt_tokens=long.prompt_tokens, seed=long.seed, max_tokens=7)
    ).result()
    assert (result.completion_tokens, result.finish_reason) == (7, FinishReason.LENGTH)


def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(engine: Engine) -> None:
    free = engine.submit(request(engine, 6)).result()
    stop = free.text[10:14]
    generation = engine.submit(request(engine, 6, stop=[stop]))
    text = "".join(generation)
    assert generation.result().finish_reason is FinishReason.STOP
    assert text == free.text.split(stop)[0]
    assert generation.result().token_ids == free.token_ids[: len(generation.result().token_ids)]


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
    started = time.monotonic()
    generations = [engine.submit(late) for _ in range(engine.slots + 1)]
    for generation in generations:
        with pytest.raises(DeadlinePassed):
            generation.result(5)
    assert time.monotonic() - started < 1


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


def test_when_the_cache_is_full_the_youngest_waits_and_loses_nothing(model_path: Path) -> None:
    """Room for one long sequence and a half: the second has to give way and come back."""
    roomy, tight = Engine(model_path, slots=3), Engine(model_path, slots=3, cache_tokens=768)
    try:
        long = endless(roomy, sampling=WARM)
        expected = roomy.submit(long).result()
        results = [generation.result(20) for generation in [tight.submit(long) for _ in range(3)]]
        assert [result.completion_tokens for result in results] == [450] * 3
        # Reading again rounds differently from having generated; the first never gave way.
        assert results[0].token_ids == expected.token_ids
        assert all(result.token_ids[:200] == expected.token_ids[:200] for result in results)
    finally:
        roomy.close()
        tight.close()


def test_llama_says_when_there_is_no_room_and_stays_usable(engine: Engine) -> None:
    context = Context(engine._model, cache_tokens=256, sequences=2, batch_tokens=256, threads=1)
    try:
        full = [Entry(5, position, 0, position == 255) for position in range(256)]
        assert context.decode(full) is Decoded.DONE
        assert context.decode([Entry(5, 0, 1, True)]) is Decoded.NO_ROOM
        context.remove(0)
        assert context.decode([Entry(5, 0, 1, True)]) is Decoded.DONE
    finally:
        context.close()


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
