"""Fixtures: a till with a session, a payer with some $COR, and a real chain."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from eth_account.signers.local import LocalAccount
from pytest_django.fixtures import Settings

from chain.deployed import keys
from chain.protocol.messages import TransferWithAuthorization, sign
from chain.rpc.client import Rpc
from chain.sending.authorizations import domain_of
from chain.sending.sender import Sender
from cortensor_site.asgi import application
from sessions.faces.x402 import TILL_KEYSTORE, settlement
from sessions.faces.x402.offer import SCHEME, Offer
from sessions.faces.x402.wire import SignedPayment
from sessions.models import Session
from tests.anvil import CLIENT, DEPLOYER, ROUTER, Chain, account
from tests.serving import serve
from tests.sessions.faces.openai.conftest import miners
from tests.sessions.factories import make_session

__all__ = ["miners"]

PRICE_WEI = 3 * 2 + 8 * 3
"""The price of the request in these tests: 3 tokens of prompt and 8 of answer."""
PURSE_WEI = 1_000


@pytest.fixture
def till(settings: Settings, tmp_path: Path) -> LocalAccount:
    """The router's till."""
    settings.KEYSTORE_DIR = tmp_path / "keys"
    settings.KEYSTORE_PASSWORD_FILE = tmp_path / "password"
    settings.KEYSTORE_PASSWORD_FILE.write_text("open")
    return keys.load_or_create(settings.KEYSTORE_DIR / TILL_KEYSTORE, "open")


@pytest.fixture
def session(chain: Chain, till: LocalAccount) -> Session:
    """The till's session, which pays the network. On chain it exists with other prices."""
    session_id = chain.open_session()
    give = chain.contract("Session").functions.updateOwner(session_id, till.address)
    chain.transact(CLIENT, give)
    return make_session(session_id=session_id, owner=till.address.lower())


@pytest.fixture
def payer(chain: Chain) -> LocalAccount:
    """A wallet with a little $COR and no ether for gas."""
    wallet = account("payer")
    transfer = chain.contract("CortensorToken").functions.transfer(wallet.address, PURSE_WEI)
    chain.transact(DEPLOYER, transfer)
    return wallet


@pytest.fixture
def offer(chain: Chain, till: LocalAccount) -> Offer:
    """The offer for the request of these tests."""
    return Offer(
        amount_wei=PRICE_WEI,
        chain_id=chain.deployment.chain_id,
        asset=chain.deployment.addresses["CortensorToken"],
        pay_to=till.address,
        resource="http://router/api/v1/x402/completions",
        max_tokens=8,
        input_tokens=3,
    )


Sign = Callable[..., SignedPayment]


@pytest.fixture
def signed(chain: Chain, payer: LocalAccount, offer: Offer) -> Sign:
    """A function that signs a payment of the payer. Its arguments replace correct values."""

    def make(signer: LocalAccount = payer, version: int = 2, **changes: Any) -> SignedPayment:
        now = int(time.time())
        terms = TransferWithAuthorization(
            payer=payer.address,
            to=offer.pay_to,
            value=offer.amount_wei,
            valid_after=0,
            valid_before=now + 120,
            nonce=bytes([7]) * 32,
        )
        terms = replace(terms, **changes)
        return SignedPayment(
            version=version,
            scheme=SCHEME,
            network=offer.network,
            asset=offer.asset if version > 1 else "",
            transfer=terms,
            signature=sign(terms, domain_of(chain.deployment), bytes(signer.key)),
        )

    return make


@contextmanager
def blocks(chain: Chain) -> Iterator[None]:
    """Send operations, mine blocks and settle payments in a thread while the context is open."""
    stop = threading.Event()
    sender = Sender(Rpc(chain.url), chain.deployment, {"router": ROUTER, "oracle": ROUTER})

    def work() -> None:
        try:
            while not stop.is_set():
                sender.tick()
                chain.mine()
                sender.tick()
                settlement.sweep(timezone.now())
                stop.wait(0.05)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def settling(chain: Chain) -> Iterator[None]:
    """The chain, the sender and the settlement of payments run during the test."""
    with blocks(chain):
        yield


@pytest.fixture
def router_url(chain: Chain, session: Session) -> Iterator[str]:
    """The URL of a real server with the router's application."""
    with serve(application) as url:
        yield url
