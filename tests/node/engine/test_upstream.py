"""Jobs on an upstream server, over real HTTP, with a real model behind it."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mining.node.config import SHIPPED_MODEL, ConfigError, Upstream, upstream_from
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    FinishReason,
    GenerationError,
    GenerationRequest,
)
from mining.node.engine.upstream import (
    UpstreamBroken,
    UpstreamEngine,
    UpstreamRefused,
    UpstreamUnable,
    UpstreamUnavailable,
)
from mining.node.llm.llama import Model
from mining.node.llm.prompts import CHAT, ModelPrompts
from mining.node.protocol.sampling_params import SamplingParams
from tests.node.completions_server import (
    MODEL,
    CompletionsServer,
    Send,
    answer,
    send_event,
    start_stream,
)
from tests.serving import serve

KEY = "a key of the server's"


@pytest.fixture(scope="module")
def vocabulary() -> Model:
    return Model(SHIPPED_MODEL, vocab_only=True)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[CompletionsServer, str]]:
    server = CompletionsServer(SHIPPED_MODEL, KEY)
    with serve(server) as url:
        yield server, url + "/v1"


@pytest.fixture
def server(running: tuple[CompletionsServer, str]) -> CompletionsServer:
    server, _ = running
    server.asked.clear()
    server.fault, server.broken_off = None, 0
    return server


@pytest.fixture
def upstream(running: tuple[CompletionsServer, str], vocabulary: Model) -> Iterator[UpstreamEngine]:
    engine = UpstreamEngine(Upstream(running[1], MODEL, KEY), vocabulary)
    yield engine
    engine.close()


def request(vocabulary: Model, text: str = "Where is the hen?", **changes: Any) -> Any:
    prompt = ModelPrompts(vocabulary).tokenise(text, CHAT)
    values = {"prompt_tokens": prompt, "max_tokens": 40, "seed": b"task"}
    return GenerationRequest(**{**values, **changes})


WARM = SamplingParams(temperature=0.9, top_p=0.9, top_k=30, min_p=0.01)


def endless(vocabulary: Model) -> Any:
    """Hundreds of tokens: the end is forbidden."""
    never = SamplingParams(temperature=0.9, logit_bias={vocabulary.eos: -100.0})
    return request(vocabulary, max_tokens=440, sampling=never)


def test_an_answer_arrives_in_pieces_and_is_spelt_by_its_tokens(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    generation = upstream.submit(request(vocabulary, sampling=WARM))
    pieces = list(generation)
    result = generation.result()
    assert len(pieces) > 1
    assert "".join(pieces) == result.text
    spelt = b"".join(vocabulary.piece(token) for token in result.token_ids)
    assert spelt.decode() == result.text
    assert 0 < result.completion_tokens <= 40
    assert result.prompt_tokens == len(generation.request.prompt_tokens)
    assert upstream.tokens_per_s > 0


def test_without_temperature_it_says_what_the_protocols_own_engine_says(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    """On the same machine; two of them may part where two tokens are level."""
    engine = Engine(SHIPPED_MODEL, slots=1)
    same = 0
    for text in ("What is 2 + 3?", "What is 12 + 13?", "Who are you?", "What is a dog?"):
        asked = request(vocabulary, text)
        ours, theirs = engine.submit(asked).result(20), upstream.submit(asked).result(20)
        same += (ours.text, ours.finish_reason) == (theirs.text, theirs.finish_reason)
    engine.close()
    assert same >= 3


def test_a_seed_is_the_tasks_and_gives_the_same_again(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    first, again, other = (
        upstream.submit(request(vocabulary, seed=seed, sampling=WARM)).result(20)
        for seed in (b"a", b"a", b"b")
    )
    assert first.text == again.text != other.text
    seeds = [asked["seed"] for asked in server.asked]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_server_is_asked_in_openais_words_and_for_no_more_than_is_meant(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    plain = request(vocabulary)
    upstream.submit(plain).result(20)
    assert server.asked[-1].keys() == {
        "model",
        "prompt",
        "max_tokens",
        "temperature",
        "seed",
        "stream",
    }
    rich = SamplingParams(0.7, 0.9, 20, 0.1, 0.2, 0.05, {70: 5.0})
    upstream.submit(request(vocabulary, sampling=rich, stop=["#"])).result(20)
    asked = server.asked[-1]
    assert (asked["temperature"], asked["top_p"], asked["top_k"]) == (0.7, 0.9, 20)
    assert (asked["presence_penalty"], asked["frequency_penalty"]) == (0.1, 0.2)
    assert (asked["min_p"], asked["logit_bias"], asked["stop"]) == (0.05, {"70": 5.0}, ["#"])


def test_control_tokens_in_a_users_text_stay_text(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    end = vocabulary.eos_text
    assert vocabulary.tokenise(end, special=True) == [vocabulary.eos]
    for text in ("Hello", f"Hello{end}{end}"):
        upstream.submit(request(vocabulary, text)).result(20)
    plain, forged = (asked["prompt"].count(vocabulary.eos) for asked in server.asked)
    assert plain == forged  # the template's own, if any


def test_a_stop_string_ends_an_answer_even_where_the_server_goes_on(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    free = upstream.submit(request(vocabulary, sampling=WARM)).result(20)
    stop = free.text[8:11]
    ended = upstream.submit(request(vocabulary, sampling=WARM, stop=[stop])).result(20)
    assert ended.text == free.text.split(stop)[0]
    assert ended.finish_reason is FinishReason.STOP


def test_many_answers_at_once_keep_apart(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    asked = [request(vocabulary, seed=bytes([n]), sampling=WARM) for n in range(6)]
    alone = [upstream.submit(item).result(30).text for item in asked]
    together = [each.result(60).text for each in [upstream.submit(item) for item in asked]]
    assert alone == together


def test_a_cancellation_closes_the_stream_at_once(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    generation = upstream.submit(endless(vocabulary))
    next(iter(generation))
    generation.cancel()
    with pytest.raises(Cancelled):
        generation.result(5)
    until(lambda: server.broken_off == 1)


def test_a_server_that_falls_silent_is_cancelled_like_any_other(
    server: CompletionsServer, upstream: UpstreamEngine, vocabulary: Model
) -> None:
    async def stall(send: Send) -> None:
        await start_stream(send)
        await send_event(send, json.dumps({"choices": [{"text": "a", "finish_reason": None}]}))
        await asyncio.sleep(3)

    server.fault = stall
    generation = upstream.submit(request(vocabulary))
    assert next(iter(generation)) == "a"
    generation.cancel()
    with pytest.raises(Cancelled):
        generation.result(2)
    late = upstream.submit(request(vocabulary, deadline_at=time.time() + 0.2))
    with pytest.raises(DeadlinePassed):
        late.result(2)


def test_closing_ends_what_is_unfinished(
    running: tuple[CompletionsServer, str], server: CompletionsServer, vocabulary: Model
) -> None:
    engine = UpstreamEngine(Upstream(running[1], MODEL, KEY), vocabulary)
    generation = engine.submit(endless(vocabulary))
    next(iter(generation))
    threading.Thread(target=engine.close).start()
    with pytest.raises(EngineClosed):
        generation.result(5)
    with pytest.raises(EngineClosed):
        engine.submit(request(vocabulary))


async def _forbids(send: Send) -> None:
    await answer(send, 403, {"error": {"message": f"no such key: {KEY}"}})


async def _is_full(send: Send) -> None:
    await answer(send, 429, {"error": {"message": "Rate limit reached"}})


async def _fails(send: Send) -> None:
    await answer(send, 500, {"detail": "CUDA out of memory"})


async def _refuses(send: Send) -> None:
    await answer(send, 400, {"error": {"message": "prompt: too\x1b[31m long" + "x" * 999}})


async def _speaks_html(send: Send) -> None:
    await start_stream(send)
    await send_event(send, "<html>")


async def _breaks_off(send: Send) -> None:
    await start_stream(send)
    await send_event(send, json.dumps({"choices": [{"text": "a", "finish_reason": None}]}))
    await send({"type": "http.response.body", "body": b""})


async def _gives_up(send: Send) -> None:
    await start_stream(send)
    await send_event(send, json.dumps({"error": {"message": "out of memory"}}))
    await send({"type": "http.response.body", "body": b""})


async def _talks_on(send: Send) -> None:
    await start_stream(send)
    text = "hen " * 100
    await send_event(send, json.dumps({"choices": [{"text": text, "finish_reason": "length"}]}))
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (_forbids, UpstreamRefused, "set UPSTREAM_API_KEY"),
        (_is_full, UpstreamUnavailable, "429"),
        (_fails, UpstreamUnavailable, "500"),
        (_refuses, UpstreamRefused, r"400: prompt: too\[31m long"),
        (_speaks_html, UpstreamBroken, "not one of OpenAI"),
        (_breaks_off, UpstreamBroken, "ended with None"),
        (_gives_up, UpstreamUnavailable, "out of memory"),
        (_talks_on, UpstreamBroken, "MODEL is the model that the server runs"),
    ],
)
def test_a_servers_failure_is_told_as_what_it_is(
    server: CompletionsServer,
    upstream: UpstreamEngine,
    vocabulary: Model,
    fault: Callable[[Send], Any],
    kind: type[GenerationError],
    said: str,
) -> None:
    server.fault = fault
    with pytest.raises(kind, match=said) as told:
        upstream.submit(request(vocabulary)).result(10)
    assert KEY not in str(told.value)
    assert len(str(told.value)) < 400
    server.fault = None
    assert upstream.submit(request(vocabulary)).result(20).token_ids


def test_a_server_that_is_away_or_lacks_the_model_is_found_out_at_once(
    running: tuple[CompletionsServer, str],
    server: CompletionsServer,
    upstream: UpstreamEngine,
    vocabulary: Model,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream.require_model()
    for told, kind, said in (
        (Upstream(running[1], "another", KEY), UpstreamRefused, "it has some-model"),
        (Upstream(running[1], MODEL, "wrong key"), UpstreamRefused, "UPSTREAM_API_KEY"),
        (Upstream("http://127.0.0.1:1/v1", MODEL, KEY), UpstreamUnavailable, "does not answer"),
    ):
        engine = UpstreamEngine(told, vocabulary)
        with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=said):
            engine.require_model()
        engine.close()
    assert KEY not in caplog.text
    assert KEY not in repr(Upstream("", "", KEY))


def test_what_cannot_be_promised_is_refused(upstream: UpstreamEngine, vocabulary: Model) -> None:
    for changes in ({"grammar": 'start: "a"'}, {"logprobs": 3}):
        with pytest.raises(UpstreamUnable, match="give the job to another"):
            upstream.submit(request(vocabulary, **changes))


@pytest.mark.parametrize(
    ("url", "model", "environment", "said"),
    [
        ("localhost:8000", "m", {}, "not a server's address"),
        ("ftp://host/v1", "m", {}, "not a server's address"),
        ("http://host/v1", None, {}, "UPSTREAM_MODEL"),
        ("http://user:secret@localhost/v1", "m", {}, "UPSTREAM_API_KEY"),
        ("http://host.example/v1", "m", {"UPSTREAM_API_KEY": "k"}, "https://"),
    ],
)
def test_a_setting_that_is_wrong_or_unsafe_is_named(
    url: str, model: str | None, environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        upstream_from(url, model, environment)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = upstream_from("http://[::1]:8000/v1", "m", {"UPSTREAM_API_KEY": "k"})
    assert told == Upstream("http://[::1]:8000/v1", "m", "k")
    assert upstream_from(None, None, {}) is None


def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)
