"""A router is set up once for pay per call, and converts its income for its use."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from eth_utils.address import to_checksum_address
from pytest_django.fixtures import Settings

from chain import operations
from chain.deployed.keys import address_in, load_or_create
from chain.models import Operation
from chain.protocol.messages import TransferWithAuthorization
from chain.sending import outbox
from cortensor_site.stack.servers.embedded import BASE_DIR
from sessions.faces.x402 import TILL_KEYSTORE
from sessions.models import WEI_PER_COR, Payment, PaymentStatus
from tests.anvil import DEPLOYER, Chain
from tests.sessions.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keystores(chain: Chain, settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """An operator with $COR and gas money, on a chain that goes on by itself."""
    settings.KEYSTORE_DIR = tmp_path / "keys"
    settings.KEYSTORE_PASSWORD_FILE = tmp_path / "password"
    settings.KEYSTORE_PASSWORD_FILE.write_text("open")
    operator = load_or_create(settings.KEYSTORE_DIR / "deployer.json", "open")
    chain.rpc("anvil_setBalance", operator.address, hex(10**20))
    token = chain.contract("CortensorToken").functions
    chain.transact(DEPLOYER, token.transfer(operator.address, 100 * WEI_PER_COR))
    chain.rpc("evm_setAutomine", True)
    yield tmp_path / "keys"
    chain.rpc("evm_setAutomine", False)


def held_wei(chain: Chain, holder: str) -> int:
    token = chain.contract("CortensorToken").functions
    return int(token.balanceOf(to_checksum_address(holder)).call())


def test_a_session_of_the_tills_is_opened_once_and_made_up(
    chain: Chain, keystores: Path, capsys: Any
) -> None:
    call_command("pay_per_call", "--cor", "2.5")
    till = address_in(keystores / TILL_KEYSTORE)
    sessions = chain.contract("Session").functions
    [session_id] = sessions.getSessionIds(till).call()
    assert sessions.ownerOf(session_id).call() == till
    call_command("pay_per_call", "--cor", "3")
    assert sessions.getSessionIds(till).call() == [session_id]
    payment = chain.contract("SessionPayment").functions
    assert payment.sessionBalance(session_id).call() == 3 * WEI_PER_COR
    assert f"session {session_id} holds 3 COR; payments go to {till}" in capsys.readouterr().out


def test_another_model_or_redundancy_is_another_session(chain: Chain, keystores: Path) -> None:
    call_command("pay_per_call", "--cor", "1")
    call_command("pay_per_call", "--cor", "1", "--redundancy", "3")
    till = address_in(keystores / TILL_KEYSTORE)
    assert len(chain.contract("Session").functions.getSessionIds(till).call()) == 2


def test_what_was_earned_is_collected_and_what_may_go_back_stays(
    chain: Chain, keystores: Path, capsys: Any
) -> None:
    call_command("pay_per_call", "--cor", "1")
    till, operator = (address_in(keystores / name) for name in (TILL_KEYSTORE, "deployer.json"))
    token = chain.contract("CortensorToken").functions
    chain.transact(DEPLOYER, token.transfer(till, 50))
    make_payment(PaymentStatus.SETTLED, 20, number=1)
    make_payment(PaymentStatus.EARNED, 30, number=2)
    before = held_wei(chain, operator)
    call_command("pay_per_call", "--cor", "1")
    assert held_wei(chain, till) == 20
    assert held_wei(chain, operator) == before + 30
    assert "0.00000000000000003 COR collected" in capsys.readouterr().out


def test_make_run_needs_no_django_to_open_a_router() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import cortensor_site.stack.__main__, django.apps as a;assert not a.apps.ready",
        ],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("amount", ["0", "-1", "much", "NaN", "Infinity"])
def test_an_amount_that_is_none_is_refused_by_name(keystores: Path, amount: str) -> None:
    with pytest.raises(CommandError, match="--cor"):
        call_command("pay_per_call", f"--cor={amount}")


def test_an_operator_without_a_keystore_is_refused(keystores: Path) -> None:
    with pytest.raises(CommandError, match=r"nobody\.json"):
        call_command("pay_per_call", "--operator", "nobody")


def make_payment(status: PaymentStatus, amount_wei: int, number: int) -> Payment:
    payer = "0x" + f"{number:040x}"
    transfer = TransferWithAuthorization(payer, payer, amount_wei, 0, 1, bytes([number]) * 32)
    settlement = operations.settle_payment(transfer, b"")
    outbox.enqueue(settlement)
    return Payment.objects.create(
        payer=payer,
        nonce="0x" + transfer.nonce.hex(),
        amount_wei=amount_wei,
        pay_to=payer,
        valid_after=0,
        valid_before=1,
        signature="0x",
        task=make_task(),
        settlement=Operation.objects.get(key=settlement.key),
        verified_block=1,
        status=status,
    )
