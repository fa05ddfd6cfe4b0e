"""Another server's model behind the engine's interface: vLLM, llama-server, whatever speaks OpenAI.

Prompts are put into tokens here, by the vocabulary of the model's GGUF, and sent as such: so a
user's text stays text, and the input is counted as everybody counts it. What comes back is another
machine's draw, by another rule and another generator: at temperature 0 it mostly agrees with what
the protocol's rule gives, otherwise it is one more sample of the same model. Nobody can check such
tokens one by one, and the node says so in its heartbeats. Grammars and log-probabilities are not
passed on: servers differ in both.
"""

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError as FutureCancelled
from contextlib import suppress
from typing import Any

import httpx

from mining.node.config import Upstream
from mining.node.engine.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    EngineFailed,
    FinishReason,
    Generation,
    GenerationError,
    GenerationRequest,
    GenerationResult,
)
from mining.node.engine.pieces import TextAssembler
from mining.node.llm.llama import Model

CONNECT_S = 10.0
SILENCE_S = 60.0
"""A server that says nothing for so long, within an answer, is given up."""
MAX_REASON = 200
"""Characters of a server's own words that go into an error."""
_RATE_DECAY = 0.8

logger = logging.getLogger(__name__)


class UpstreamUnavailable(GenerationError):
    """The server does not answer, or has no room. It may later."""

    code = "upstream_unavailable"
    temporary = True


class UpstreamRefused(GenerationError):
    """The server does not take the request, or not from this node."""

    code = "upstream_refused"


class UpstreamBroken(GenerationError):
    """The server's answer is none, or breaks off."""

    code = "upstream_broken"


class UpstreamUnable(GenerationError):
    """The request asks for what is not passed on."""

    code = "unsupported"


class UpstreamEngine:
    """Passes requests on, each as a stream of its own. One thread follows them all."""

    def __init__(self, upstream: Upstream, vocabulary: Model) -> None:
        self.tokens_per_s = 0.0
        self._upstream = upstream
        self._vocabulary = vocabulary
        self._client = httpx.AsyncClient(
            base_url=upstream.url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else {},
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None),
        )
        self._running = 0
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._thread.start()

    def require_model(self) -> None:
        """Ask once whether the server is there and has the model.

        Raises UpstreamUnavailable, UpstreamRefused or UpstreamBroken.
        """
        future = asyncio.run_coroutine_threadsafe(self._model_names(), self._loop)
        names = future.result()
        if self._upstream.model not in names:
            raise UpstreamRefused(
                f"UPSTREAM_MODEL: the server has no {self._upstream.model!r}; it has"
                f" {', '.join(names) or 'none'}"
            )

    def submit(self, request: GenerationRequest) -> Generation:
        """Pass a request on. Raises UpstreamUnable, or EngineClosed after `close`."""
        if request.grammar or request.logprobs:
            raise UpstreamUnable(
                "grammar, logprobs: this node passes jobs on to a server and cannot promise them;"
                " give the job to another"
            )
        if self._closed:
            raise EngineClosed("engine: it has stopped; start the node again")
        generation = Generation(request)
        future = asyncio.run_coroutine_threadsafe(self._answer(generation), self._loop)
        generation.when_cancelled(future.cancel)
        return generation

    def close(self) -> None:
        """Break off what is unfinished, which ends with EngineClosed."""
        self._closed = True
        with suppress(FutureCancelled):
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ── the engine's thread ──────────────────────────────────────────────────

    async def _answer(self, generation: Generation) -> None:
        started = time.monotonic()
        self._running += 1
        try:
            left_s = generation.request.deadline_at - time.time()
            async with asyncio.timeout(left_s if left_s < float("inf") else None):
                result = await self._follow(generation)
            self._measure(result, time.monotonic() - started)
            generation.end(result)
        except asyncio.CancelledError:
            generation.end(
                EngineClosed("engine: it was stopped before the answer's end")
                if self._closed
                else Cancelled("generation: it was cancelled")
            )
        except TimeoutError:
            generation.end(DeadlinePassed("generation: its deadline has passed"))
        except GenerationError as error:
            generation.end(error)
        except Exception as error:
            logger.exception("an answer of the upstream server could not be followed")
            generation.end(EngineFailed(f"engine: {type(error).__name__}"))
        finally:
            self._running -= 1

    async def _follow(self, generation: Generation) -> GenerationResult:
        request = generation.request
        assembler, pieces = TextAssembler(request.stop), list[str]()

        def show(piece: str) -> None:
            pieces.append(piece)
            generation.add_piece(piece)
            generation.tell()

        reason = None
        async for text, ended in self._choices(self._body(request)):
            show(assembler.feed(text.encode(errors="replace")))
            reason = ended or reason
            if assembler.stopped:
                break
            if generation.is_enough:
                reason = FinishReason.CANCELLED
                break
        show(assembler.finish())
        if assembler.stopped:
            reason = FinishReason.STOP
        if reason not in tuple(FinishReason):
            raise UpstreamBroken(
                f"UPSTREAM_URL: the answer ended with {reason!r}, not stop or length"
            )
        whole = "".join(pieces)
        return GenerationResult(
            whole, self._tokens(whole, request), FinishReason(reason), len(request.prompt_tokens)
        )

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        """The request in OpenAI's words. What has no effect is left out: servers are picky."""
        sampling = request.sampling
        optional = {
            "top_p": sampling.top_p if 0 < sampling.top_p < 1 else None,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "logit_bias": {str(token): value for token, value in sampling.logit_bias.items()},
            "stop": list(request.stop),
        }
        return {
            "model": self._upstream.model,
            "prompt": list(request.prompt_tokens),
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "seed": int.from_bytes(hashlib.sha256(request.seed).digest()[:4], "big") >> 1,
            "stream": True,
            **{name: value for name, value in optional.items() if value},
        }

    async def _choices(self, body: dict[str, Any]) -> AsyncIterator[tuple[str, str | None]]:
        """The pieces of an answer, each with the reason for its end once there is one."""
        try:
            async with self._client.stream("POST", "completions", json=body) as answer:
                await _require_success(answer)
                async for line in answer.aiter_lines():
                    data = line.removeprefix("data:").strip()
                    if not line.startswith("data:") or data == "[DONE]":
                        continue
                    yield _choice(data)
        except httpx.HTTPError as error:
            raise _unavailable(error) from error

    async def _model_names(self) -> list[str]:
        try:
            answer = await self._client.get("models")
            await _require_success(answer)
            return [str(model["id"]) for model in answer.json()["data"]]
        except httpx.HTTPError as error:
            raise _unavailable(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise UpstreamBroken("UPSTREAM_URL: its /models is no list; is it OpenAI's?") from error

    def _tokens(self, text: str, request: GenerationRequest) -> tuple[int, ...]:
        """The tokens that spell the answer, which it is paid by; others may have been drawn."""
        tokens = self._vocabulary.tokenise(text, special=False) or [self._vocabulary.eos]
        if len(tokens) > request.max_tokens:
            raise UpstreamBroken(
                f"UPSTREAM_URL: {len(tokens)} tokens came, and {request.max_tokens} were asked for;"
                " is MODEL the model that it runs?"
            )
        return tuple(tokens)

    def _measure(self, result: GenerationResult, took_s: float) -> None:
        rate = self._running * result.completion_tokens / max(took_s, 1e-6)
        old = self.tokens_per_s or rate
        self.tokens_per_s = _RATE_DECAY * old + (1 - _RATE_DECAY) * rate

    async def _stop(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()


async def _require_success(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    await answer.aread()
    status = answer.status_code
    said = f"UPSTREAM_URL: the server answered {status}"
    if status in (401, 403):
        raise UpstreamRefused(f"{said}; set UPSTREAM_API_KEY to a key that it takes")
    if status in (408, 409, 425, 429) or status >= 500:
        raise UpstreamUnavailable(f"{said}; it may have room later")
    raise UpstreamRefused(f"{said}: {_reason(answer.text)}")


def _choice(data: str) -> tuple[str, str | None]:
    try:
        chunk = json.loads(data)
        if "error" in chunk:
            raise UpstreamUnavailable(f"UPSTREAM_URL: it gave up: {_reason(data)}")
        if not chunk["choices"]:  # the figures at the end
            return "", None
        choice = chunk["choices"][0]
        text, ended = choice.get("text") or "", choice.get("finish_reason")
        if not isinstance(text, str) or not isinstance(ended, str | None):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UpstreamBroken(
            "UPSTREAM_URL: a piece of its answer is no completion; is it OpenAI's /completions?"
        ) from error
    return text, ended


def _reason(text: str) -> str:
    """A server's own words: short, and of printable characters only."""
    try:
        error = json.loads(text)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        pass
    return "".join(c for c in text[:MAX_REASON] if c.isprintable())


def _unavailable(error: httpx.HTTPError) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"UPSTREAM_URL: the server does not answer ({type(error).__name__})")
