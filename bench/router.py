"""The router, compared with `llama_cpp.server` alone and with a LiteLLM proxy for that server.

All three run the same model for one client on one machine. They take turns with 1, 8 and 64 streams
at once, so that the machine's noise affects them equally. The router has one miner, as the others
have one server.

`added_ttft_vs_litellm` is the time to the first token that the router adds to the direct server's,
divided by what LiteLLM adds (1.0 means as much). `tokens_per_s_vs_direct_1` is the tokens per
second of a single stream, from the request to the last token, divided by the direct server's.
`tokens_per_s_vs_litellm_64` is that of 64 streams together, divided by LiteLLM's. For both of these
more is better.
"""

import asyncio
import os
import secrets
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.report import median_and_spread, publish
from bench.servers import peers
from bench.servers.load import Burst, Target, burst
from chain.deployed.contracts import Deployment, connect
from chain.deployed.keys import load
from cortensor_site.stack.example import Contracts, Router, grant_test_tokens, open_session
from cortensor_site.stack.network import (
    MODELS_DIR,
    Network,
    keystore_password,
    running_network,
)
from cortensor_site.stack.ports import Ports
from mining.node.llm.llama import Model

MODEL = MODELS_DIR / "cortensor-mini.gguf"
MAX_TOKENS = 64
ROUNDS = {1: int(os.environ.get("ROUNDS", "60")), 8: 3, 64: 1}
"""The number of rounds, by the number of streams."""
DIRECT, LITELLM, ROUTER = "llama_cpp.server", "LiteLLM", "router"


def main() -> None:
    peers.prepare()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cortensor-bench-")))
        folder.chmod(0o755)
        ports = Ports(router=0, redis=0, chain=0)
        network = stack.enter_context(
            running_network(folder, ports, [str(MODEL)], lambda _: None, {})
        )
        direct_port, proxy_port = _free_ports()
        direct = stack.enter_context(peers.llama_server(MODEL, direct_port, folder))
        key = f"sk-{secrets.token_hex(16)}"
        proxy = stack.enter_context(peers.litellm_proxy(direct, proxy_port, folder, key))
        targets = [
            Target(DIRECT, direct),
            Target(LITELLM, proxy, {"Authorization": f"Bearer {key}"}),
            _router(network),
        ]
        bursts = asyncio.run(_measure(targets))
    _publish(bursts)


def _free_ports() -> tuple[int, int]:
    ports = Ports(router=0, redis=0, chain=0).reserve(["router", "redis"])
    return ports.router, ports.redis


def _router(network: Network) -> Target:
    """Return the network's OpenAI API, with a session that pays for the requests."""
    contracts = Contracts.at(connect(network.rpc_url), Deployment.load(network.deployment_file))
    password = keystore_password(network.var_dir)
    client = load(network.keystore_dir / "client.json", password)
    treasury = load(network.keystore_dir / "deployer.json", password)
    grant_test_tokens(contracts, treasury, client)
    session_id = open_session(contracts, client, redundancy=1)
    Router(network.router_url, network.api_key).wait_for_session(session_id, 1)
    return Target(
        ROUTER,
        network.router_url,
        {"Authorization": f"Bearer {network.api_key}", "X-Session-ID": str(session_id)},
        {"timeout": 600},
    )


async def _measure(targets: list[Target]) -> dict[tuple[str, int], list[Burst]]:
    bursts: dict[tuple[str, int], list[Burst]] = {}
    for target in targets:
        await burst(target, _prompts(2, 0), MAX_TOKENS)  # a warm-up
    for streams, rounds in ROUNDS.items():
        for round_ in range(rounds):
            for target in targets:
                done = await burst(target, _prompts(streams, round_), MAX_TOKENS)
                bursts.setdefault((target.name, streams), []).append(done)
    return bursts


def _prompts(count: int, round_: int) -> list[str]:
    """Return questions to which the shipped model mostly gives answers up to the token limit."""
    starts = [3 + (5 * n + 7 * round_) % 40 for n in range(count)]
    return [f"Count from {start} to {start + 6}." for start in starts]


def _publish(bursts: dict[tuple[str, int], list[Burst]]) -> None:
    vocabulary = Model(MODEL, vocab_only=True)

    def tokens(text: str) -> int:
        return len(vocabulary.tokenise(text, special=False))

    def per_s(name: str, streams: int) -> list[float]:
        return [
            sum(tokens(reply.text) for reply in one.replies) / one.seconds
            for one in bursts[name, streams]
        ]

    def first_ms(name: str, streams: int) -> list[float]:
        return [reply.first_s * 1000 for one in bursts[name, streams] for reply in one.replies]

    rows = []
    for name, streams in sorted(bursts, key=lambda key: key[1]):
        replies = [reply for one in bursts[name, streams] for reply in one.replies]
        gaps_ms = [
            (reply.last_s - reply.first_s) * 1000 / max(tokens(reply.text) - 1, 1)
            for reply in replies
        ]
        requests_per_s = [len(one.replies) / one.seconds for one in bursts[name, streams]]
        columns = (first_ms(name, streams), gaps_ms, per_s(name, streams), requests_per_s)
        rows.append([str(streams), name, *map(median_and_spread, columns)])
    ttft = {name: statistics.median(first_ms(name, 1)) for name in (DIRECT, LITELLM, ROUTER)}
    rate = {key: statistics.median(per_s(*key)) for key in bursts}
    publish(
        "router",
        ["streams", "", "first token, ms", "between tokens, ms", "tokens/s", "requests/s"],
        rows,
        {
            "added_ttft_vs_litellm": (ttft[ROUTER] - ttft[DIRECT]) / (ttft[LITELLM] - ttft[DIRECT]),
            "tokens_per_s_vs_direct_1": rate[ROUTER, 1] / rate[DIRECT, 1],
            "tokens_per_s_vs_litellm_64": rate[ROUTER, 64] / rate[LITELLM, 64],
        },
    )


if __name__ == "__main__":
    main()
