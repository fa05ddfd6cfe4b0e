"""A client with only a wallet on a whole network, using x402's own SDK unmodified."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.http.utils import decode_payment_response_header
from x402.mechanisms.evm.exact import register_exact_evm_client
from x402.schemas import SettleResponse

from chain.deployed.contracts import Deployment
from chain.deployed.keys import load
from cortensor_site.pay_per_call import PayPerCall, SessionTerms, open_pay_per_call
from cortensor_site.stack.example import WEI_PER_COR, transact
from cortensor_site.stack.network import keystore_password
from tests.system.conftest import Client

PATIENCE_S = 60.0
PATH = "/api/v1/x402/completions"
PURSE_WEI = WEI_PER_COR
MORE_THAN_THERE_ARE = 16
"""Miners a task: no network of these tests has as many, so the task comes to nothing."""


def wait_until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.2)


@dataclass(frozen=True)
class Visitor:
    """Somebody without gas money, key or session, who has a little $COR."""

    client: Client
    wallet: LocalAccount

    def held_wei(self, holder: str | None = None) -> int:
        token = self.client.contracts.token.functions
        return int(token.balanceOf(holder or self.wallet.address).call())

    def ask(self, path: str = PATH, **body: Any) -> httpx.Response:
        return asyncio.run(self._ask(path, {"prompt": "What is 12 + 7?", "max_tokens": 24} | body))

    async def _ask(self, path: str, body: dict[str, Any]) -> httpx.Response:
        paying = register_exact_evm_client(x402Client(), self.wallet)
        paying.set_spend_controls({"allowed_assets": True})
        url = self.client.network.router_url
        async with x402HttpxClient(paying, base_url=url, timeout=PATIENCE_S) as http:
            return await http.post(path, json=body)


@pytest.fixture
def visitor(client: Client) -> Visitor:
    wallet: LocalAccount = Account.create()
    password = keystore_password(client.network.var_dir)
    treasury = load(client.network.keystore_dir / "deployer.json", password)
    transfer = client.contracts.token.functions.transfer(wallet.address, PURSE_WEI)
    transact(client.w3, treasury, transfer)
    return Visitor(client, wallet)


def open_till(client: Client, redundancy: int = 3) -> PayPerCall:
    """Have the operator open the router, and wait until it knows its session.

    With three miners an answer is right, although one of the network's is a cheat.
    """
    password = keystore_password(client.network.var_dir)
    opened = open_pay_per_call(
        client.w3,
        Deployment.load(client.network.deployment_file),
        load(client.network.keystore_dir / "deployer.json", password),
        client.network.keystore_dir,
        password,
        SessionTerms(WEI_PER_COR, redundancy=redundancy),
    )
    url = f"{client.network.router_url}{PATH}/{opened.session_id}"

    def offered() -> bool:
        return httpx.post(url, json={"prompt": "x"}).status_code == 402

    wait_until(offered, "the router never offered the session")
    return opened


def receipt_of(answer: httpx.Response) -> SettleResponse:
    return decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])


def test_a_visitor_pays_for_an_answer_and_the_network_is_paid(visitor: Visitor) -> None:
    opened = open_till(visitor.client)
    before_wei = visitor.held_wei(opened.till)
    balance_wei = visitor.client.balance_wei(opened.session_id)
    answer = visitor.ask()
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["text"]
    settled = receipt_of(answer)
    price_wei = int(settled.amount or 0)
    mined = visitor.client.w3.eth.get_transaction_receipt(settled.transaction)  # type: ignore[arg-type]
    assert mined["status"] == 1
    assert visitor.held_wei() == PURSE_WEI - price_wei
    assert visitor.held_wei(opened.till) == before_wei + price_wei
    task = (answer.json()["session_id"], answer.json()["task_id"])
    queue = visitor.client.contracts.queue.functions
    wait_until(lambda: queue.getTaskStatus(*task).call() == 5, "the task never ended")
    spent_wei = balance_wei - visitor.client.balance_wei(opened.session_id)
    assert 0 < spent_wei <= price_wei


def test_a_visitors_stream_is_live_and_ends(visitor: Visitor) -> None:
    open_till(visitor.client)
    answer = visitor.ask(stream=True)
    assert answer.status_code == 200, answer.text
    assert receipt_of(answer).success
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    # It is told only once its payment is mined, when most of it is there.
    assert "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1])


def test_a_visitor_whose_task_comes_to_nothing_has_its_money_back(visitor: Visitor) -> None:
    opened = open_till(visitor.client, redundancy=MORE_THAN_THERE_ARE)
    answer = visitor.ask(f"{PATH}/{opened.session_id}", timeout=5)
    assert answer.status_code >= 500, answer.text
    settled = receipt_of(answer)
    assert settled.success
    assert int(settled.amount or 0) > 0
    wait_until(lambda: visitor.held_wei() == PURSE_WEI, "nothing was paid back")
