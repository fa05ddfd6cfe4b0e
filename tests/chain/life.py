"""A task's life as operations, which routers, miners and validators put into the outbox."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from eth_account.signers.local import LocalAccount
from eth_utils.conversions import to_bytes

from chain import operations
from chain.operations import Op
from chain.protocol.digests import commit_hash, task_digest
from chain.protocol.messages import Ack, Commit, Message, Precommit, SigningDomain, Verdict, sign
from chain.sending import outbox
from tests.anvil import MODEL, VALIDATOR, Chain

LANE = 1_000_000
LLM_PARAMS = [16, 0, 100, 0, 0, 0]
MAX_INPUT_TOKENS = 100


@dataclass(frozen=True)
class Life:
    """A task of a session, in the router's first lane."""

    chain: Chain
    session_id: int
    number: int = 0
    deliver: Callable[[Op], None] = outbox.enqueue
    timeout_s: int = 60

    @property
    def task_id(self) -> int:
        return LANE + self.number

    @property
    def text(self) -> str:
        return f"prompt {self.number}"

    @cached_property
    def digest(self) -> bytes:
        session = self.chain.contract("Session").functions.getSession(self.session_id).call()
        return task_digest(
            to_bytes(session[1]),
            self.task_id,
            self.text,
            1,
            "",
            LLM_PARAMS,
            [self.timeout_s],
            "",
            MAX_INPUT_TOKENS,
        )

    def submit(self) -> None:
        self.deliver(
            operations.submit_task(
                session_id=self.session_id,
                task_id=self.task_id,
                task_data=self.text,
                prompt_type=1,
                prompt_template="",
                llm_params=LLM_PARAMS,
                request_params=[self.timeout_s],
                client_reference="",
                max_input_tokens=MAX_INPUT_TOKENS,
            )
        )

    def assign(self, miners: Iterable[LocalAccount]) -> None:
        addresses = [miner.address for miner in miners]
        self.deliver(operations.assign_task(self.session_id, self.task_id, addresses, MODEL))

    def ack(self, miner: LocalAccount) -> None:
        ack = Ack(self.session_id, self.task_id, self.digest, miner.address)
        self.deliver(operations.relay_ack(ack, self._signed(ack, miner)))

    def precommit(self, miner: LocalAccount) -> None:
        hashed = commit_hash(self.session_id, self.task_id, miner.address, self._data(miner))
        message = Precommit(self.session_id, self.task_id, self.digest, miner.address, hashed)
        self.deliver(operations.relay_precommit(message, self._signed(message, miner)))

    def commit(self, miner: LocalAccount) -> None:
        data = self._data(miner)
        message = Commit(self.session_id, self.task_id, self.digest, miner.address, data)
        self.deliver(operations.relay_commit(message, self._signed(message, miner)))

    def judge(self, miners: Iterable[LocalAccount], accuracy_bps: int = 10_000) -> None:
        addresses = tuple(miner.address for miner in miners)
        message = Verdict(
            self.session_id,
            self.task_id,
            self.digest,
            10,
            addresses,
            (accuracy_bps,) * len(addresses),
            (12,) * len(addresses),
        )
        self.deliver(operations.relay_verdict(message, self._signed(message, VALIDATOR)))

    def status(self) -> int:
        """Return the contract's number of the task's state; 5 is the final one."""
        queue = self.chain.contract("SessionQueue")
        return int(queue.functions.getTaskStatus(self.session_id, self.task_id).call())

    def _data(self, miner: LocalAccount) -> str:
        return f'{{"result":"answer of {miner.address}","salt":"0x{self.number:064x}"}}'

    def _signed(self, message: Message, signer: LocalAccount) -> bytes:
        deployment = self.chain.deployment
        domain = SigningDomain(deployment.chain_id, deployment.addresses["SessionQueue"])
        return sign(message, domain, bytes(signer.key))
