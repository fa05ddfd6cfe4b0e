"""`python -m cortensor_site.stack`: run the network on this machine, with an example task."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from eth_account.signers.local import LocalAccount
from rich.console import Console
from rich.markup import escape
from web3 import Web3

from chain.deployed.contracts import Deployment, connect
from chain.deployed.keys import load
from cortensor_site.pay_per_call import SessionTerms, open_pay_per_call
from cortensor_site.stack.example import (
    Contracts,
    Router,
    grant_test_tokens,
    open_session,
    session_with_money,
)
from cortensor_site.stack.interrupts import raise_once
from cortensor_site.stack.models import CHAT, SHIPPED, ServedModels, choose
from cortensor_site.stack.network import Network, keystore_password, running_network
from cortensor_site.stack.ports import PortInUse, Ports
from cortensor_site.stack.receipt import Receipt, read_receipt
from cortensor_site.stack.servers.embedded import BASE_DIR, StartFailed

EXAMPLES = {CHAT: "What is the capital of Japan?", SHIPPED: "What is Cortensor?"}
REDUNDANCY = 3
PAY_PER_CALL_WEI = 5 * 10**18

T = TypeVar("T")

console = Console(stderr=False, highlight=False)


def main() -> int:
    """Run the network until Ctrl-C, or with ONCE=1 until the example's receipt."""
    arguments = _parser().parse_args()
    # Handle SIGINT even if a script has started this process in the background, where the shell
    # ignores it. Otherwise, processes would be left behind.
    raise_once()
    redundancy = min(REDUNDANCY, arguments.miners)
    try:
        models = choose(arguments.model, _step)
        with running_network(
            arguments.var_dir,
            Ports.from_environment(),
            [models.sources] * arguments.miners,
            _step,
            os.environ,
            models=models.sources,
            meanwhile=partial(_open_sessions, models=models, redundancy=redundancy),
        ) as network:
            prompt = arguments.prompt or EXAMPLES[models.first]
            terms = SessionTerms(PAY_PER_CALL_WEI, model_identifier=models.first)
            receipt = _tried(
                "the example", lambda: _play(network, prompt, models.first, redundancy)
            )
            if arguments.once:
                _stage("done")
            else:
                _tried("pay per call", lambda: _open_pay_per_call(network, terms))
                _rest(network)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except (PortInUse, StartFailed) as error:
        console.print(f"[bold red]error[/] {escape(str(error))}", markup=True)
        return 1
    if receipt is None:
        return 1
    print(json.dumps(receipt.to_json()), flush=True)
    return 0


def _tried(what: str, do: Callable[[], T]) -> T | None:
    """Run a step whose failure does not stop the network. Print the error and return None then."""
    try:
        return do()
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        console.print(
            f"[bold red]{what} failed[/] {escape(f'{type(error).__name__}: {reason}')}", markup=True
        )
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cortensor_site.stack", description=__doc__)
    parser.add_argument(
        "--once",
        action="store_true",
        default=os.environ.get("ONCE", "0") not in {"", "0"},
        help="exit after the example's receipt, printed last as one line of JSON (ONCE=1)",
    )
    parser.add_argument(
        "--miners", type=int, default=REDUNDANCY, help="number of miners (default: 3)"
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL"),
        help="a GGUF file or a Hugging Face repository to serve instead of the default (MODEL)",
    )
    parser.add_argument("--prompt", help="the example's prompt (default: one that suits the model)")
    parser.add_argument(
        "--var-dir",
        type=Path,
        default=Path(os.environ.get("VAR_DIR", BASE_DIR / "var")),
        help="where the network keeps its data (VAR_DIR, default: var)",
    )
    return parser


def _open_sessions(network: Network, models: ServedModels, redundancy: int) -> None:
    """Open a session with money for each model, for the user of this machine."""
    client, contracts, treasury = (
        _account(network, "client"),
        _contracts(network),
        _treasury(network),
    )
    for number, source in models.sources.items():
        kept = network.var_dir / ("session" if number == models.first else f"session-{number}")
        opened = _tried(
            "your session",
            partial(
                session_with_money,
                contracts,
                treasury,
                client,
                kept,
                redundancy=redundancy,
                model_identifier=number,
            ),
        )
        if opened is not None:
            _step(
                f"your session of {Path(source).stem}: {opened}, paid from by"
                f" {network.var_dir / 'api_key'}"
            )


def _account(network: Network, name: str) -> LocalAccount:
    return load(network.keystore_dir / f"{name}.json", keystore_password(network.var_dir))


def _treasury(network: Network) -> LocalAccount:
    return _account(network, "deployer")


def _contracts(network: Network) -> Contracts:
    return Contracts.at(connect(network.rpc_url), Deployment.load(network.deployment_file))


def _play(network: Network, prompt: str, model_identifier: int, redundancy: int) -> Receipt:
    client, contracts, treasury = (
        _account(network, "example"),
        _contracts(network),
        _treasury(network),
    )
    router = Router(network.router_url, network.example_key)

    _headline("A client opens a session")
    grant_test_tokens(contracts, treasury, client)
    session_id = open_session(
        contracts, client, redundancy=redundancy, model_identifier=model_identifier
    )
    before_wei = contracts.payment.functions.sessionBalance(session_id).call()
    router.wait_for_session(session_id, before_wei)
    _step(f"session {session_id}: redundancy {redundancy}, escrow {_cor(before_wei)}")

    _headline("It sends a prompt, and tokens stream back")
    console.print(f"[bold]> {prompt}[/]")
    from_block = contracts.w3.eth.block_number
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


def _open_pay_per_call(network: Network, terms: SessionTerms) -> None:
    """Let clients with a wallet pay for single tasks (docs/x402.md)."""
    opened = open_pay_per_call(
        connect(network.rpc_url),
        Deployment.load(network.deployment_file),
        _treasury(network),
        network.keystore_dir,
        keystore_password(network.var_dir),
        terms,
    )
    _headline("Clients with a wallet can pay per call")
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
