"""The example client of `make run`: it opens a session, pays, asks, and reads the receipt.

It uses only what every client has: its own key, the chain's RPC, and the router's REST API and
WebSocket.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import Web3Exception
from web3.logs import DISCARD
from web3.types import TxReceipt
from websockets.sync.client import ClientConnection, connect

from chain.deployed.contracts import Deployment, handle

WEI_PER_COR = 10**18
DEPOSIT_WEI = 10 * WEI_PER_COR
GRANT_WEI = 1_000 * WEI_PER_COR
EPHEMERAL = 0
ACTIVE = 0
TIMEOUT_S = 60
RECEIPT_TIMEOUT_S = 60.0

Say = Callable[[str], None]


class ExampleFailed(RuntimeError):
    """A step of the example failed. The message says which step and why."""


@dataclass(frozen=True)
class Contracts:
    """The contracts that a client calls."""

    w3: Web3
    token: Contract
    session: Contract
    queue: Contract
    payment: Contract

    @classmethod
    def at(cls, w3: Web3, deployment: Deployment) -> "Contracts":
        """Return the contracts of a deployment."""
        names = ("CortensorToken", "Session", "SessionQueue", "SessionPayment")
        return cls(w3, *(handle(w3, deployment, name) for name in names))


@dataclass(frozen=True)
class Answer:
    """A streamed answer: its task, its text, and its times.

    `ttft_ms` is the time from the request to the first token, `started_at` the monotonic time of
    the request.
    """

    session_id: int
    task_id: int
    text: str
    ttft_ms: float
    started_at: float


def grant_test_tokens(contracts: Contracts, treasury: LocalAccount, client: LocalAccount) -> None:
    """Give a client's wallet test $COR from the treasury."""
    transact(contracts.w3, treasury, contracts.token.functions.transfer(client.address, GRANT_WEI))


def open_session(
    contracts: Contracts, client: LocalAccount, *, redundancy: int, model_identifier: int = 1
) -> int:
    """Create a session on chain, deposit into it, and return its id."""
    w3, payment = contracts.w3, contracts.payment
    creation = send(
        w3,
        client,
        contracts.session.functions.create(
            "example",
            "{}",
            client.address,
            1,
            redundancy,
            redundancy,
            1,
            EPHEMERAL,
            False,
            0,
            model_identifier,
            0,
            0,
        ),
    )
    # The two transactions are independent, so one block may contain both.
    approval = send(w3, client, contracts.token.functions.approve(payment.address, DEPOSIT_WEI))
    created = mined(w3, creation)
    mined(w3, approval)
    [event] = contracts.session.events.SessionCreated().process_receipt(created, errors=DISCARD)
    session_id = int(event["args"]["sessionId"])
    transact(w3, client, payment.functions.depositToSession(session_id, DEPOSIT_WEI))
    return session_id


def session_with_money(
    contracts: Contracts,
    treasury: LocalAccount,
    client: LocalAccount,
    kept: Path,
    *,
    redundancy: int,
    model_identifier: int = 1,
) -> int:
    """Return the id of the client's session from an earlier run, or of a new one, with money in it.

    Args:
        kept: the file that stores the session's id.
    """
    w3, payment = contracts.w3, contracts.payment
    session_id = _kept_session(contracts, client, kept, model_identifier)
    left_wei = payment.functions.sessionBalance(session_id).call() if session_id is not None else 0
    if left_wei >= DEPOSIT_WEI // 2:
        assert session_id is not None
        return session_id
    if contracts.token.functions.balanceOf(client.address).call() < DEPOSIT_WEI:
        grant_test_tokens(contracts, treasury, client)
    if session_id is None:
        session_id = open_session(
            contracts, client, redundancy=redundancy, model_identifier=model_identifier
        )
    else:
        missing_wei = DEPOSIT_WEI - left_wei
        transact(w3, client, contracts.token.functions.approve(payment.address, missing_wei))
        transact(w3, client, payment.functions.depositToSession(session_id, missing_wei))
    kept.write_text(str(session_id))
    return session_id


def _kept_session(
    contracts: Contracts, client: LocalAccount, kept: Path, model_identifier: int
) -> int | None:
    """Return the stored session if it is active and of this client and this model, or None."""
    try:
        session_id = int(kept.read_text())
        session = contracts.session.functions.getSession(session_id).call()
        model = contracts.session.functions.modelOf(session_id).call()
    except (OSError, ValueError, Web3Exception):
        return None
    state, owner = session[4], session[7]
    wanted = (ACTIVE, client.address, model_identifier)
    return session_id if (state, owner, model) == wanted else None


def transact(w3: Web3, account: LocalAccount, call: Any) -> TxReceipt:
    """Send a transaction and wait until it is mined.

    Raises:
        ExampleFailed: the transaction reverted.
    """
    return mined(w3, send(w3, account, call))


def send(w3: Web3, account: LocalAccount, call: Any) -> HexBytes:
    """Send a transaction and return its hash."""
    transaction = call.build_transaction(
        {"from": account.address, "nonce": w3.eth.get_transaction_count(account.address, "pending")}
    )
    return w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)


def mined(w3: Web3, transaction: HexBytes) -> TxReceipt:
    """Wait until a transaction is mined, and return its receipt.

    Raises:
        ExampleFailed: the transaction reverted.
    """
    receipt = w3.eth.wait_for_transaction_receipt(
        transaction, timeout=RECEIPT_TIMEOUT_S, poll_latency=0.1
    )
    if receipt["status"] != 1:
        raise ExampleFailed(f"transaction {receipt['transactionHash'].to_0x_hex()} reverted")
    return receipt


class Router:
    """A client's connection to a router."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=TIMEOUT_S + 10
        )

    def wait_for_session(self, session_id: int, balance_wei: int) -> None:
        """Wait until the router's mirror shows a session with its deposit."""
        until = time.monotonic() + RECEIPT_TIMEOUT_S
        while time.monotonic() < until:
            answer = self._http.get(f"/api/v1/sessions/{session_id}")
            if answer.is_success and int(answer.json()["balance_wei"]) >= balance_wei:
                return
            time.sleep(0.1)
        raise ExampleFailed(f"the router does not show session {session_id} and its deposit")

    def wait_until_gone(self, miner: str) -> None:
        """Wait until the router shows a miner as offline."""
        until = time.monotonic() + RECEIPT_TIMEOUT_S
        while time.monotonic() < until:
            rows = self._http.get("/api/v1/miners").json()["miners"]
            if not any(row["address"] == miner and row["online"] for row in rows):
                return
            time.sleep(0.5)
        raise ExampleFailed(f"the router still shows miner {miner} as online")

    def ask(
        self,
        session_id: int,
        prompt: str,
        on_piece: Say,
        *,
        max_tokens: int | None = None,
        timeout_s: int = TIMEOUT_S,
    ) -> Answer:
        """Send a prompt, and pass each piece of the answer to `on_piece` when it arrives.

        Args:
            max_tokens: the limit of output tokens; the model's own limit by default.
        """
        started, first, text = time.monotonic(), None, ""
        task_id = -1
        body = {
            "session_id": session_id,
            "prompt": prompt,
            "stream": True,
            "max_tokens": max_tokens,
            "timeout": timeout_s,
        }
        with self._http.stream("POST", "/api/v1/completions", json=body) as answer:
            if not answer.is_success:
                raise ExampleFailed(f"the router answered {answer.status_code}: {answer.read()!r}")
            for chunk in _server_sent(answer.iter_lines()):
                if "error" in chunk:
                    raise ExampleFailed(f"the stream ended with an error: {chunk['error']}")
                task_id = int(chunk["task_id"])
                piece = chunk["choices"][0]["text"]
                if piece and first is None:
                    first = time.monotonic()
                text += piece
                on_piece(piece)
        if first is None:
            raise ExampleFailed("the stream ended without a token")
        return Answer(session_id, task_id, text, (first - started) * 1000, started)

    def tasks(self, session_id: int) -> list[dict[str, Any]]:
        """Return a session's tasks, the newest first."""
        answer = self._http.get(f"/api/v1/tasks/{session_id}")
        answer.raise_for_status()
        return list(answer.json()["tasks"])

    def task(self, session_id: int, task_id: int) -> dict[str, Any]:
        """Return a task with the part of each miner."""
        answer = self._http.get(f"/api/v1/tasks/{session_id}/{task_id}")
        answer.raise_for_status()
        return dict(answer.json())

    @contextmanager
    def notices(self) -> Iterator[ClientConnection]:
        """Open the network's feed of stages."""
        with connect(self._url.replace("http", "ws", 1) + "/ws/network") as socket:
            yield socket

    def wait_until_ended(
        self, notices: ClientConnection, answer: Answer, on_stage: Say
    ) -> dict[str, Any]:
        """Follow a task's stages until it has ended, and return it.

        Raises:
            ExampleFailed: the task failed, or did not end in time.
        """
        until = time.monotonic() + 3 * TIMEOUT_S
        seen: list[str] = []
        while time.monotonic() < until:
            task = self.task(answer.session_id, answer.task_id)
            for stage in task["stages"]:
                if stage["status"] not in seen:
                    seen.append(stage["status"])
                    on_stage(f"{stage['status']:<13} {stage['at']}")
            if task["status"] == "failed":
                raise ExampleFailed(f"the task failed: {task['outcome']}")
            if task["status"] == "ended":
                return task
            _wait_for_notice(notices, answer)
        raise ExampleFailed("the task did not end in time")


def _server_sent(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def _wait_for_notice(notices: ClientConnection, answer: Answer) -> None:
    """Wait for the next notice of this task, but at most 3 seconds, since notices may be lost."""
    until = time.monotonic() + 3.0
    while (left := until - time.monotonic()) > 0:
        try:
            notice = json.loads(notices.recv(timeout=left))
        except TimeoutError:
            return
        if (notice.get("session_id"), notice.get("task_id")) == (
            answer.session_id,
            answer.task_id,
        ):
            return
