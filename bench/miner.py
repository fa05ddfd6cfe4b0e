"""The miner's engine beside llama.cpp's own server and llama-cpp-python's, on one model.

`vs_llama_server_N` and `vs_llama_cpp_server_16` are the engine's tokens per second with N clients
divided by the server's; `single_vs_plain` is one stream's, divided by `Llama.create_completion`'s.
All of them take turns in one run and have the same threads, context, prompts and filters, so that
the machine's noise meets them alike; a ratio is the median over rounds of each round's own.
`ttft_vs_llama_server_p50` and `_p99` are the times to the first token of short prompts while long
ones are read in, divided by the server's: below 1 is better.

The engine is called in its own process, as a miner calls it; the servers answer over HTTP and do
not stream, which is the cheapest that they can do.
"""

import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
from llama_cpp import Llama

from bench.peers import random_model
from bench.peers.servers import llama_cpp_python_server, llama_server
from bench.report import median_and_spread, publish
from mining.node.engine import Engine
from mining.node.generation import GenerationRequest
from mining.node.sampling import SamplingParams

ROUNDS = int(os.environ.get("ROUNDS", "3"))
THREADS = int(os.environ.get("THREADS", str(os.cpu_count() or 1)))
CLIENTS = (1, 4, 16, 32)
SLOTS, CONTEXT, LONG_CONTEXT = 32, 512, 2048
PROMPT_WORDS = (2, 4, 8, 16, 40)
"""Of six to seven tokens each."""
MAX_TOKENS = 48
REQUESTS = {1: 3, 4: 2, 16: 1, 32: 1}
"""How many each client makes, one after the other."""
SHORT_PROMPTS, LONG_PROMPT_WORDS = 30, 230
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, top_k=40)

Ask = Callable[[str, int], int]
"""Answers a prompt with at most so many tokens, and says how many they were."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cortensor-bench-") as folder:
        model = random_model.write(Path(folder) / "random-100m.gguf")
        speeds, cost = _throughput(model)
        waits = _first_tokens(model)
    _publish(speeds, waits, cost)


def _throughput(model: Path) -> tuple[dict[str, dict[int, list[float]]], float]:
    """Tokens per second by system and number of clients, and drawing's share of a step."""
    plain = Llama(str(model), n_ctx=CONTEXT, n_threads=THREADS, verbose=False)
    engine = Engine(model, slots=SLOTS, threads=THREADS, context_tokens=CONTEXT)
    with ExitStack() as stack:
        stack.callback(engine.close)
        url = stack.enter_context(llama_server(model, SLOTS, CONTEXT, THREADS))
        slow = stack.enter_context(llama_cpp_python_server(model, CONTEXT, THREADS))
        http = stack.enter_context(
            httpx.Client(timeout=600, limits=httpx.Limits(max_connections=64))
        )
        systems: dict[str, tuple[Ask, Sequence[int]]] = {
            "engine": (_through_engine(engine), CLIENTS),
            "llama-server": (_over_http(http, url), CLIENTS),
            "llama_cpp.server": (_over_http(http, slow), (1, 16)),
            "plain": (_plainly(plain), (1,)),
        }
        for ask, _ in systems.values():
            ask(_prompt(random.Random(0), 2), 4)
        speeds: dict[str, dict[int, list[float]]] = {name: {} for name in systems}
        for round_ in range(ROUNDS):
            for clients in CLIENTS:
                # Whoever goes first in one round goes last in the next.
                order = list(systems) if round_ % 2 == 0 else list(reversed(systems))
                for name in order:
                    ask, measured = systems[name]
                    if clients in measured:
                        speed = _speed(ask, clients, seed=1000 * round_ + clients)
                        speeds[name].setdefault(clients, []).append(speed)
                        print(f"round {round_}, {clients:2} clients, {name}: {speed:.0f} tokens/s")
        return speeds, engine.draw_s / engine.step_s


def _speed(ask: Ask, clients: int, seed: int) -> float:
    def client(number: int) -> int:
        chooser = random.Random(seed * 100 + number)
        return sum(
            ask(_prompt(chooser, PROMPT_WORDS[(number + turn) % len(PROMPT_WORDS)]), MAX_TOKENS)
            for turn in range(REQUESTS[clients])
        )

    with ThreadPoolExecutor(clients) as pool:
        started = time.perf_counter()
        tokens = sum(pool.map(client, range(clients)))
        return tokens / (time.perf_counter() - started)


def _first_tokens(model: Path) -> dict[str, list[float]]:
    """Milliseconds to the first token of short prompts while long ones are being read in."""
    engine = Engine(model, slots=4, threads=THREADS, context_tokens=LONG_CONTEXT)
    with ExitStack() as stack:
        stack.callback(engine.close)
        url = stack.enter_context(llama_server(model, 4, LONG_CONTEXT, THREADS))
        http = stack.enter_context(httpx.Client(timeout=600))
        systems = {"engine": _through_engine(engine), "llama-server": _over_http(http, url)}
        waits: dict[str, list[float]] = {name: [] for name in systems}
        for round_ in range(2):
            for name, ask in systems.items():
                waits[name] += _waits_beside_long_prompts(ask, seed=round_)
        return waits


def _waits_beside_long_prompts(ask: Ask, seed: int) -> list[float]:
    chooser = random.Random(seed)
    over = threading.Event()

    def keep_reading() -> None:
        other = random.Random(seed + 1000)
        while not over.is_set():
            ask(_prompt(other, LONG_PROMPT_WORDS), 1)

    reader = threading.Thread(target=keep_reading)
    reader.start()
    waits = []
    for _ in range(SHORT_PROMPTS // 2):
        time.sleep(chooser.uniform(0.01, 0.1))
        started = time.perf_counter()
        ask(_prompt(chooser, 2), 1)
        waits.append((time.perf_counter() - started) * 1000)
    over.set()
    reader.join()
    return waits


def _prompt(chooser: random.Random, words: int) -> str:
    """Words that no other prompt begins with."""
    return "".join(f" w{chooser.randrange(30_000)}" for _ in range(words))


def _through_engine(engine: Engine) -> Ask:
    def ask(prompt: str, max_tokens: int) -> int:
        tokens = engine.prompts.tokenise(prompt, 0)
        request = GenerationRequest(tokens, max_tokens, SAMPLING, seed=prompt.encode())
        return engine.submit(request).result().completion_tokens

    return ask


def _over_http(http: httpx.Client, url: str) -> Ask:
    def ask(prompt: str, max_tokens: int) -> int:
        body = {"prompt": prompt, "max_tokens": max_tokens, **_filters(), "cache_prompt": False}
        answer = http.post(f"{url}/v1/completions", json=body)
        answer.raise_for_status()
        return int(answer.json()["usage"]["completion_tokens"])

    return ask


def _plainly(llama: Llama) -> Ask:
    def ask(prompt: str, max_tokens: int) -> int:
        answer = llama.create_completion(prompt, max_tokens=max_tokens, **_filters())
        return int(answer["usage"]["completion_tokens"])

    return ask


def _filters() -> dict[str, float]:
    return {
        "temperature": SAMPLING.temperature,
        "top_p": SAMPLING.top_p,
        "top_k": SAMPLING.top_k,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
    }


def _publish(
    speeds: dict[str, dict[int, list[float]]], waits: dict[str, list[float]], cost: float
) -> None:
    ratios = {"draw_share_of_step": cost}
    rows = [["drawing, share of a step", f"{cost:.1%}", "", ""]]

    def compare(key: str, title: str, peer: str, clients: int) -> None:
        own, theirs = speeds["engine"][clients], speeds[peer][clients]
        ratios[key] = statistics.median(a / b for a, b in zip(own, theirs, strict=True))
        rows.append(
            [title, median_and_spread(own), median_and_spread(theirs), f"{ratios[key]:.2f}×"]
        )

    compare("single_vs_plain", "tokens/s, 1 client: Llama", "plain", 1)
    compare("vs_llama_server_1", "tokens/s, 1 client: llama-server", "llama-server", 1)
    for clients in CLIENTS[1:]:
        title = f"tokens/s, {clients} clients: llama-server"
        compare(f"vs_llama_server_{clients}", title, "llama-server", clients)
    compare(
        "vs_llama_cpp_server_16", "tokens/s, 16 clients: llama_cpp.server", "llama_cpp.server", 16
    )
    for percent in (50, 99):
        own, theirs = (
            statistics.quantiles(waits[name], n=100)[percent - 1]
            for name in ("engine", "llama-server")
        )
        ratios[f"ttft_vs_llama_server_p{percent}"] = own / theirs
        title = f"first token beside a long prompt, p{percent}, ms"
        rows.append([title, f"{own:.0f}", f"{theirs:.0f}", f"{own / theirs:.2f}×"])
    publish("miner", ["", "engine", "peer", "ratio"], rows, ratios)


if __name__ == "__main__":
    main()
