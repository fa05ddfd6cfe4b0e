"""A task of redundancy 1 through the whole network, compared with an in-process call of the model.

`ttft_vs_direct` and `total_vs_direct` are the network's median times to the first token and to the
last, divided by those of the direct call. A network without any overhead would have 1.0. Both sides
take turns in one run, so that the machine's noise affects them equally.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from llama_cpp import Llama

from bench.report import median_and_spread, publish
from chain.deployed.contracts import Deployment, connect
from chain.deployed.keys import load
from cortensor_site.stack.example import Contracts, Router, grant_test_tokens, open_session
from cortensor_site.stack.network import MODELS_DIR, keystore_password, running_network
from cortensor_site.stack.ports import Ports

ROUNDS = int(os.environ.get("ROUNDS", "20"))
PROMPTS = ("What is Cortensor?", "Count from 3 to 20.", "What is a miner?", "Name the months.")
MAX_TOKENS = 96
WARM_UPS = 3


def main() -> None:
    model = str(MODELS_DIR / "cortensor-mini.gguf")
    with tempfile.TemporaryDirectory(prefix="cortensor-bench-") as folder:
        Path(folder).chmod(0o755)
        ports = Ports(router=0, redis=0, chain=0)
        with running_network(Path(folder), ports, [model], _silent, {}) as network:
            router = Router(network.router_url, network.api_key)
            w3 = connect(network.rpc_url)
            contracts = Contracts.at(w3, Deployment.load(network.deployment_file))
            password = keystore_password(network.var_dir)
            client = load(network.keystore_dir / "client.json", password)
            treasury = load(network.keystore_dir / "deployer.json", password)
            grant_test_tokens(contracts, treasury, client)
            session_id = open_session(contracts, client, redundancy=1)
            router.wait_for_session(session_id, 1)
            direct = Llama(model, n_ctx=512, n_threads=1, verbose=False)

            network_ms: list[tuple[float, float]] = []
            direct_ms: list[tuple[float, float]] = []
            for round_ in range(ROUNDS + WARM_UPS):
                prompt = PROMPTS[round_ % len(PROMPTS)]
                measured = _through(router, session_id, prompt), _in_process(direct, prompt)
                if round_ >= WARM_UPS:
                    network_ms.append(measured[0])
                    direct_ms.append(measured[1])
    _publish(network_ms, direct_ms)


def _silent(_: str) -> None:
    pass


def _through(router: Router, session_id: int, prompt: str) -> tuple[float, float]:
    answer = router.ask(session_id, prompt, _silent, max_tokens=MAX_TOKENS)
    return answer.ttft_ms, (time.monotonic() - answer.started_at) * 1000


def _in_process(llama: Llama, prompt: str) -> tuple[float, float]:
    started, first = time.monotonic(), 0.0
    # Clear the cache, since the prompt of a new task is new to a miner as well.
    llama.reset()
    for chunk in llama.create_chat_completion(
        [{"role": "user", "content": prompt}], max_tokens=MAX_TOKENS, temperature=0, stream=True
    ):
        if not first and chunk["choices"][0]["delta"].get("content"):
            first = time.monotonic()
    return (first - started) * 1000, (time.monotonic() - started) * 1000


def _publish(network: list[tuple[float, float]], direct: list[tuple[float, float]]) -> None:
    rows, ratios = [], {}
    for index, (key, title) in enumerate(
        (("ttft_vs_direct", "first token, ms"), ("total_vs_direct", "last token, ms"))
    ):
        through = [times[index] for times in network]
        beside = [times[index] for times in direct]
        ratios[key] = statistics.median(through) / statistics.median(beside)
        rows.append(
            [title, median_and_spread(through), median_and_spread(beside), f"{ratios[key]:.2f}×"]
        )
    publish("network", ["", "network", "in-process", "ratio"], rows, ratios)


if __name__ == "__main__":
    main()
