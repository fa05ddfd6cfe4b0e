"""Leases a task to a miner: stores the assignment and sends the job to the miner's mailbox."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from chain.deployed.contracts import deployment
from chain.protocol.addresses import checksummed
from chain.protocol.envelopes import read_public_key, recipients
from mining.assignment import mailbox
from mining.deadlines import ack_deadline, lease_deadline
from mining.models import Assignment, MinerPresence
from mining.node.protocol.job import Job, JobGrammar
from sessions.intake import encryption
from sessions.intake.prompts import Prompt, prompt_of, read_prompt
from sessions.models import Task
from sessions.streams import task_stream

PROMPT_WITHIN_S = 5.0

logger = logging.getLogger(__name__)


def lease(
    task: Task,
    places: Mapping[int, str],
    now: datetime,
    *,
    live: int | None,
    alone: bool = False,
    content: bytes | None = None,
) -> list[Assignment]:
    """Store assignments of a task, and send their jobs when the transaction commits.

    Args:
        task: the task.
        places: the miners' addresses by position.
        now: the start of the leases.
        live: the position whose stream the client follows from now on, or None to keep the current
            one.
        alone: whether the miners have to run the job without other jobs beside it.
        content: the block with the task's prompt, if the caller has it.
    """
    assignments = Assignment.objects.bulk_create(
        Assignment(
            task=task,
            miner=miner.lower(),
            position=position,
            announced_at=now if position == live else None,
            leased_at=now,
            ack_deadline_at=ack_deadline(now, task.timeout_s),
            lease_deadline_at=lease_deadline(now, task.timeout_s),
            alone=alone,
        )
        for position, miner in sorted(places.items())
    )
    deliver_on_commit(task, assignments, content)
    return assignments


def deliver_on_commit(
    task: Task, assignments: list[Assignment], content: bytes | None = None
) -> None:
    """Send the jobs of assignments when the transaction commits.

    Args:
        task: the task.
        assignments: the assignments.
        content: the block with the task's prompt, or None to read it from the content store.
    """
    transaction.on_commit(lambda: _deliver(task, assignments, content), robust=True)


def _deliver(task: Task, assignments: list[Assignment], content: bytes | None) -> None:
    if content is not None:
        prompt = read_prompt(task, content)
    else:
        # The limit is short, because the dispatcher waits meanwhile. Intake has stored this
        # content, so the content store has it.
        prompt = prompt_of(task, within_s=PROMPT_WITHIN_S)
    for assignment in assignments:
        try:
            mailbox.send_infer(assignment.miner, _job(task, assignment, prompt))
        except Exception:
            # An unreachable mailbox or an invalid key concerns this miner only. It will not send
            # an ack, and another miner will replace it.
            logger.exception("%s could not be delivered", assignment)
        if assignment.announced_at is not None:
            _announce(assignment)


def listen_to(assignment: Assignment, now: datetime) -> None:
    """Let the client follow the stream of a working assignment, from the commit on."""
    assignment.announced_at = now
    assignment.save(update_fields=["announced_at"])
    transaction.on_commit(lambda: _announce(assignment), robust=True)


def _announce(assignment: Assignment) -> None:
    address = checksummed(assignment.miner)
    task_stream.announce_source(assignment.task, address, assignment.stream_key)


def _job(task: Task, assignment: Assignment, prompt: Prompt) -> Job:
    network = deployment()
    started_at = task.assigned_at or assignment.leased_at
    sealed = bool(prompt.envelope)
    return Job(
        assignment_id=str(assignment.id),
        session_id=task.session_id,
        task_id=task.task_id,
        task_digest=bytes.fromhex(task.task_digest.removeprefix("0x")),
        chain_id=network.chain_id,
        queue_address=network.addresses["SessionQueue"],
        model_identifier=int(task.model_identifier),
        prompt="" if sealed else prompt.text,
        prompt_form=task.prompt_type,
        prompt_template=task.prompt_template,
        max_tokens=task.max_tokens,
        temperature_x100=task.temperature_x100,
        top_p_x100=task.top_p_x100,
        top_k=task.top_k,
        presence_penalty_x100=task.presence_penalty_x100,
        frequency_penalty_x100=task.frequency_penalty_x100,
        stop=[] if sealed else list(prompt.stop),
        grammar=_grammar(prompt),
        logprobs=prompt.options.logprobs,
        logit_bias=dict(prompt.options.logit_bias),
        min_p=prompt.options.min_p,
        seed=prompt.options.seed_bytes,
        deadline_at=(started_at + timedelta(seconds=task.timeout_s)).timestamp(),
        inline=task.inline,
        sealed_prompt=_seal_for(assignment, task, prompt) if sealed else "",
        seal_for=["0x" + key.hex() for key in recipients(prompt.envelope)] if sealed else [],
        enough_characters=-1 if task.enough_characters is None else task.enough_characters,
        attempt=assignment.deaths,
        alone=assignment.alone,
    )


def _grammar(prompt: Prompt) -> JobGrammar | None:
    bound = prompt.options.grammar
    if bound is None:
        return None
    return JobGrammar(library=bound.library, version=bound.version, lark=bound.lark)


def _seal_for(assignment: Assignment, task: Task, prompt: Prompt) -> str:
    """Return the prompt's envelope, reduced to this miner's share.

    The miner's key is known: a miner without one is no candidate for an encrypted task.
    """
    key = MinerPresence.objects.values_list("encryption_key", flat=True).get(pk=assignment.miner)
    return encryption.share_prompt(task, prompt.envelope, read_public_key(key)).decode()
