"""The receipt of a task: its course and its money on chain, with sums that are checked."""

from dataclasses import asdict, dataclass
from typing import Any

from eth_typing import HexStr
from web3 import Web3
from web3.contract import Contract

from chain.protocol.marks import read_mark, read_payment
from cortensor_site.stack.example import Answer, Contracts

# The stage of a transaction, by its events. If there are several, the first in this order counts.
_STAGES = {
    "TaskSubmitted": "submit",
    "TaskAssigned": "assign",
    "TaskMinerReplaced": "replace",
    "TaskAcked": "ack",
    "TaskPrecommitted": "precommit",
    "TaskAllPrecommitted": "end_precommit",
    "TaskPrecommitEnded": "end_precommit",
    "TaskCommitted": "commit",
    "TaskAllCommitted": "end_commit",
    "TaskCommitEnded": "end_commit",
    "TaskVerdict": "verdict",
    "TaskEnded": "end",
}


class DoesNotAddUp(RuntimeError):
    """The sums of a receipt contradict each other."""


@dataclass(frozen=True)
class MinerPart:
    """One miner's part in a task. Fields in `_tx` are transaction hashes; amounts are in wei."""

    miner: str
    precommit_tx: str
    commit_tx: str
    result_hash: str
    accuracy_bps: int
    input_tokens: int
    output_tokens: int
    paid_wei: int


@dataclass(frozen=True)
class Receipt:
    """The receipt of one task."""

    session_id: int
    task_id: int
    result: str
    result_hash: str
    miners: list[MinerPart]
    distances: list[dict[str, Any]]
    escrow_before_wei: int
    reserved_wei: int
    paid_wei: int
    refunded_wei: int
    escrow_after_wei: int
    ttft_ms: int
    total_ms: int
    gas: dict[str, int]

    def check(self) -> None:
        """Raise DoesNotAddUp unless every wei of the escrow is accounted for."""
        if self.escrow_before_wei != self.escrow_after_wei + self.paid_wei:
            raise DoesNotAddUp(f"escrow: {self}")
        if self.reserved_wei != self.paid_wei + self.refunded_wei:
            raise DoesNotAddUp(f"reservation: {self}")
        if self.paid_wei != sum(part.paid_wei for part in self.miners):
            raise DoesNotAddUp(f"payments: {self}")

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as JSON values. Amounts are strings, since they exceed 2^53."""
        row = asdict(self)
        for holder in (row, *row["miners"]):
            for key in [key for key in holder if key.endswith("_wei")]:
                holder[key] = str(holder[key])
        row["verdicts"] = _column(row["miners"], "accuracy_bps", "input_tokens", "output_tokens")
        row["payments"] = _column(row["miners"], "paid_wei")
        return row


def _column(miners: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Move these members out of the miners' rows into rows of their own."""
    return [{"miner": row["miner"]} | {key: row.pop(key) for key in keys} for row in miners]


def read_receipt(
    contracts: Contracts,
    answer: Answer,
    task: dict[str, Any],
    *,
    escrow_before_wei: int,
    total_ms: float,
    from_block: int,
) -> Receipt:
    """Read a settled task's receipt from the chain's logs. Its distances come from the router."""
    ids = (answer.session_id, answer.task_id)
    logs = [
        log
        for contract in (contracts.session, contracts.queue, contracts.payment)
        for log in _logs_of_task(contracts.w3, contract, ids, from_block)
    ]
    verdicts = _verdicts(logs)
    commits = _by_miner(logs, "TaskCommitted")
    precommits = _by_miner(logs, "TaskPrecommitted")
    [reserved] = [log for log in logs if log["event"] == "TaskReserved"]
    [settled] = [log for log in logs if log["event"] == "TaskSettled"]
    paid_wei = {
        payment.node: payment.amount_wei
        for payment in map(read_payment, settled["args"]["payments"])
    }
    parts = [
        MinerPart(
            miner=miner,
            precommit_tx=log["transactionHash"].to_0x_hex(),
            commit_tx=commits[miner]["transactionHash"].to_0x_hex() if miner in commits else "",
            result_hash=Web3.to_hex(
                contracts.queue.functions.getTaskResultDataHash(*ids, miner).call()
            ),
            accuracy_bps=verdicts[miner][0] if miner in verdicts else 0,
            input_tokens=verdicts[miner][1] if miner in verdicts else 0,
            output_tokens=verdicts[miner][2] if miner in verdicts else 0,
            paid_wei=paid_wei.get(miner, 0),
        )
        for miner, log in precommits.items()
    ]
    reserved_wei, refunded_wei = reserved["args"]["amount"], settled["args"]["refunded"]
    receipt = Receipt(
        *ids,
        result=answer.text,
        result_hash=Web3.to_hex(Web3.keccak(text=answer.text)),
        miners=parts,
        distances=task["distances"],
        escrow_before_wei=escrow_before_wei,
        reserved_wei=reserved_wei,
        paid_wei=sum(paid_wei.values()),
        refunded_wei=refunded_wei,
        # Count this task only: others may spend from the same session in the meantime.
        escrow_after_wei=escrow_before_wei - reserved_wei + refunded_wei,
        ttft_ms=round(answer.ttft_ms),
        total_ms=round(total_ms),
        gas=_gas_by_stage(contracts.w3, logs),
    )
    receipt.check()
    return receipt


def _logs_of_task(
    w3: Web3, contract: Contract, ids: tuple[int, int], from_block: int
) -> list[dict[str, Any]]:
    raw = w3.eth.get_logs({"address": contract.address, "fromBlock": from_block})
    names = {
        event["name"]
        for event in contract.abi
        if event["type"] == "event"
        and [i["name"] for i in event.get("inputs", [])][:2] == ["sessionId", "taskId"]
    }
    topics = {str(contract.events[name]().topic): name for name in names}
    decoded = [
        contract.events[topics[topic]]().process_log(log)
        for log in raw
        if (topic := log["topics"][0].to_0x_hex()) in topics
    ]
    return [
        dict(log) for log in decoded if (log["args"]["sessionId"], log["args"]["taskId"]) == ids
    ]


def _by_miner(logs: list[dict[str, Any]], event: str) -> dict[str, dict[str, Any]]:
    return {log["args"]["miner"]: log for log in logs if log["event"] == event}


def _verdicts(logs: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    """Return accuracy, input tokens and output tokens by miner."""
    return {
        mark.miner: (mark.accuracy_bps, log["args"]["inputTokens"], mark.output_tokens)
        for log in logs
        if log["event"] == "TaskVerdict"
        for mark in map(read_mark, log["args"]["marks"])
    }


def _gas_by_stage(w3: Web3, logs: list[dict[str, Any]]) -> dict[str, int]:
    """Return the gas of the transactions with this task's stages. Batches count as a whole."""
    stage_of: dict[HexStr, str] = {}
    for event, stage in _STAGES.items():
        for log in logs:
            if log["event"] == event:
                stage_of.setdefault(HexStr(log["transactionHash"].to_0x_hex()), stage)
    gas: dict[str, int] = {}
    for transaction, stage in stage_of.items():
        used = w3.eth.get_transaction_receipt(transaction)["gasUsed"]
        gas[stage] = gas.get(stage, 0) + used
    return gas
