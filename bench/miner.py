"""The miner's engine, compared with llama.cpp's own server and llama-cpp-python's, on one model.

`vs_llama_server_N` and `vs_llama_cpp_server_16` are the engine's tokens per second with N clients,
divided by the server's. `single_vs_plain` is the speed of one stream, divided by that of
`Llama.create_completion`. All systems have the same threads, context, prompts and filters, and take
turns in one run, so that the machine's noise affects them equally. A ratio is the median of the
rounds' ratios. The `cpu_…` ratios compare tokens per second of processor time, which other work on
the machine disturbs far less. `ttft_vs_llama_server_p50` and `_p99` are the times to the first
token of short prompts while long prompts are read, divided by the server's. Less is better.

The model has about 100 million random parameters, in the format of the model that this project
ships. FORMAT=Q8_0, Q4_0 or BF16 selects another format. MODEL names another GGUF file. The times to
the first token are then left out, since a small model's context has no room for long prompts.
`same_answers_in_a_batch` is the share of answers that have the same tokens when they are generated
alone and beside 31 others.

The engine is called in this process, as a miner calls it, and `Llama` in a process of its own. The
servers answer over HTTP without streaming, which costs them least.

`network_vs_engines_32` is the throughput of a whole network with three miners and 32 clients, each
of which asks twice, divided by that of three engines alone (`bench.parts.three_miners`). Real
miners have machines of their own. So the miners and the engines get the same half of this machine's
processors, and the rest of the network gets the other half. `shared_network_vs_engines_32` is the
same with everything on all processors, so that the rest of the network takes time from the miners.
`cpu_network_…` is tokens per second of processor time of all of the network's processes, divided by
the engines'. `cpu_miners_…` counts only the processor time of the miners. ONLY=network measures
only this part.

`default_vs_llama_server_N` is `vs_llama_server_N` with the model that `make run` serves.
`three_at_once_vs_one` is the throughput of three engines with that model and one client each,
divided by that of one engine alone, all on the same processors. ONLY=default measures only this
part. It is left out if that model cannot be downloaded.
"""

import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from llama_cpp import Llama

from bench.parts import three_miners
from bench.parts.processors import apart, shared
from bench.parts.stories import one_each, story
from bench.peers import random_model
from bench.peers.servers import cpu_s, llama_cpp_python_server, llama_server
from bench.report import median_and_spread, publish
from cortensor_site.stack.chat_model import SMOLLM2, FetchFailed, obtain
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationRequest
from mining.node.llm.prompts import PLAIN
from mining.node.protocol.sampling_params import SamplingParams

FORMATS = ("F16", "BF16", "Q8_0", "Q4_0")
FORMAT = os.environ.get("FORMAT", FORMATS[0])
ROUNDS = int(os.environ.get("ROUNDS", "3"))
THREADS = int(os.environ.get("THREADS", str(os.cpu_count() or 1)))
CLIENTS = (1, 4, 16, 32)
SLOTS, CONTEXT, LONG_CONTEXT = 32, 512, 2048
PROMPT_WORDS = (2, 4, 8, 16, 40)
"""The lengths of prompts in words. A word has six to seven tokens."""
MAX_TOKENS = int(os.environ.get("TOKENS", "48"))
REQUESTS = {1: 2, 4: 1, 16: 1, 32: 1}
"""How many requests each client makes one after another, by the number of clients."""
NETWORK_TOKENS = int(os.environ.get("NETWORK_TOKENS", "192"))
NETWORK_REQUESTS = 2
SHORT_PROMPTS, LONG_PROMPT_WORDS = 30, 230
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, top_k=40)

Ask = Callable[[str, int], int]
"""Answers a prompt with at most the given number of tokens, and returns how many there were."""
Write = Callable[[random.Random, int], str]
"""Makes a prompt of about the given number of words."""


@dataclass(frozen=True)
class System:
    """A measured system: how to ask it, with how many clients, and its processor time so far."""

    ask: Ask
    clients: Sequence[int]
    cpu_s: Callable[[], float]


Speeds = dict[tuple[str, int], list[tuple[float, float]]]
"""By system and number of clients, for each round: tokens per second of time and of CPU time."""


def main() -> None:
    if FORMAT not in FORMATS:
        raise SystemExit(f"FORMAT: {FORMAT!r} is unknown; use one of {', '.join(FORMATS)}")
    if os.environ.get("ONLY") == "default":
        publish("miner", ["", "engine", "peer", "ratio"], *_default_model())
        return
    with tempfile.TemporaryDirectory(prefix="cortensor-bench-") as folder:
        given = os.environ.get("MODEL")
        name = Path(folder) / "random-100m.gguf"
        model = Path(given) if given else random_model.write(name, format_=FORMAT)
        rows, ratios = _networks(model)
        if os.environ.get("ONLY") == "network":
            publish("miner", ["", "network", "engines", "ratio"], rows, ratios)
            return
        speeds, cost = _throughput(model)
        same = _agreement(model)
        waits = {} if given else _first_tokens(model)
    shares = {"draw_share_of_step": cost, "same_answers_in_a_batch": same}
    ratios |= shares
    rows += [[name.replace("_", " "), f"{share:.1%}", "", ""] for name, share in shares.items()]
    more_rows, more_ratios = _default_model()
    ratios |= more_ratios
    _publish(speeds, waits, rows + more_rows, ratios)


def _default_model() -> tuple[list[list[str]], dict[str, float]]:
    """Return rows and ratios for the model that `make run` serves, or none if it is missing."""
    try:
        model = obtain(SMOLLM2, lambda text: print(text, flush=True))
    except FetchFailed as error:
        print(f"the default model is left out: {error}", flush=True)
        return [], {}
    rows, ratios = three_miners.at_once(model, ROUNDS, NETWORK_TOKENS, one_each)
    speeds, _ = _throughput(model, CLIENTS[1:], story, alone=True)
    for clients in CLIENTS[1:]:
        key, title = f"default_vs_llama_server_{clients}", f"default model, {clients} clients"
        more_rows, more_ratios = _compare(speeds, key, title, "llama-server", clients)
        rows += more_rows
        ratios |= more_ratios
    return rows, ratios


def _networks(model: Path) -> tuple[list[list[str]], dict[str, float]]:
    """Return rows and ratios of the network and the engines, on separate and shared processors."""
    rows: list[list[str]] = []
    ratios: dict[str, float] = {}
    for prefix, processors in (("", apart()), ("shared_", shared())):
        turns = three_miners.measure(
            model, max(1, ROUNDS - 1), NETWORK_TOKENS, _questions, processors
        )
        more_rows, more_ratios = three_miners.compare(turns, prefix)
        rows += more_rows
        ratios |= more_ratios
    return rows, ratios


def _questions(chooser: random.Random, clients: int) -> list[list[str]]:
    """Return the prompts that each client sends to the network one after another."""
    return [
        [
            _prompt(chooser, PROMPT_WORDS[(client + turn) % len(PROMPT_WORDS)])
            for turn in range(NETWORK_REQUESTS)
        ]
        for client in range(clients)
    ]


def _throughput(
    model: Path,
    all_clients: Sequence[int] = CLIENTS,
    write: Write | None = None,
    *,
    alone: bool = False,
) -> tuple[Speeds, float]:
    """Measure the speed of every system, and the share of drawing in the engine's steps.

    Args:
        write: makes prompts. None means prompts of random words.
        alone: whether llama-server is the only peer.
    """
    engine = Engine(model, slots=SLOTS, threads=THREADS, context_tokens=CONTEXT)
    with ExitStack() as stack:
        stack.callback(engine.close)
        server = stack.enter_context(llama_server(model, SLOTS, CONTEXT, THREADS))
        limits = httpx.Limits(max_connections=64)
        http = stack.enter_context(httpx.Client(timeout=600, limits=limits))
        systems = {
            "engine": System(_through_engine(engine), all_clients, time.process_time),
            "llama-server": System(_over_http(http, server.url), all_clients, server.cpu_s),
        }
        if not alone:
            slow = stack.enter_context(llama_cpp_python_server(model, CONTEXT, THREADS))
            ask = _over_http(http, slow.url)
            systems["llama_cpp.server"] = System(ask, (16,), slow.cpu_s)
            systems["plain"] = stack.enter_context(_plainly(model))
        for system in systems.values():
            system.ask(_prompt(random.Random(0), 2), 4)
        speeds: Speeds = {}
        for round_ in range(ROUNDS):
            # The system that goes first in one round goes last in the next.
            order = list(systems.items())[:: 1 if round_ % 2 == 0 else -1]
            for clients in all_clients:
                for name, system in order:
                    if clients in system.clients:
                        seed = 1000 * round_ + clients
                        speed = _speed(system, clients, seed, write or _prompt)
                        speeds.setdefault((name, clients), []).append(speed)
                        print(
                            f"{clients:2} clients, {name}: {speed[0]:.0f} tokens/s,"
                            f" {speed[1]:.0f} per second of processor time",
                            flush=True,
                        )
        return speeds, engine.draw_s / engine.step_s


def _speed(system: System, clients: int, seed: int, write: Write) -> tuple[float, float]:
    def client(number: int) -> int:
        chooser = random.Random(seed * 100 + number)
        words = [
            PROMPT_WORDS[(number + turn) % len(PROMPT_WORDS)] for turn in range(REQUESTS[clients])
        ]
        return sum(system.ask(write(chooser, count), MAX_TOKENS) for count in words)

    with ThreadPoolExecutor(clients) as pool:
        started, cpu_started = time.perf_counter(), system.cpu_s()
        tokens = sum(pool.map(client, range(clients)))
        return (
            tokens / (time.perf_counter() - started),
            tokens / max(system.cpu_s() - cpu_started, 0.01),
        )


def _agreement(model: Path) -> float:
    """Return the share of answers that have the same tokens alone and beside 31 others."""
    engine = Engine(model, slots=SLOTS, threads=THREADS, context_tokens=CONTEXT)
    chooser = random.Random(1)
    requests = [
        GenerationRequest(
            engine.prompts.tokenise(
                _prompt(chooser, PROMPT_WORDS[number % len(PROMPT_WORDS)]), PLAIN
            ),
            MAX_TOKENS,
            SAMPLING,
            seed=number.to_bytes(32, "big"),
        )
        for number in range(SLOTS)
    ]
    alone = [engine.submit(request).result().token_ids for request in requests]
    engine.close()
    engine = Engine(model, slots=SLOTS, threads=THREADS, context_tokens=CONTEXT)
    running = [engine.submit(request) for request in requests]
    together = [generation.result().token_ids for generation in running]
    engine.close()
    return sum(a == b for a, b in zip(alone, together, strict=True)) / len(requests)


def _first_tokens(model: Path) -> dict[str, list[float]]:
    """Measure the milliseconds to the first token of short prompts while long ones are read."""
    engine = Engine(model, slots=4, threads=THREADS, context_tokens=LONG_CONTEXT)
    with ExitStack() as stack:
        stack.callback(engine.close)
        url = stack.enter_context(llama_server(model, 4, LONG_CONTEXT, THREADS)).url
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
    """Return random words, with which no other prompt begins."""
    return "".join(f" w{chooser.randrange(30_000)}" for _ in range(words))


def _through_engine(engine: Engine) -> Ask:
    def ask(prompt: str, max_tokens: int) -> int:
        tokens = engine.prompts.tokenise(prompt, PLAIN)
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


@contextmanager
def _plainly(model: Path) -> Iterator[System]:
    """Run `Llama.create_completion` in a separate process; see `mining.node.engine.turns`."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, _load_plain, (model,)) as pool:
        pid = pool.submit(os.getpid).result()

        def ask(prompt: str, max_tokens: int) -> int:
            return pool.submit(_complete_plainly, prompt, max_tokens).result()

        yield System(ask, (1,), partial(cpu_s, pid))


plain: Llama
"""The model in the process that `_plainly` starts."""


def _load_plain(model: Path) -> None:
    global plain
    plain = Llama(str(model), n_ctx=CONTEXT, n_threads=THREADS, verbose=False)


def _complete_plainly(prompt: str, max_tokens: int) -> int:
    answer = plain.create_completion(prompt, max_tokens=max_tokens, **_filters())
    return int(answer["usage"]["completion_tokens"])


def _filters() -> dict[str, float]:
    return {
        "temperature": SAMPLING.temperature,
        "top_p": SAMPLING.top_p,
        "top_k": SAMPLING.top_k,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
    }


def _compare(
    speeds: Speeds, key: str, title: str, peer: str, clients: int
) -> tuple[list[list[str]], dict[str, float]]:
    """Return rows and ratios of the engine and a peer, by time and by processor time."""
    rows, ratios = [], {}
    own, theirs = speeds["engine", clients], speeds[peer, clients]
    for index, prefix, unit in ((0, "", "tokens/s"), (1, "cpu_", "tokens/CPU s")):
        a, b = [each[index] for each in own], [each[index] for each in theirs]
        ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
        ratios[prefix + key] = ratio
        name = f"{title}, {unit}"
        rows.append([name, median_and_spread(a), median_and_spread(b), f"{ratio:.2f}×"])
    return rows, ratios


def _publish(
    speeds: Speeds,
    waits: dict[str, list[float]],
    rows: list[list[str]],
    ratios: dict[str, float],
) -> None:
    """Add the comparisons with the servers to the rows and ratios, and print everything."""

    def compare(key: str, title: str, peer: str, clients: int) -> None:
        more_rows, more_ratios = _compare(speeds, key, title, peer, clients)
        rows.extend(more_rows)
        ratios.update(more_ratios)

    compare("single_vs_plain", "1 client: Llama", "plain", 1)
    compare("vs_llama_server_1", "1 client: llama-server", "llama-server", 1)
    for clients in CLIENTS[1:]:
        title = f"{clients} clients: llama-server"
        compare(f"vs_llama_server_{clients}", title, "llama-server", clients)
    compare("vs_llama_cpp_server_16", "16 clients: llama_cpp.server", "llama_cpp.server", 16)
    for percent in (50, 99) if waits else ():
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
