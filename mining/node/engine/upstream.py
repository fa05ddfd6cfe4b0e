"""An engine that passes requests on to an OpenAI-compatible server, such as vLLM or llama-server.

The node turns prompts into tokens by the vocabulary of the model's GGUF file, and sends the tokens.
So a user's text cannot become control tokens, and the input is counted as every node counts it.

The server draws tokens by its own rule and with its own random numbers. At temperature 0 its answer
mostly equals that of the protocol's rule. At other temperatures it is another sample of the same
model. Such tokens cannot be checked one by one, and the node says so in its heartbeats. Grammars
and log-probabilities are not passed on, since servers differ in both.
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
"""How long the node waits for the next data of an answer."""
MAX_REASON = 200
"""The most characters of a server's own message that an error quotes."""
_RATE_DECAY = 0.8

logger = logging.getLogger(__name__)


class UpstreamUnavailable(GenerationError):
    """The server does not answer or is overloaded. A later attempt may succeed."""

    code = "upstream_unavailable"
    temporary = True


class UpstreamRefused(GenerationError):
    """The server refuses the request, or refuses this node."""

    code = "upstream_refused"


class UpstreamBroken(GenerationError):
    """The server's answer is invalid or incomplete."""

    code = "upstream_broken"


class UpstreamUnable(GenerationError):
    """The request needs a feature that is not passed on to the server."""

    code = "unsupported"


class UpstreamEngine:
    """Passes requests on to a server, each as a stream. One thread reads all streams.

    Args:
        upstream: the server.
        vocabulary: the model's vocabulary, by which answers are counted.
    """

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
        """Ask the server once whether it has the model.

        Raises:
            UpstreamUnavailable: the server does not answer or is overloaded.
            UpstreamRefused: the server refuses the node, or does not have the model.
            UpstreamBroken: the server's answer is not a list of models.
        """
        future = asyncio.run_coroutine_threadsafe(self._model_names(), self._loop)
        names = future.result()
        if self._upstream.model not in names:
            raise UpstreamRefused(
                f"UPSTREAM_MODEL: the server has no {self._upstream.model!r}; it has"
                f" {', '.join(names) or 'no models'}"
            )

    def submit(self, request: GenerationRequest) -> Generation:
        """Pass a request on and return the handle of its answer.

        Raises:
            UpstreamUnable: the request has a grammar or asks for log-probabilities.
            EngineClosed: the engine is closed.
        """
        if request.grammar or request.logprobs:
            raise UpstreamUnable(
                "grammar, logprobs: this node passes jobs on to a server and does not support them;"
                " give the job to another node"
            )
        if self._closed:
            raise EngineClosed("engine: it has stopped; start the node again")
        generation = Generation(request)
        future = asyncio.run_coroutine_threadsafe(self._answer(generation), self._loop)
        generation.when_cancelled(future.cancel)
        return generation

    def close(self) -> None:
        """Stop. Unfinished answers end with EngineClosed."""
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
                EngineClosed("engine: it was stopped before the answer ended")
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
                f"UPSTREAM_URL: the answer ended with {reason!r}, not with stop or length"
            )
        whole = "".join(pieces)
        return GenerationResult(
            whole, self._tokens(whole, request), FinishReason(reason), len(request.prompt_tokens)
        )

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        """Return the request as OpenAI's API has it.

        Parameters without effect are left out, since some servers refuse parameters.
        """
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
        """Yield the pieces of an answer, each with its finish reason or None."""
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
            raise UpstreamBroken(
                "UPSTREAM_URL: its /models is not OpenAI's list of models; check the URL"
            ) from error

    def _tokens(self, text: str, request: GenerationRequest) -> tuple[int, ...]:
        """Return the tokens that spell the answer. It is paid by their number.

        The server may have drawn other tokens that spell the same text.
        """
        tokens = self._vocabulary.tokenise(text, special=False) or [self._vocabulary.eos]
        if len(tokens) > request.max_tokens:
            raise UpstreamBroken(
                f"UPSTREAM_URL: the answer has {len(tokens)} tokens, but {request.max_tokens} were"
                " asked for; check that MODEL is the model that the server runs"
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
        raise UpstreamRefused(f"{said}; set UPSTREAM_API_KEY to a key that it accepts")
    if status in (408, 409, 425, 429) or status >= 500:
        raise UpstreamUnavailable(f"{said}; try again later")
    raise UpstreamRefused(f"{said}: {_reason(answer.text)}")


def _choice(data: str) -> tuple[str, str | None]:
    try:
        chunk = json.loads(data)
        if "error" in chunk:
            raise UpstreamUnavailable(f"UPSTREAM_URL: the server gave up: {_reason(data)}")
        if not chunk["choices"]:  # the last chunk may hold only the token counts
            return "", None
        choice = chunk["choices"][0]
        text, ended = choice.get("text") or "", choice.get("finish_reason")
        if not isinstance(text, str) or not isinstance(ended, str | None):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UpstreamBroken(
            "UPSTREAM_URL: a piece of its answer is not one of OpenAI's /completions; check the URL"
        ) from error
    return text, ended


def _reason(text: str) -> str:
    """Return a server's own message, shortened and with printable characters only."""
    try:
        error = json.loads(text)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        pass
    return "".join(c for c in text[:MAX_REASON] if c.isprintable())


def _unavailable(error: httpx.HTTPError) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"UPSTREAM_URL: the server does not answer ({type(error).__name__})")
