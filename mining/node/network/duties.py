"""Does a node's parts in network tasks. The Celery task only calls this module.

Users' tasks take precedence. While one runs, the node starts no answer for a network task, and it
abandons the answer that it is generating when one arrives. A router may ask for a part again, and
gets the same result.
"""

import logging
import secrets
import time
from collections.abc import Callable

from chain.protocol.messages import SigningDomain
from chain.protocol.network_messages import (
    NetworkCommit,
    NetworkCreate,
    NetworkMessage,
    NetworkPrecommit,
    NetworkPrepare,
    Ping,
    completion_hash,
)
from mining.node.account.evm import ChainUnavailable
from mining.node.account.wallet import Wallet
from mining.node.disk.journal import Journal
from mining.node.engine.generation import DeadlinePassed, GenerationError, GenerationRequest
from mining.node.llm.prompts import PromptError
from mining.node.network.answering import answer_request, completion_of
from mining.node.network.check import NetworkCheck
from mining.node.network.job import (
    NetworkCommitReport,
    NetworkCreateReport,
    NetworkDeclinedReport,
    NetworkJob,
    NetworkPingReport,
    NetworkPrecommitReport,
    NetworkPrepareReport,
    Stage,
)
from mining.node.network.questions import (
    is_question,
    questions,
    request_for_question,
    subject_of,
)
from mining.node.network.stash import Completion, CompletionStash
from mining.node.protocol.wire import Malformed
from mining.node.shelf.shelf import NoRoom, Shelf
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.miner import Draining
from mining.node.worker.task_check import JobRefused

logger = logging.getLogger(__name__)


class BusyWithTasks(Exception):
    """A user's task is running on this node. `code` goes into reports."""

    code = "busy"


class DiedBefore(Exception):
    """A process of this node has died with this part. `code` goes into reports."""

    code = "node_died"


class NoCompletion(Exception):
    """There is no completion to commit. `code` goes into reports."""

    code = "no_completion"


_REASONS = (
    JobRefused,
    ChainUnavailable,
    PromptError,
    GenerationError,
    NoRoom,
    BusyWithTasks,
    Draining,
    DiedBefore,
    NoCompletion,
)
"""The errors by which a node declines a part. The report holds the error's `code`."""
_RUNS_THE_MODEL = (Stage.PREPARE, Stage.COMPLETE)


class NetworkDuties:
    """Does one node's parts in network tasks. Threads may share it.

    Args:
        shelf: the node's models, whose tokens are all drawn by the protocol's rule. The model with
            the lowest identifier answers, as it does at the validator. Network tasks do not name
            a model, and the answers of different models would disagree.
        wallet: the node's key.
        mailbox: where reports are written.
        stash: the completions that are precommitted, on disk.
        is_busy: tells whether a user's task is running on this node.
        is_draining: tells whether the node is about to stop. It then still reveals completions,
            but starts nothing.
        journal: the parts that are running, on disk. A part that a process has died with is not
            started again.
        check: checks jobs against the chain before anything is signed. Without it, the node
            trusts its router.
    """

    def __init__(
        self,
        *,
        shelf: Shelf,
        wallet: Wallet,
        mailbox: Mailbox,
        stash: CompletionStash,
        is_busy: Callable[[], bool],
        is_draining: Callable[[], bool],
        journal: Journal,
        check: NetworkCheck | None = None,
    ) -> None:
        self._shelf = shelf
        self._model = min(shelf.identifiers)
        self._wallet = wallet
        self._mailbox = mailbox
        self._stash = stash
        self._is_busy = is_busy
        self._is_draining = is_draining
        self._journal = journal
        self._check = check
        self._stages: dict[str, Callable[[NetworkJob], None]] = {
            Stage.PING: self._ping,
            Stage.CREATE: self._create,
            Stage.PREPARE: self._prepare,
            Stage.COMPLETE: self._complete,
            Stage.REVEAL: self._reveal,
        }

    def do(self, value: object) -> None:
        """Do one part and report its result, or report why the node declines it.

        Args:
            value: the job as JSON; see `mining.node.network.job.NetworkJob`.
        """
        try:
            job = NetworkJob.from_json(value)
        except Malformed as error:
            logger.error("a network job was refused: %s", error)
            return
        try:
            if time.time() >= job.deadline_at:
                raise DeadlinePassed("deadline_at: it has passed")
            if self._is_draining() and job.stage != Stage.REVEAL:
                raise Draining("node: it is stopping; ask another node")
            if self._check is not None:
                self._check.require(job)
            if job.stage in _RUNS_THE_MODEL:
                self._do_with_journal(job)
            else:
                self._stages[job.stage](job)
        except _REASONS as error:
            logger.info("network task %d, %s: declined: %s", job.number, job.stage, error)
            self._decline(job, error.code, str(error))
        except Exception:
            logger.exception("network task %d, %s failed", job.number, job.stage)
            self._decline(job, "internal_error", "node: an internal error; its log has the details")

    def _do_with_journal(self, job: NetworkJob) -> None:
        name = f"network-{job.stage}-{job.number}-{job.seed % 2**64:x}"
        if self._journal.has_died(name):
            raise DiedBefore("node: its process died with this part; ask another node")
        with self._journal.running(name):
            self._stages[job.stage](job)

    # ── the parts ────────────────────────────────────────────────────────────

    def _ping(self, job: NetworkJob) -> None:
        # The time is some seconds ago, since the chain refuses a future time and clocks differ.
        ping = Ping(self._wallet.address, int(time.time()) - 5)
        self._mailbox.report(NetworkPingReport(time=ping.time, signature=self._sign(job, ping)))

    def _create(self, job: NetworkJob) -> None:
        domain, subdomain = subject_of(job.seed)
        message = NetworkCreate(job.number, job.seed, domain, subdomain)
        self._mailbox.report(
            NetworkCreateReport(
                number=job.number,
                seed=job.seed,
                domain=domain,
                subdomain=subdomain,
                signature=self._sign(job, message),
            )
        )

    def _prepare(self, job: NetworkJob) -> None:
        challenges = self._questions(job)
        message = NetworkPrepare(job.number, job.seed, tuple(challenges))
        self._mailbox.report(
            NetworkPrepareReport(
                number=job.number,
                seed=job.seed,
                challenges=challenges,
                signature=self._sign(job, message),
            )
        )

    def _complete(self, job: NetworkJob) -> None:
        kept = self._stash.find(job)
        if kept is None:
            answer = completion_of(self._generate(self._answer_request(job, job.prompt)))
            if not answer:
                raise NoCompletion("completion: the model gave an empty answer")
            kept = self._stash.keep(job, Completion(answer, secrets.randbits(256)))
        digest = completion_hash(job.number, job.seed, self._wallet.address, kept.text, kept.salt)
        message = NetworkPrecommit(job.number, job.seed, digest)
        self._mailbox.report(
            NetworkPrecommitReport(
                number=job.number,
                seed=job.seed,
                hash=digest,
                signature=self._sign(job, message),
            )
        )

    def _reveal(self, job: NetworkJob) -> None:
        kept = self._stash.find(job)
        if kept is None:
            raise NoCompletion("completion: nothing was precommitted")
        message = NetworkCommit(job.number, job.seed, kept.text, kept.salt)
        self._mailbox.report(
            NetworkCommitReport(
                number=job.number,
                seed=job.seed,
                completion=kept.text,
                salt=kept.salt,
                signature=self._sign(job, message),
            )
        )

    # ── questions and answers ────────────────────────────────────────────────

    def _questions(self, job: NetworkJob) -> list[str]:
        """Return the prompts for a session.

        The first is a question that the model has made, if it makes a usable one. The others are
        drawn from the seed.
        """
        count = max(job.challenges, 1)
        made = questions(job.domain, job.subdomain, job.seed, self._wallet.address, count)
        try:
            request = self._answer_request(job, request_for_question(job.subdomain))
            own = completion_of(self._generate(request))
        except (PromptError, GenerationError, NoRoom, BusyWithTasks):
            own = ""
        if is_question(own):
            made = [own, *made]
        return list(dict.fromkeys(made))[:count]

    def _answer_request(self, job: NetworkJob, prompt: str) -> GenerationRequest:
        return answer_request(self._shelf.prompts(self._model), prompt, job.seed, job.deadline_at)

    def _generate(self, request: GenerationRequest) -> str:
        """Generate an answer. Raises BusyWithTasks as soon as a user's task runs on this node."""
        if self._is_busy():
            raise BusyWithTasks("node: it is working on users' tasks; ask again later")
        with self._shelf.take(self._model, 0) as place:
            generation = place.engine().submit(request)
            try:
                for _ in generation:
                    if self._is_busy():
                        raise BusyWithTasks("node: a user's task has arrived; ask again later")
            finally:
                generation.cancel()
            return generation.result().text

    def _sign(self, job: NetworkJob, message: NetworkMessage) -> bytes:
        return self._wallet.sign(message, SigningDomain(job.chain_id, job.contract))

    def _decline(self, job: NetworkJob, code: str, message: str) -> None:
        self._mailbox.report(
            NetworkDeclinedReport(
                stage=job.stage, number=job.number, seed=job.seed, code=code, message=message
            )
        )
