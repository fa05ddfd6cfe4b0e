"""Compares a network with three miners and their three engines alone.

Both sides have the same model, slots, threads, processors, prompts and number of clients. Each of
the engines runs in a process of its own, as a miner's engine does. The sides take turns, and one is
idle while the other runs. The network's clients stream over HTTP. The engines are called in their
processes.
"""

import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from bench.parts.processors import Processors, confine, shared
from bench.peers.servers import cpu_s
from bench.report import median_and_spread
from chain.deployed.contracts import Deployment, connect
from chain.deployed.keys import load
from cortensor_site.stack.example import Contracts, Router, grant_test_tokens, open_session
from cortensor_site.stack.network import Network, keystore_password, running_network
from cortensor_site.stack.ports import Ports
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationRequest
from mining.node.llm.prompts import PLAIN
from mining.node.protocol.sampling_params import SamplingParams

MINERS, CLIENTS, SLOTS, CONTEXT, THREADS = 3, 32, 11, 640, 1
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, top_k=40)
TIMEOUT_S = 600
MINER = "miner-"
"""The prefix of the names of the miners' processes."""

Prompts = Sequence[Sequence[str]]
"""For each client, the prompts that it sends one after another."""


@dataclass(frozen=True)
class Turn:
    """The tokens that one side generated, with its time and the CPU time of its processes.

    `seconds` is the time until the last answer. `cpu_s` counts until all tasks are settled.
    """

    tokens: int
    seconds: float
    cpu_s: Mapping[str, float]

    def tokens_per_s(self) -> float:
        """Return the tokens per second of all clients together."""
        return self.tokens / self.seconds

    def per_cpu_s(self) -> float:
        """Return the tokens per second of processor time."""
        return self.tokens / sum(self.cpu_s.values())

    def per_miners_cpu_s(self) -> float:
        """Return the tokens per second of the miners' processor time."""
        own = (cpu_s for name, cpu_s in self.cpu_s.items() if name.startswith(MINER))
        return self.tokens / sum(own)


def measure(
    model: Path,
    rounds: int,
    max_tokens: int,
    questions: Callable[[random.Random, int], Prompts],
    processors: Processors,
) -> list[tuple[Turn, Turn]]:
    """Measure the network and the engines in several rounds, and return both turns of each round.

    Args:
        model: the model's file.
        rounds: the number of rounds.
        max_tokens: the most tokens of an answer.
        questions: makes new prompts for a number of clients.
        processors: the processors of the miners and of the engines, and those of the rest of the
            network and its clients.
    """
    turns = []
    with ExitStack() as stack:
        stack.callback(confine, os.getpid(), os.sched_getaffinity(0))
        confine(os.getpid(), processors.rest)
        network = stack.enter_context(_network(model))
        for name, pid in _pids(network).items():
            if name.startswith(MINER):
                confine(pid, processors.miners)
        engines = stack.enter_context(_engines(model, max_tokens, processors))
        http, session_id = stack.enter_context(_client(network))
        _through(network, http, session_id, questions(random.Random(0), 4), max_tokens)
        for round_ in range(1, rounds + 1):
            prompts = questions(random.Random(round_), CLIENTS)
            # The side that goes first in one round goes last in the next.
            alone = engines(prompts) if round_ % 2 == 0 else None
            through = _through(network, http, session_id, prompts, max_tokens)
            alone = alone or engines(prompts)
            turns.append((through, alone))
            print(
                f"{CLIENTS} clients, network: {through.tokens_per_s():.0f} tokens/s, three engines:"
                f" {alone.tokens_per_s():.0f}; seconds of processor time: "
                + ", ".join(f"{name} {cpu_s:.1f}" for name, cpu_s in through.cpu_s.items())
                + f"; engines {sum(alone.cpu_s.values()):.1f}",
                flush=True,
            )
    return turns


def compare(
    turns: Sequence[tuple[Turn, Turn]], prefix: str = ""
) -> tuple[list[list[str]], dict[str, float]]:
    """Return rows with the network, the engines and their ratio, and the ratios by key."""
    rows, ratios = [], {}
    for key, title, network, engines in (
        ("network_vs_engines_32", "network, tokens/s", Turn.tokens_per_s, Turn.tokens_per_s),
        ("cpu_network_vs_engines_32", "network, tokens/CPU s", Turn.per_cpu_s, Turn.per_cpu_s),
        ("cpu_miners_vs_engines_32", "miners, tokens/CPU s", Turn.per_miners_cpu_s, Turn.per_cpu_s),
    ):
        own, theirs = [network(a) for a, _ in turns], [engines(b) for _, b in turns]
        ratio = statistics.median(x / y for x, y in zip(own, theirs, strict=True))
        ratios[prefix + key] = ratio
        title = f"{CLIENTS} clients, three engines: {prefix.replace('_', ' ')}{title}"
        spreads = map(median_and_spread, (own, theirs))
        rows.append([title, *spreads, f"{ratio:.2f}×"])
    return rows, ratios


def at_once(
    model: Path, rounds: int, max_tokens: int, questions: Callable[[random.Random, int], Prompts]
) -> tuple[list[list[str]], dict[str, float]]:
    """Compare three engines that answer one client each with one engine alone.

    Return a row and the ratio.
    """
    three, one = [], []
    with _engines(model, max_tokens, shared()) as engines:
        engines(questions(random.Random(0), MINERS))
        for round_ in range(1, rounds + 1):
            prompts = questions(random.Random(round_), MINERS)
            three.append(engines(prompts).tokens_per_s())
            one.append(engines(prompts[:1]).tokens_per_s())
    ratio = statistics.median(x / y for x, y in zip(three, one, strict=True))
    title = "default model, three miners at once over one, tokens/s"
    row = [title, *map(median_and_spread, (three, one)), f"{ratio:.2f}×"]
    return [row], {"three_at_once_vs_one": ratio}


@contextmanager
def _network(model: Path) -> Iterator[Network]:
    with tempfile.TemporaryDirectory(prefix="cortensor-bench-") as folder:
        var_dir = Path(folder)
        var_dir.chmod(0o755)
        for number in range(1, MINERS + 1):
            home = var_dir / "miners" / str(number)
            home.mkdir(parents=True)
            settings = f"slots = {SLOTS}\nthreads = {THREADS}\ncontext_tokens = {CONTEXT}\n"
            (home / "node.toml").write_text(settings)
        os.environ["MODEL"] = str(model)  # the router counts prompt tokens with it
        ports = Ports(router=0, redis=0, chain=0)
        with running_network(var_dir, ports, [str(model)] * MINERS, _silent, {}) as network:
            yield network


def _silent(_: str) -> None:
    pass


@contextmanager
def _client(network: Network) -> Iterator[tuple[httpx.Client, int]]:
    """Open a session that pays, and yield a client's connections and the session's number."""
    contracts = Contracts.at(connect(network.rpc_url), Deployment.load(network.deployment_file))
    password = keystore_password(network.var_dir)
    client = load(network.keystore_dir / "client.json", password)
    grant_test_tokens(contracts, load(network.keystore_dir / "deployer.json", password), client)
    session_id = open_session(contracts, client, redundancy=1)
    Router(network.router_url, network.api_key).wait_for_session(session_id, 1)
    with httpx.Client(
        base_url=f"{network.router_url}/api/v1/",
        headers={"Authorization": f"Bearer {network.api_key}"},
        timeout=TIMEOUT_S,
        limits=httpx.Limits(max_connections=CLIENTS),
    ) as http:
        yield http, session_id


def _through(
    network: Network, http: httpx.Client, session_id: int, prompts: Prompts, max_tokens: int
) -> Turn:
    def ask(prompt: str) -> int:
        body = {
            "prompt": prompt,
            "prompt_type": int(PLAIN),
            "max_tokens": max_tokens,
            "temperature": SAMPLING.temperature,
            "top_p": SAMPLING.top_p,
            "top_k": SAMPLING.top_k,
            "presence_penalty": SAMPLING.presence_penalty,
            "frequency_penalty": SAMPLING.frequency_penalty,
            "stream": True,
            "timeout": TIMEOUT_S,
        }
        last = {}
        with http.stream("POST", f"completions/{session_id}", json=body) as answer:
            if not answer.is_success:
                raise SystemExit(f"the router answered {answer.status_code}: {answer.read()!r}")
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    last = json.loads(line.removeprefix("data: "))
        if "usage" not in last:
            raise SystemExit(f"a stream broke off: {last}")
        return int(last["usage"]["completion_tokens"])

    pids = _pids(network)
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    with ThreadPoolExecutor(len(prompts)) as pool:
        started = time.perf_counter()
        tokens = sum(pool.map(lambda own: sum(map(ask, own)), prompts))
        seconds = time.perf_counter() - started
    _wait_until_settled(http, session_id)
    return Turn(tokens, seconds, {name: cpu_s(pid) - before[name] for name, pid in pids.items()})


def _pids(network: Network) -> dict[str, int]:
    return {name: network.supervisor.pid(name) for name in network.supervisor.statuses()}


def _wait_until_settled(http: httpx.Client, session_id: int) -> None:
    """Wait until all tasks are judged and paid.

    This takes processor time too, which must not be counted in the other side's turn.
    """
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        answer = http.get(f"tasks/{session_id}", params={"limit": 200}).raise_for_status()
        tasks = answer.json()["tasks"]
        if all(task["status"] in ("ended", "failed") for task in tasks):
            return
        time.sleep(0.5)
    raise SystemExit(f"not all tasks were settled within {TIMEOUT_S} s")


@contextmanager
def _engines(
    model: Path, max_tokens: int, processors: Processors
) -> Iterator[Callable[[Prompts], Turn]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for number in range(MINERS):
        ours, theirs = context.Pipe()
        process = context.Process(target=_engine, args=(theirs, model, max_tokens, number))
        process.start()
        if process.pid is not None:
            confine(process.pid, processors.miners)
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()

        def answer(prompts: Prompts) -> Turn:
            started = time.perf_counter()
            for number, pipe in enumerate(pipes):
                pipe.send(prompts[number::MINERS])
            answers: list[tuple[int, float]] = [pipe.recv() for pipe in pipes]
            seconds = time.perf_counter() - started
            cpu_s = {f"engine-{n}": cpu for n, (_, cpu) in enumerate(answers, start=1)}
            return Turn(sum(tokens for tokens, _ in answers), seconds, cpu_s)

        yield answer
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.send(None)
            process.join()


def _engine(pipe: Connection, model: Path, max_tokens: int, number: int) -> None:
    """Run an engine in a process of its own, and answer the prompts from a pipe until None."""
    engine = Engine(model, slots=SLOTS, threads=THREADS, context_tokens=CONTEXT)
    chance = random.Random(number)

    def ask(prompt: str) -> int:
        tokens = engine.prompts.tokenise(prompt, PLAIN)
        request = GenerationRequest(tokens, max_tokens, SAMPLING, seed=chance.randbytes(32))
        return engine.submit(request).result().completion_tokens

    engine.submit(GenerationRequest([0], 16)).result()
    pipe.send(None)
    while (prompts := pipe.recv()) is not None:
        before = time.process_time()
        with ThreadPoolExecutor(max(1, len(prompts))) as pool:
            tokens = sum(pool.map(lambda own: sum(map(ask, own)), prompts))
        pipe.send((tokens, time.process_time() - before))
    engine.close()
