"""`python -m cortensor_site.stack`: the network on this machine, with an example task."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from web3 import Web3

from chain.contracts import Deployment, connect
from chain.keys import load
from cortensor_site.pay_per_call import OpeningFailed, SessionTerms, open_pay_per_call
from cortensor_site.stack.embedded import BASE_DIR, StartFailed
from cortensor_site.stack.example import (
    Contracts,
    ExampleFailed,
    Router,
    grant_test_tokens,
    open_session,
)
from cortensor_site.stack.network import MODELS_DIR, Network, keystore_password, running_network
from cortensor_site.stack.ports import PortInUse, Ports
from cortensor_site.stack.receipt import Receipt, read_receipt

PROMPT = "What is Cortensor?"
REDUNDANCY = 3
PAY_PER_CALL_WEI = 5 * 10**18

console = Console(stderr=False, highlight=False)


def main() -> int:
    """Run the network until Ctrl-C, or with ONCE=1 until the example's receipt."""
    arguments = _parser().parse_args()
    # SIGTERM unwinds like Ctrl-C, and Ctrl-C also where a script has put us in the background,
    # so that no process is left behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    models = [arguments.model] * arguments.miners
    try:
        with running_network(
            arguments.var_dir, Ports.from_environment(), models, _step, os.environ
        ) as network:
            receipt = _play(network, arguments.prompt)
            if arguments.once:
                _stage("done")
            else:
                _open_pay_per_call(network)
                _rest(network)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except (PortInUse, StartFailed, ExampleFailed, OpeningFailed) as error:
        console.print(f"[bold red]error[/] {error}", markup=True)
        return 1
    print(json.dumps(receipt.to_json()), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cortensor_site.stack", description=__doc__)
    parser.add_argument(
        "--once",
        action="store_true",
        default=os.environ.get("ONCE", "0") not in {"", "0"},
        help="exit after the example's receipt, printed last as one line of JSON (ONCE=1)",
    )
    parser.add_argument("--miners", type=int, default=REDUNDANCY, help="how many (default: 3)")
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL", str(MODELS_DIR / "cortensor-mini.gguf")),
        help="a GGUF file or a Hugging Face repository (MODEL)",
    )
    parser.add_argument("--prompt", default=PROMPT, help=f"the example's prompt ({PROMPT!r})")
    parser.add_argument(
        "--var-dir",
        type=Path,
        default=Path(os.environ.get("VAR_DIR", BASE_DIR / "var")),
        help="where the network keeps its data (VAR_DIR, default: var)",
    )
    return parser


def _play(network: Network, prompt: str) -> Receipt:
    password = keystore_password(network.var_dir)
    client = load(network.keystore_dir / "client.json", password)
    treasury = load(network.keystore_dir / "deployer.json", password)
    w3 = connect(network.rpc_url)
    contracts = Contracts.at(w3, Deployment.load(network.deployment_file))
    router = Router(network.router_url, network.api_key)

    _headline("A client opens a session")
    grant_test_tokens(contracts, treasury, client)
    session_id = open_session(contracts, client, redundancy=REDUNDANCY)
    before_wei = contracts.payment.functions.sessionBalance(session_id).call()
    router.wait_for_session(session_id, before_wei)
    _step(f"session {session_id}: redundancy {REDUNDANCY}, escrow {_cor(before_wei)}")

    _headline("It sends a prompt, and tokens stream back")
    console.print(f"[bold]> {prompt}[/]")
    from_block = w3.eth.block_number
    with router.notices() as notices:
        answer = router.ask(session_id, prompt, lambda piece: console.print(piece, end=""))
        console.print()
        _headline("The task goes through its stages")
        task = router.wait_until_ended(notices, answer, _stage)
    total_ms = (time.monotonic() - answer.started_at) * 1000

    receipt = read_receipt(
        contracts,
        answer,
        task,
        escrow_before_wei=before_wei,
        total_ms=total_ms,
        from_block=from_block,
    )
    _headline("The receipt")
    for part in receipt.miners:
        _step(f"{part.miner}: accuracy {part.accuracy_bps / 100:g} %, paid {_cor(part.paid_wei)}")
    _step(
        f"escrow {_cor(receipt.escrow_before_wei)} = {_cor(receipt.escrow_after_wei)} left"
        f" + {_cor(receipt.paid_wei)} paid"
    )
    _step(f"first token after {receipt.ttft_ms} ms, settled after {receipt.total_ms} ms")
    _step(f"gas by stage: {receipt.gas}")
    return receipt


def _open_pay_per_call(network: Network) -> None:
    """Let whoever has a wallet pay for single tasks: README, "Pay per call"."""
    password = keystore_password(network.var_dir)
    opened = open_pay_per_call(
        connect(network.rpc_url),
        Deployment.load(network.deployment_file),
        load(network.keystore_dir / "deployer.json", password),
        network.keystore_dir,
        password,
        SessionTerms(PAY_PER_CALL_WEI),
    )
    _headline("Whoever has a wallet can pay per call")
    _step(f"POST {network.router_url}/api/v1/x402/completions, paid to {opened.till}")
    _step(f"session {opened.session_id} pays the network: {_cor(opened.balance_wei)}")


def _rest(network: Network) -> None:
    console.print(f"\nDashboard  [bold]{network.router_url}/[/]    Ctrl-C stops everything")
    while True:
        time.sleep(3600)


def _headline(text: str) -> None:
    console.print(f"\n[bold]{text}[/]")


def _step(text: str) -> None:
    console.print(f"  {text}", markup=False)


def _stage(text: str) -> None:
    console.print(f"  {text}", markup=False)


def _cor(amount_wei: int) -> str:
    return f"{Web3.from_wei(amount_wei, 'ether'):f} COR"


if __name__ == "__main__":
    sys.exit(main())
