"""Many sequences in one engine, each as if it were alone."""

import json
import math
import threading
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from mining.node import batching
from mining.node.batching import gaps
from mining.node.engine import SHORTEST_SHARED_PREFIX, Engine
from mining.node.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    FinishReason,
    Generation,
    GenerationRequest,
    GrammarTooSlow,
)
from mining.node.grammar import GrammarInvalid, from_json_schema
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


def test_a_prompt_that_begins_like_another_is_read_from_where_they_part(model_path: Path) -> None:
    engine = Engine(model_path, slots=4)
    try:
        shared = engine.prompts.tokenise("the inn and the hen " * 8, PLAIN)
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
        assert engine.prefill_tokens < len(shared) + 8 * SHORTEST_SHARED_PREFIX
        assert engine.shared_tokens >= 7 * (len(shared) - 1)
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


def test_log_probabilities_are_the_models_own(engine: Engine) -> None:
    result = engine.submit(request(engine, 3, logprobs=5, max_tokens=12)).result()
    assert len(result.logprobs) == result.completion_tokens
    for token, told in zip(result.token_ids, result.logprobs, strict=True):
        assert told.token == token
        values = [value for _, value in told.top]
        assert len(values) == 5
        assert values == sorted(values, reverse=True)
        assert told.logprob <= values[0] <= 0
    everything = request(engine, 3, logprobs=engine._model.vocabulary_size, max_tokens=1)
    (told,) = engine.submit(everything).result().logprobs
    assert sum(math.exp(value) for _, value in told.top) == pytest.approx(1, abs=1e-5)


def test_a_bias_forbids_and_forces(engine: Engine) -> None:
    free = engine.submit(request(engine, 4)).result()
    banned = {free.token_ids[0]: -100.0}
    without = SamplingParams(0.9, 0.95, 50, logit_bias=banned)
    assert (
        free.token_ids[0]
        not in engine.submit(request(engine, 4, sampling=without)).result().token_ids
    )
    forced = SamplingParams(0.9, 0.95, 50, logit_bias={70: 100.0})
    assert set(engine.submit(request(engine, 4, sampling=forced)).result().token_ids) == {70}


def test_an_answer_keeps_to_its_grammar(engine: Engine) -> None:
    for seed in range(5):
        either = request(engine, seed, grammar='root ::= "hen" | "inn, the inn"')
        result = engine.submit(either).result()
        assert result.text in ("hen", "inn, the inn")
        assert result.finish_reason is FinishReason.STOP


def test_an_answer_keeps_to_a_json_schema(engine: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"enum": [1, 2, 3]}, "ok": {"type": "boolean"}},
        "required": ["n", "ok"],
        "additionalProperties": False,
    }
    asked = request(engine, 5, grammar=from_json_schema(schema), max_tokens=300)
    answers = [engine.submit(asked).result() for _ in range(2)]
    assert answers[0] == answers[1]
    read = json.loads(answers[0].text)
    assert read["n"] in (1, 2, 3)
    assert isinstance(read["ok"], bool)


@pytest.mark.parametrize(
    "grammar", ['root ::= "', "leaf ::= [a-z]", "\0", "x" * 100_000, "root ::= root"]
)
def test_what_is_no_grammar_is_refused_before_any_work(engine: Engine, grammar: str) -> None:
    with pytest.raises(GrammarInvalid):
        engine.submit(request(engine, 1, grammar=grammar))


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


def test_an_answer_that_is_shortened_ends_with_the_token_that_makes_it_long_enough(
    engine: Engine,
) -> None:
    long = endless(engine)
    whole = engine.submit(long).result()
    generation = engine.submit(long)
    generation.shorten(40)
    result = generation.result(5)
    assert result.finish_reason is FinishReason.CANCELLED
    assert len(result.text) >= 40
    assert whole.text.startswith(result.text)
    assert result.token_ids == whole.token_ids[: result.completion_tokens]


def test_an_answer_that_is_long_enough_already_ends_at_the_next_step_and_frees_its_slot(
    engine: Engine,
) -> None:
    generation = engine.submit(endless(engine))
    pieces = iter(generation)
    first = next(pieces)
    started = time.monotonic()
    generation.shorten(0)
    result = generation.result(5)
    assert time.monotonic() - started < 1.0
    assert result.finish_reason is FinishReason.CANCELLED
    assert first + "".join(pieces) == result.text
    assert not engine._active


def test_an_answer_that_ends_by_itself_is_not_shortened(engine: Engine) -> None:
    short = request(engine, 7, max_tokens=3)
    generation = engine.submit(short)
    generation.shorten(10_000)
    assert generation.result(5) == engine.submit(short).result(5)


def test_pieces_carry_the_log_probabilities_of_their_tokens(engine: Engine) -> None:
    generation = engine.submit(request(engine, 3, logprobs=2, max_tokens=12))
    pieces = list(generation.pieces())
    result = generation.result()
    told = [each for piece in pieces for each in piece.logprobs]
    assert "".join(piece.text for piece in pieces) == result.text
    assert tuple(told) == result.logprobs[: len(told)]
    assert len(told) >= result.completion_tokens - 1


@pytest.mark.parametrize("nest", ["({})", "({})?"])
def test_a_grammar_that_would_overflow_llama_cpps_stack_is_refused(
    engine: Engine, nest: str
) -> None:
    before, after = nest.split("{}")
    text = f'root ::= {before * 20_000}"a"{after * 20_000}'
    with pytest.raises(GrammarInvalid, match="nested"):
        engine.submit(request(engine, 1, grammar=text))
    quoted = 'root ::= "' + "(" * 1_000 + '" [(((] # ((('
    assert engine.submit(request(engine, 1, grammar=quoted, max_tokens=4)).result(5)


def test_an_answer_whose_grammar_keeps_the_others_waiting_ends(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.engine.SLOWEST_GRAMMAR_S", 0.0)
    slow = engine.submit(request(engine, 1, grammar="root ::= [a-z ]*"))
    other = engine.submit(request(engine, 2))
    with pytest.raises(GrammarTooSlow, match="simplify"):
        slow.result(5)
    assert other.result(5).text
