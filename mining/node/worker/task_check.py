"""Is a job a real task of the chain, for this node, and paid as promised? Asked before it works.

A router hands a task out before its `submit` is mined, so that the chain may need a block or two
to know it; the check waits for that. What it cannot see: whether the prompt is the one that the
digest binds, since the job does not carry all that the digest is made of.
"""

import time

from mining.node.account.evm import CallReverted, Rpc
from mining.node.config import Terms
from mining.node.protocol.job import Job

WAIT_S = 7.0
"""Less than a node has for its ack."""
POLL_S = 0.25
_TASK = "(uint256,uint256,uint256,string,address[],bool,uint8,uint256,uint256,uint256,uint256)"


class JobRefused(Exception):
    """The chain does not bear the job out. `code` is what a report says."""

    code = "job_refused"


class TaskCheck:
    """Holds jobs against the contracts that the node's owner trusts.

    Args:
        queue_address: of SessionQueue, from the network's operator and not from a job.
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
        """Wait until the chain knows the job's task.

        Raises:
            JobRefused: it does not within `wait_s` or the job's own time, or says otherwise.
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
            return False  # not mined yet, or never
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
                    f"price: {price} wei for an {name} token of model {model}, and this node works"
                    f" for {least} and more"
                )
        (reserved,) = self._rpc.call(
            *(self._queue, "reservedOf(uint256,uint256)", [job.session_id, job.task_id]),
            ["uint256"],
        )
        if reserved < job.max_tokens * prices[1]:
            raise JobRefused(
                f"price: {reserved} wei are reserved for the task, less than max_tokens ="
                f" {job.max_tokens} at {prices[1]} wei"
            )
