"""Handles jobs, reveals, cancellations and shortenings. The Celery tasks only call this module.

A miner works on an assignment once. A repeated delivery of a running job is dropped. A repeated
delivery of a finished job reports the same precommit again.
"""

import json
import logging
import threading
import time
from contextlib import AbstractContextManager, suppress

import llama_cpp

from chain.protocol.digests import commit_hash
from chain.protocol.envelopes import public_key
from chain.protocol.messages import Ack, Commit, Heartbeat, Precommit, SigningDomain
from chain.version import VERSION
from mining.node.account.evm import ChainUnavailable
from mining.node.account.wallet import Wallet
from mining.node.disk.journal import Journal
from mining.node.disk.reminders import Reminders
from mining.node.disk.stash import NotStashed, Result, Stash
from mining.node.engine.generation import (
    DeadlinePassed,
    GenerationError,
    GenerationRequest,
    GenerationResult,
)
from mining.node.engine.grammar import LIBRARY, GrammarInvalid, require_version
from mining.node.engine.grammar import VERSION as GRAMMAR_VERSION
from mining.node.llm.prompts import PromptError
from mining.node.protocol.job import Job
from mining.node.protocol.reports import (
    NODE_DIED,
    AckReport,
    CommitReport,
    FailedReport,
    HeartbeatReport,
    NodeStatus,
    PrecommitReport,
)
from mining.node.protocol.wire import Malformed
from mining.node.shelf.shelf import NoRoom, Shelf, TextEngine
from mining.node.worker.binding import bind
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.piece_stream import StreamMismatch
from mining.node.worker.piece_writer import PieceWriter
from mining.node.worker.running_jobs import RunningJobs
from mining.node.worker.sealing import SealedPromptUnreadable, open_prompt
from mining.node.worker.slots import Busy, Slots
from mining.node.worker.task_check import JobRefused, TaskCheck

logger = logging.getLogger(__name__)

SOFTWARE = (
    f"cortensor-node/{VERSION} llama-cpp-python/{llama_cpp.__version__} {LIBRARY}/{GRAMMAR_VERSION}"
)
BUSY_WAIT_S = 1.0
"""How long a job waits for a slot. A longer wait would delay reveals and cancellations as well."""
ACK_WITHIN_S = 0.1
"""How long an ack waits for the answer's first piece, which is sent before it."""


class Draining(Exception):
    """The node is about to stop and starts no more jobs. `code` goes into reports."""

    code = "draining"


_REASONS = (
    PromptError,
    SealedPromptUnreadable,
    GenerationError,
    GrammarInvalid,
    StreamMismatch,
    JobRefused,
    ChainUnavailable,
    Busy,
    NoRoom,
    Draining,
)
"""The errors that end a job without a result. The report holds the error's `code`."""


class Miner:
    """A miner with one key, one mailbox, and the models on a shelf. Threads may share it.

    Args:
        slots: how many jobs the miner works on at once, over all models.
        stash: the results that are precommitted, on disk.
        pool_domain: the signing domain of heartbeats.
        journal: the jobs that are running, on disk. It tells which jobs the last process died
            with.
        check: checks jobs against the chain before the miner works on them. Without it, the miner
            trusts its router, which could send jobs that nobody pays for.
    """

    def __init__(
        self,
        *,
        shelf: Shelf,
        slots: int,
        wallet: Wallet,
        mailbox: Mailbox,
        stash: Stash,
        pool_domain: SigningDomain,
        journal: Journal,
        check: TaskCheck | None = None,
    ) -> None:
        self.address = wallet.address
        self._shelf = shelf
        self._wallet = wallet
        self._mailbox = mailbox
        self._stash = stash
        self._pool_domain = pool_domain
        self._check = check
        self._journal = journal
        self._slots = Slots(slots)
        self._draining = False
        self._beating = threading.Lock()
        self._last_beat_ms = 0
        self._running = RunningJobs()
        self._writer = PieceWriter(mailbox)
        self._reminders = Reminders(stash)

    def infer(self, value: object) -> None:
        """Do a job: generate the answer, stream it, ack the job and precommit the result.

        Every failure becomes a report. `value` is a `Job` as JSON.
        """
        try:
            job = Job.from_json(value)
        except Malformed as error:
            logger.error("a job was refused: %s", error)
            self._refuse(value, error)
            return
        if self._journal.has_died(_name(job)):
            # Redis delivers the jobs again that the last process did not finish. Only the router
            # decides whether to try a job again. It sends a new attempt, which may arrive while
            # this one's death is reported.
            if not self._precommit_again(job.assignment_id):
                self._report_death(job.assignment_id, job.attempt, "with it")
            return
        with self._running.once(job.assignment_id) as first:
            if not first:
                logger.info("assignment %s is running already", job.assignment_id)
            elif not self._precommit_again(job.assignment_id):
                self._attempt(job)

    def report_deaths(self) -> None:
        """Report the jobs with which the last process of this node died."""
        for death in self._journal.deaths:
            assignment_id, _, attempt = death.name.rpartition("_")
            if not attempt.isdecimal() or self._precommit_again(assignment_id):
                continue  # not a job, or finished before the process died
            self._report_death(assignment_id, int(attempt), f"beside {death.others} others")

    def let_go(self) -> None:
        """Clear the journal, so that no job is blamed for the coming end of this process."""
        self._journal.let_go()

    def reveal(self, assignment_id: str) -> None:
        """Report the precommitted result with a signed commit. Do nothing if there is none."""
        try:
            result = self._stash.get(assignment_id)
        except NotStashed as error:
            logger.warning("reveal: %s", error)
            return
        self._reminders.answered(assignment_id)
        commit = Commit(
            result.session_id,
            result.task_id,
            bytes.fromhex(result.task_digest),
            self.address,
            result.data,
        )
        signature = self._wallet.sign(commit, _domain(result))
        self._mailbox.report(
            CommitReport(
                assignment_id=assignment_id,
                data=result.data,
                content=result.content,
                signature=signature,
            )
        )

    def cancel(self, assignment_id: str) -> None:
        """End an assignment's generation, or prevent it from starting."""
        self._running.cancel(assignment_id)
        self._reminders.answered(assignment_id)

    def shorten(self, assignment_id: str, characters: int) -> None:
        """End an answer once it has `characters` characters, and precommit it as it is then."""
        self._running.shorten(assignment_id, characters)

    @property
    def in_flight(self) -> int:
        """The number of running jobs."""
        return len(self._running)

    @property
    def draining(self) -> bool:
        """Whether the miner starts no more jobs."""
        return self._draining

    def drain(self) -> None:
        """Start no more jobs, but finish the running ones. The next heartbeat reports this."""
        self._draining = True

    def close(self) -> None:
        """End the thread that writes answers. No job may be running."""
        self._writer.close()

    def hand_back(self, value: object) -> None:
        """Report that a job is not started, because the node stops."""
        with suppress(Malformed):
            job = Job.from_json(value)
            if not self._precommit_again(job.assignment_id):
                self._fail(job, Draining.code, "node: it is stopping; give the job to another node")

    def remind(self) -> None:
        """Report precommits again that the router does not seem to have received."""
        for assignment_id in self._reminders.due():
            with suppress(NotStashed):  # the stash deletes old results
                self._report_precommit(assignment_id)

    def beat(self) -> NodeStatus:
        """Report the miner's status in a signed heartbeat, and return it."""
        with self._beating:
            # The clock may be set back, but a router ignores a time that is not higher.
            self._last_beat_ms = max(self._last_beat_ms + 1, int(time.time() * 1000))
            status = self._status(self._last_beat_ms)
            text = json.dumps(status.to_json())
            signature = self._wallet.sign(Heartbeat(self.address, text), self._pool_domain)
            self._mailbox.report(HeartbeatReport(status=text, signature=signature))
        return status

    def _status(self, sent_at_ms: int) -> NodeStatus:
        speeds = self._shelf.speeds()
        return NodeStatus(
            sent_at_ms=sent_at_ms,
            slots=self._slots.count,
            in_flight=self.in_flight,
            draining=self._draining,
            models=self._shelf.identifiers,
            loaded={number: round(speed, 1) for number, speed in speeds.items()},
            canonical=self._shelf.canonical,
            software=SOFTWARE,
            encryption_key="0x" + public_key(self._wallet.encryption_key).hex(),
        )

    # ── one attempt at a job ─────────────────────────────────────────────────

    def _attempt(self, job: Job) -> None:
        try:
            self._running.require_wanted(job.assignment_id)
            with self._slot(job), self._journal.running(_name(job)):
                if self._draining:
                    raise Draining("node: it is stopping; give the job to another node")
                result = self._work(job)
        except _REASONS as error:
            logger.warning("assignment %s failed: %s", job.assignment_id, error)
            self._fail(job, error.code, str(error))
        except Exception:
            logger.exception("assignment %s failed", job.assignment_id)
            self._fail(job, "internal_error", "node: an internal error; its log has the details")
        else:
            self._precommit_again(job.assignment_id)
            logger.info(
                "assignment %s: %d answer tokens for %d prompt tokens",
                job.assignment_id,
                result.completion_tokens,
                result.prompt_tokens,
            )

    def _work(self, job: Job) -> GenerationResult:
        request = self._request(job)
        with self._shelf.take(job.model_identifier, BUSY_WAIT_S) as place:
            if self._check is not None:
                self._check.require(job)
            result = self._generate(job, place.engine(), request)
            self._stash.put(bind(job, result, self.address))
        return result

    def _request(self, job: Job) -> GenerationRequest:
        """Build the request, and check everything that can be checked before work starts."""
        prompts = self._shelf.prompts(job.model_identifier)
        if time.time() >= job.deadline_at:
            raise DeadlinePassed("deadline_at: it has passed; nothing was generated")
        if job.grammar is not None:
            require_version(job.grammar.library, job.grammar.version)
        prompt, stop = open_prompt(job, self._wallet.encryption_key)
        tokens = prompts.tokenise(prompt, job.prompt_form, job.prompt_template)
        return GenerationRequest(
            prompt_tokens=tokens,
            max_tokens=prompts.answer_tokens(len(tokens), job.max_tokens),
            sampling=job.sampling,
            seed=job.seed or job.task_digest,
            stop=stop,
            deadline_at=job.deadline_at,
            logprobs=job.logprobs,
            grammar=job.grammar.lark if job.grammar else "",
        )

    def _generate(
        self, job: Job, engine: TextEngine, request: GenerationRequest
    ) -> GenerationResult:
        generation = self._running.begin(
            job.assignment_id, lambda: engine.submit(request), job.enough_characters
        )
        try:
            # Redis is asked for the stream while the engine reads the prompt.
            stream = self._mailbox.stream(job.assignment_id, job.max_tokens)
            writing = self._writer.write(generation, stream)
            # Signing the ack takes milliseconds beside a running engine, and the client waits for
            # the first piece. So the ack follows the first piece, unless that takes too long.
            writing.begins_within(ACK_WITHIN_S)
            self._report_ack(job)
            return writing.result()
        finally:
            generation.cancel()

    # ── reports ──────────────────────────────────────────────────────────────

    def _report_ack(self, job: Job) -> None:
        ack = Ack(job.session_id, job.task_id, job.task_digest, self.address)
        signature = self._wallet.sign(ack, _domain(job))
        self._mailbox.report(AckReport(assignment_id=job.assignment_id, signature=signature))

    def _report_death(self, assignment_id: str, attempt: int, circumstances: str) -> None:
        message = f"node: its process died while it worked on this job, {circumstances}"
        logger.warning("assignment %s: %s", assignment_id, message)
        with suppress(Malformed):
            self._mailbox.report(
                FailedReport(
                    assignment_id=assignment_id, code=NODE_DIED, message=message, attempt=attempt
                )
            )

    def _precommit_again(self, assignment_id: str) -> bool:
        """Report the precommit of the stashed result. Return False if no result is stashed."""
        try:
            self._report_precommit(assignment_id)
        except NotStashed:
            return False
        return True

    def _report_precommit(self, assignment_id: str) -> None:
        result = self._stash.get(assignment_id)
        # Schedule the reminder first: the report may fail, and Redis may lose it later.
        self._reminders.reported(assignment_id)
        digest = commit_hash(result.session_id, result.task_id, self.address, result.data)
        precommit = Precommit(
            result.session_id,
            result.task_id,
            bytes.fromhex(result.task_digest),
            self.address,
            digest,
        )
        signature = self._wallet.sign(precommit, _domain(result))
        self._mailbox.report(
            PrecommitReport(assignment_id=assignment_id, hash=digest, signature=signature)
        )

    def _fail(self, job: Job, code: str, message: str) -> None:
        stream = self._mailbox.stream(job.assignment_id, job.max_tokens)
        [refused] = self._mailbox.append([stream.failed(code)])
        if refused is not None:
            logger.warning("assignment %s: cannot end its stream: %s", job.assignment_id, refused)
        self._mailbox.report(
            FailedReport(assignment_id=job.assignment_id, code=code, message=message)
        )

    def _refuse(self, value: object, error: Malformed) -> None:
        assignment_id = value.get("assignment_id") if isinstance(value, dict) else None
        try:
            report = FailedReport(
                assignment_id=str(assignment_id), code="malformed", message=str(error)
            )
        except Malformed:
            return
        self._mailbox.report(report)

    def _slot(self, job: Job) -> AbstractContextManager[None]:
        if not job.alone:
            return self._slots.one(BUSY_WAIT_S)
        # The wait may be long, since other jobs that run alone may be ahead of this one.
        return self._slots.all(max(job.deadline_at - time.time(), 0.0))


def _name(job: Job) -> str:
    return f"{job.assignment_id}_{job.attempt}"


def _domain(source: Job | Result) -> SigningDomain:
    return SigningDomain(source.chain_id, source.queue_address)
