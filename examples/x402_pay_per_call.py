"""Pay for one call from a wallet by x402: no key, no session, no gas money.

Run it from the repository while `make run` is up:

    .venv/bin/python examples/x402_pay_per_call.py

It needs the packages `x402[evm,httpx]`. ROUTER_URL names another router. docs/x402.md says what a
call costs, and who risks what.
"""

import asyncio
import json
import os
from pathlib import Path

from eth_account import Account
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.http.utils import decode_payment_response_header
from x402.mechanisms.evm.exact import register_exact_evm_client

VAR = Path(os.environ.get("VAR_DIR", "var"))
ROUTER_URL = os.environ.get("ROUTER_URL", "http://127.0.0.1:5010")
DEPLOYMENT = json.loads((VAR / "deployment.json").read_text())

# The wallet of `make run`'s client, which has $COR.
keystore, password = VAR / "keys/client.json", VAR / "keys/password"
WALLET = Account.from_key(Account.decrypt(keystore.read_text(), password.read_text().strip()))

# The SDK pays in dollar tokens unless it is told what else it may spend, and how much at once.
ALLOWED = {
    "asset": DEPLOYMENT["addresses"]["CortensorToken"],
    "network": f"eip155:{DEPLOYMENT['chain_id']}",
    "max_amount_per_payment": str(10**16),  # wei: a hundredth of a COR
}


async def main() -> None:
    paying = register_exact_evm_client(x402Client(), WALLET)
    paying.set_spend_controls({"allowed_assets": [ALLOWED]})
    async with x402HttpxClient(paying, base_url=ROUTER_URL, timeout=90) as http:
        # The first answer is a 402 that says the price. The client signs a transfer and repeats.
        call = {"prompt": "What is the capital of Japan?", "max_tokens": 64}
        answer = await http.post("/api/v1/x402/completions", json=call)
        answer.raise_for_status()
        print(answer.json()["choices"][0]["text"])
        paid = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
        print(f"paid {int(paid.amount or 0) / 10**18} COR in {paid.transaction}")


asyncio.run(main())
