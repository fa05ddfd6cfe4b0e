"""Do everything on chain: open a session, submit a prompt, and read the miners' results.

No router is asked, and no key of one is needed: an account with $COR and gas is enough.

Run it from the repository while `make run` is up:

    .venv/bin/python examples/web3_session.py

It needs the package `web3`. RPC_URL names another endpoint of the chain.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder

VAR = Path(os.environ.get("VAR_DIR", "var"))
RPC_URL = os.environ.get("RPC_URL", "http://127.0.0.1:8545")
ABIS = Path(__file__).parent.parent / "contracts/abi"
DEPOSIT_WEI = Web3.to_wei(1, "ether")  # $COR has 18 decimals as well
PROMPT = "What is the capital of Japan?"
SHARED_MINERS, DEFAULT_MODEL, USERS_MESSAGE = 0, 0, 0
MINERS, MAX_TOKENS, TIMEOUT_S = 2, 64, 60

w3 = Web3(Web3.HTTPProvider(RPC_URL))
addresses = json.loads((VAR / "deployment.json").read_text())["addresses"]


def contract(name: str) -> Any:
    """A contract's functions, by its ABI in contracts/abi."""
    abi = json.loads((ABIS / f"{name}.json").read_text())["abi"]
    return w3.eth.contract(address=addresses[name], abi=abi)


def mined(call: Any) -> Any:
    """Send a transaction, and wait for its receipt."""
    receipt = w3.eth.wait_for_transaction_receipt(call.transact(), poll_latency=0.2)
    assert receipt["status"] == 1, f"transaction {receipt['transactionHash'].hex()} reverted"
    return receipt


# The account signs here. The endpoint sees signed transactions only.
keystore, password = VAR / "keys/client.json", VAR / "keys/password"
key = w3.eth.account.decrypt(keystore.read_text(), password.read_text().strip())
account = w3.eth.account.from_key(key)
w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
w3.eth.default_account = account.address

session, queue = contract("Session"), contract("SessionQueue")
token, payment = contract("CortensorToken"), contract("SessionPayment")

creation = session.functions.create(
    *("web3 example", "{}", account.address),
    *(MINERS, MINERS, MINERS, 1),  # fewest and most nodes, miners a task, validators
    *(SHARED_MINERS, False, 0, DEFAULT_MODEL, 0, 0),
)
[created] = session.events.SessionCreated().process_receipt(mined(creation), errors=DISCARD)
session_id = created["args"]["sessionId"]
mined(token.functions.approve(payment.address, DEPOSIT_WEI))
mined(payment.functions.depositToSession(session_id, DEPOSIT_WEI))
print(f"session {session_id} holds {Web3.from_wei(DEPOSIT_WEI, 'ether')} COR")

# A list of parameters that is shorter leaves the rest to the model: here all but the limit.
submission = session.functions.submit(
    session_id, 0, PROMPT, USERS_MESSAGE, "", [MAX_TOKENS], [TIMEOUT_S], "example"
)
[submitted] = session.events.TaskSubmitted().process_receipt(mined(submission), errors=DISCARD)
task_id = submitted["args"]["taskId"]
print(f"> {PROMPT}")

until = time.monotonic() + 2 * TIMEOUT_S
results: list[str] = []
while len(results) < MINERS or not all(results):
    assert time.monotonic() < until, f"no results in time: {results}"
    time.sleep(0.5)
    miners, results = session.functions.getTaskResults(session_id, task_id).call()

# A prompt that is on chain has its results there too. docs/clients.md reads those at an address.
for miner, result in zip(miners, results, strict=True):
    print(f"{miner}: {json.loads(result)['result']}")
