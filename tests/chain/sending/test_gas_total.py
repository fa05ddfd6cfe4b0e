"""The total gas of all transactions is known without a sum over their rows."""

from typing import Any

import pytest
from django.db.models import Sum

from chain.models import GasTotal, Transaction, TransactionStatus
from chain.operations import OperationKind
from chain.sending import journal

pytestmark = pytest.mark.django_db


def sent(nonce: int, kind: str = OperationKind.SUBMIT_TASK) -> Transaction:
    return Transaction.objects.create(
        hash=f"0x{nonce}",
        account="0x0",
        nonce=nonce,
        kind=kind,
        contract_address="0x0",
        calldata=b"",
        raw=b"",
        gas_limit=1,
        max_fee_wei=1,
        priority_fee_wei=1,
        status=TransactionStatus.SENT,
    )


def receipt(gas_used: int) -> dict[str, Any]:
    return {"blockNumber": "0x1", "blockHash": "0x1", "gasUsed": hex(gas_used)}


def test_it_follows_what_is_mined_mined_elsewhere_and_undone() -> None:
    first, second = sent(0), sent(1)
    journal.record_mined(first, receipt(100), None)
    journal.record_mined(second, receipt(50), None)
    journal.record_mined(first, receipt(110), None)  # in another block now, or told again
    assert GasTotal.objects.get().gas_used == 160
    journal.record_vanished(second)
    assert GasTotal.objects.get().gas_used == 110
    journal.record_mined(sent(2, OperationKind.END_TASK), receipt(7), None)
    for kind, total in GasTotal.objects.values_list("kind", "gas_used"):
        added = Transaction.objects.filter(kind=kind).aggregate(gas=Sum("gas_used"))["gas"]
        assert added == total
