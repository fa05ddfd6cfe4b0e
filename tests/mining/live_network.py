"""A task on a real chain, with the router's sender, mirror and validator."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.utils import timezone
from eth_account.signers.local import LocalAccount

from chain.following import news
from chain.following.sync import Follower
from chain.protocol.digests import canonical_json, commit_hash
from chain.protocol.messages import Commit as CommitMessage
from chain.protocol.messages import Precommit as PrecommitMessage
from chain.protocol.messages import SigningDomain, sign
from chain.rpc.client import Rpc
from chain.sending.sender import Sender
from mining.assignment.leases import lease
from mining.models import Assignment, MinerPresence
from mining.node.protocol.reports import CommitReport, PrecommitReport
from mining.progress.reactions import READER, Reactions
from mining.reports.effects import accept, prepare
from sessions.models import Session, Task
from sessions.stages.task_states import mark_assigned
from tests.anvil import MODEL, ORACLE, ROUTER, Chain
from tests.chain.life import LLM_PARAMS, MAX_INPUT_TOKENS, Life
from tests.mining.conftest import make_task


@dataclass
class Network:
    """The parts of the router that run in this process, one step at a time."""

    chain: Chain

    @cached_property
    def sender(self) -> Sender:
        return Sender(Rpc(self.chain.url), self.chain.deployment, _ACCOUNTS)

    def deliver(self) -> None:
        """Send waiting operations, mine them, update the mirror, and react to the events."""
        self.sender.tick()
        self.chain.mine()
        self.sender.tick()
        self.follow()

    def follow(self) -> None:
        news.subscribe(READER)
        follower = Follower(Rpc(self.chain.url), self.chain.deployment)
        while follower.step():
            pass
        reactions = Reactions()
        while reactions.pause_s() == 0:
            reactions.step()
        reactions.close()

    def advance_s(self, seconds: int) -> None:
        """Move the chain's clock forward."""
        self.chain.rpc("evm_increaseTime", seconds)
        self.chain.mine()
        self.follow()

    def start(self, session_id: int, miners: list[LocalAccount], timeout_s: int = 60) -> Task:
        """Create a task that the router has dispatched and the chain has assigned."""
        life = Life(self.chain, session_id, timeout_s=timeout_s)
        life.submit()
        life.assign(miners)
        self.deliver()
        task = make_task(
            Session.objects.get(pk=session_id),
            task_id=life.task_id,
            task_digest="0x" + life.digest.hex(),
            task_data=life.text,
            max_tokens=LLM_PARAMS[0],
            max_input_tokens=MAX_INPUT_TOKENS,
            timeout_s=timeout_s,
            top_p_x100=LLM_PARAMS[2],
        )
        addresses = [miner.address.lower() for miner in miners]
        mark_assigned(task, addresses)
        lease(task, dict(enumerate(addresses)), timezone.now(), live=0)
        return task

    def now(self) -> datetime:
        """Return the time of the latest block."""
        return datetime.fromtimestamp(self.chain.w3.eth.get_block("latest")["timestamp"], UTC)


_ACCOUNTS = {"router": ROUTER, "oracle": ORACLE}


@dataclass(frozen=True)
class Report:
    """The reports that a miner sends to its router about a result."""

    chain: Chain
    assignment: Assignment
    account: LocalAccount
    content: str
    data: str

    def precommit(self) -> None:
        task = self.assignment.task
        hashed = commit_hash(task.session_id, task.task_id, self.account.address, self.data)
        message = PrecommitMessage(*self._head(), hashed)
        self._accept(PrecommitReport, message, hash=hashed)

    def commit(self) -> None:
        message = CommitMessage(*self._head(), self.data)
        self._accept(CommitReport, message, data=self.data, content=self.content)

    def _head(self) -> tuple[int, int, bytes, str]:
        task = self.assignment.task
        digest = bytes.fromhex(task.task_digest[2:])
        return task.session_id, task.task_id, digest, self.account.address

    def _accept(self, kind: Any, message: Any, **values: Any) -> None:
        deployment = self.chain.deployment
        domain = SigningDomain(deployment.chain_id, deployment.addresses["SessionQueue"])
        signature = sign(message, domain, bytes(self.account.key))
        report = kind(assignment_id=str(self.assignment.id), signature=signature, **values)
        accept(self.account.address, prepare(self.account.address, report), timezone.now())


def content_of(task: Task, miner: str, answer: tuple[str, list[int], str]) -> str:
    """Return the content block that a miner makes of its answer.

    Args:
        answer: the text, the token ids, and the finish reason.
    """
    text, token_ids, finish_reason = answer
    return canonical_json(
        {
            "result": text,
            "salt": "0x" + miner[2:].lower().zfill(64),
            "session_id": task.session_id,
            "task_id": task.task_id,
            "task_digest": task.task_digest,
            "miner": miner.lower(),
            "model": 1,
            "finish_reason": finish_reason,
            "usage": {"prompt_tokens": 1, "completion_tokens": len(token_ids)},
            "token_ids": list(token_ids),
        }
    ).decode()


def enrol(chain: Chain, miner: LocalAccount) -> None:
    """Register a miner on chain and with the router, and make it online."""
    chain.register_miner(miner)
    MinerPresence.objects.create(
        address=miner.address.lower(),
        last_seen_at=timezone.now(),
        slots=2,
        model_identifiers=[MODEL],
    )
