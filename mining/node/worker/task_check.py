"""Checks a job against the chain before the node works on it.

The check asks the contracts whether the job's task exists, is assigned to this node and is paid as
the node's owner demands. A router sends a job before the task's `submit` is mined, so the chain may
need a block or two until it knows the task. The check waits for that. It cannot verify that the
prompt is the one that the digest binds, since a job does not carry all inputs of the digest.
"""

import time

from mining.node.account.evm import CallReverted, Rpc
from mining.node.config import Terms
from mining.node.protocol.job import Job

WAIT_S = 7.0
"""How long the check waits for the chain. A node has more time than this for its ack."""
POLL_S = 0.25
_TASK = "(uint256,uint256,uint256,string,address[],bool,uint8,uint256,uint256,uint256,uint256)"


class JobRefused(Exception):
    """The job does not agree with the chain or with the owner's terms. `code` goes into reports."""

    code = "job_refused"


class TaskCheck:
    """Checks jobs against the contracts that the node's owner trusts.

    Args:
        rpc: the chain.
        queue_address: the address of SessionQueue, from the network's operator and not from a job.
        address: the node's address.
        terms: the lowest prices that the node works for.

    Raises:
        ChainUnavailable: the chain does not answer.
        CallReverted: there is no SessionQueue at this address.
    """

    def __init__(self, rpc: Rpc, queue_address: str, address: str, terms: Terms) -> None:
        self._rpc = rpc
        self._queue = queue_address
        self._address = address.lower()
        self._terms = terms
        self._chain_id = rpc.chain_id()
        (self._payment,) = rpc.call(queue_address, "payment()", [], ["address"])
        (self._session,) = rpc.call(self._payment, "session()", [], ["address"])

    def require(self, job: Job, wait_s: float = WAIT_S) -> None:
        """Wait until the chain has assigned the job's task to this node, and check the job.

        Raises:
            JobRefused: the chain does not assign the task within `wait_s` seconds and before the
                job's deadline, or the job does not agree with the chain or the owner's terms.
            ChainUnavailable: the chain does not answer.
        """
        if job.queue_address.lower() != self._queue.lower() or job.chain_id != self._chain_id:
            raise JobRefused(
                f"queue_address: {job.queue_address} on chain {job.chain_id} is not the contract"
                f" that this node works for ({self._queue} on chain {self._chain_id})"
            )
        until = min(time.time() + wait_s, job.deadline_at)
        while not self._is_assigned(job):
            if time.time() >= until:
                raise JobRefused(
                    f"task {job.session_id}/{job.task_id}: the chain has not assigned it to this"
                    f" node within {wait_s:.0f} s"
                )
            time.sleep(POLL_S)
        self._require_price(job)

    def _is_assigned(self, job: Job) -> bool:
        key = [job.session_id, job.task_id]
        try:
            (digest,) = self._rpc.call(
                self._queue, "taskDigestOf(uint256,uint256)", key, ["bytes32"]
            )
            if digest == bytes(32):
                return False
            if digest != job.task_digest:
                raise JobRefused(
                    f"task_digest: the chain has 0x{digest.hex()} for task"
                    f" {job.session_id}/{job.task_id}"
                )
            (task,) = self._rpc.call(self._queue, "getTask(uint256,uint256)", key, [_TASK])
        except CallReverted:
            return False  # the submission is not mined, and may never be
        miners, ended = task[4], task[5]
        if ended:
            raise JobRefused(f"task {job.session_id}/{job.task_id}: it has ended")
        return self._address in (miner.lower() for miner in miners)

    def _require_price(self, job: Job) -> None:
        (model,) = self._rpc.call(self._session, "modelOf(uint256)", [job.session_id], ["uint256"])
        if model != job.model_identifier:
            raise JobRefused(
                f"model_identifier: the session pays for model {model}, not {job.model_identifier}"
            )
        prices = self._rpc.call(
            self._payment, "modelPrice(uint256)", [model], ["uint256", "uint256"]
        )
        for name, price, least in zip(
            ("input", "output"),
            prices,
            (self._terms.input_price_wei, self._terms.output_price_wei),
            strict=True,
        ):
            if price < least:
                raise JobRefused(
                    f"price: model {model} pays {price} wei for an {name} token, but this node"
                    f" works for at least {least} wei"
                )
        (reserved,) = self._rpc.call(
            self._queue,
            "reservedOf(uint256,uint256)",
            [job.session_id, job.task_id],
            ["uint256"],
        )
        if reserved < job.max_tokens * prices[1]:
            raise JobRefused(
                f"price: {reserved} wei are reserved for the task, less than max_tokens ="
                f" {job.max_tokens} at {prices[1]} wei"
            )
