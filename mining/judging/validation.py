"""Judges a task: reads and compares the answers, and signs a verdict on all of them.

If the comparison does not decide, or in an audit, the validator runs the task again.
"""

import hashlib
import hmac
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from eth_utils.address import to_checksum_address

from chain import operations
from chain.deployed.contracts import deployment
from chain.protocol.messages import SigningDomain, Verdict, sign
from chain.sending import outbox
from chain.storage import BlockMissing, BlockTooLarge, ContentMalformed, ContentTooLarge
from mining import catalog, keys
from mining.assignment.states import advance
from mining.errors import ValidationImpossible
from mining.judging.answers import (
    CANCELLED,
    MAX_ANSWER_BYTES,
    Answer,
    AnswerUnfit,
    count_tokens,
    read_answer,
    read_stream,
    require_logprobs,
    require_sealed_for,
    require_streamed,
    up_to,
)
from mining.judging.judgement import Judgement, Logprobs, judge, judge_by_reference, judge_logprobs
from mining.judging.validator_deaths import CountedWork
from mining.models import Assignment, AssignmentStatus, Validation, ValidationMethod
from mining.progress.chain_catch_up import is_behind
from sessions.intake.prompts import Prompt, PromptUnreadable, prompt_of
from sessions.models import Task, TaskStatus
from sessions.ports import PromptUnfit
from sessions.results import TaskResult
from sessions.stages import task_states
from sessions.streams.bounded_reads import Fields, StreamTooLarge, read_whole

AUDIT_SHARE = 0.1
"""The share of tasks with a single miner that the validator runs again."""
MORE_ENTRIES = 256
"""How many entries a stream may have beyond two for each token, a node's own limit.

Redis trims streams by whole blocks of entries, so they may be somewhat longer.
"""
MAX_TOKEN_BYTES = 4096
"""The most bytes of a token's log-probabilities in a stream."""

logger = logging.getLogger(__name__)


@dataclass
class Part:
    """A miner's part in a verdict.

    `answer` is None if the answer is unfit. `remark` says why an answer is worth 0.
    """

    assignment: Assignment
    answer: Answer | None = None
    output_tokens: int = 0
    remark: str = ""
    accuracy_bps: int = 0
    distance: float | None = None


@dataclass(frozen=True)
class Measure:
    """The judgement of the fit answers, and its method."""

    method: ValidationMethod
    judgement: Judgement | None = None
    reference: str = ""
    disbelieved: Collection[int] = ()
    """The indices of the answers whose log-probabilities are not the model's."""


def validate(task_pk: int) -> None:
    """Judge the answers that a task's miners have revealed. Further calls change nothing.

    Raises:
        ValidationImpossible: the answers cannot be judged now. The oracle asks again until the
            deadline.
        ValidatorBusy: another validator works on the task.
    """
    task = Task.objects.filter(pk=task_pk, status=TaskStatus.COMMITTED).first()
    if task is None:
        return
    try:
        prompt = prompt_of(task)
    except PromptUnreadable as error:
        raise ValidationImpossible(f"{task}: {error}") from error
    if is_behind(task):
        raise ValidationImpossible(f"{task}: reveals on chain have not been read yet")
    revealed = task.assignments.filter(status=AssignmentStatus.REVEALED).order_by("position")
    parts = [_examine(task, assignment, prompt) for assignment in revealed]
    if not parts:
        return
    fit = [part for part in parts if part.answer is not None]
    answers = [part.answer for part in fit if part.answer is not None]
    measure = _measure(task, answers, with_logprobs=bool(prompt.options.logprobs))
    if task.encrypted:
        measure = replace(measure, reference="")
    if measure.judgement is not None:
        for index, part in enumerate(fit):
            part.accuracy_bps = measure.judgement.accuracies_bps[index]
            part.distance = measure.judgement.to_centre[index]
            if index in measure.disbelieved:
                part.accuracy_bps, part.remark = 0, "content: logprobs are not the model's"
    _conclude(task, parts, fit, measure, _input_tokens(task, prompt))


def is_audited(task: Task) -> bool:
    """Return whether a task with a single miner is run again.

    The decision is a keyed hash of the task's digest, so miners cannot predict it.
    """
    digest = hmac.digest(settings.SECRET_KEY.encode(), task.task_digest.encode(), hashlib.sha256)
    share = getattr(settings, "AUDIT_SHARE", AUDIT_SHARE)
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _examine(task: Task, assignment: Assignment, prompt: Prompt) -> Part:
    try:
        answer = read_answer(task, assignment)
        require_sealed_for(assignment, prompt)
        require_streamed(answer, read_stream(_stream_of(assignment, task.max_tokens)))
        vocabulary = catalog.vocabulary(int(task.model_identifier))
        count_tokens(answer, task.max_tokens, prompt.stop, vocabulary)
        require_logprobs(answer, prompt.options.logprobs)
        if task.enough_characters is not None:
            answer = up_to(answer, task.enough_characters, prompt.stop, vocabulary)
        elif answer.finish_reason == CANCELLED:
            raise AnswerUnfit("content: it ends early, and the client has not allowed that")
        return Part(assignment, answer, len(answer.token_ids))
    except AnswerUnfit as error:
        logger.warning("%s: %s", assignment, error)
        return Part(assignment, remark=str(error))
    except (BlockMissing, BlockTooLarge, ContentMalformed, ContentTooLarge) as error:
        if assignment.commit_signature:
            raise  # the router has had the content, so the miner has done its part
        logger.warning(
            "%s: the result that it sent to the chain is unreadable: %s", assignment, error
        )
        return Part(assignment, remark=str(error))


def _stream_of(assignment: Assignment, max_tokens: int) -> list[Fields]:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as client:
            return read_whole(
                client,
                assignment.stream_key,
                entries=2 * max_tokens + MORE_ENTRIES,
                total=MAX_ANSWER_BYTES + max_tokens * MAX_TOKEN_BYTES,
            )
    except StreamTooLarge as error:
        raise AnswerUnfit(f"stream: {error}") from error
    except redis.ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise AnswerUnfit("stream: the miner has replaced it by another type of key") from error
    except redis.RedisError:
        # A lost stream is not the miner's failure. Its answer is judged without it.
        logger.warning("%s: its stream cannot be read", assignment, exc_info=True)
        return []


def _measure(task: Task, answers: Sequence[Answer], *, with_logprobs: bool) -> Measure:
    if not answers:
        return Measure(ValidationMethod.NONE)
    texts = [answer.text for answer in answers]
    work = CountedWork(task)
    judgement = judge(texts, work.embed)
    disbelieved = _disbelieved(judgement, answers) if with_logprobs else set[int]()
    if disbelieved is None:
        judgement = None
    audited = task.redundancy == 1 and is_audited(task)
    if judgement is not None and not audited:
        return Measure(ValidationMethod.MAJORITY, judgement, disbelieved=disbelieved or ())
    method = ValidationMethod.AUDIT if audited else ValidationMethod.RERUN
    try:
        reference = work.rerun(answers[0].token_ids)
    except ValidationImpossible:
        if judgement is None:
            raise
        logger.exception("%s: it cannot be audited and is judged as it is", task)
        return Measure(ValidationMethod.MAJORITY, judgement, disbelieved=disbelieved or ())
    judgement = judge_by_reference(texts, reference.text, work.embed)
    disbelieved = _disbelieved(judgement, answers, reference.logprobs) if with_logprobs else set()
    return Measure(method, judgement, reference.text, disbelieved or ())


def _disbelieved(
    judgement: Judgement | None, answers: Sequence[Answer], reference: Logprobs | None = None
) -> set[int] | None:
    """Return the indices of answers that count and whose log-probabilities are not credible.

    Return None if the answers do not decide it, and a re-run has to.
    """
    if judgement is None:
        return set()
    counting = [index for index, worth in enumerate(judgement.accuracies_bps) if worth]
    believed = judge_logprobs([answers[index].logprobs for index in counting], reference)
    if believed is None:
        return None
    return {index for index, yes in zip(counting, believed, strict=True) if not yes}


def _input_tokens(task: Task, prompt: Prompt) -> int:
    try:
        counted = catalog.prompt_counter.count(
            int(task.model_identifier), prompt.text, task.prompt_type, task.prompt_template
        )
    except (LookupError, PromptUnfit) as error:
        raise ValidationImpossible(f"{task}: its input cannot be counted: {error}") from error
    return min(counted, task.max_input_tokens)


def _conclude(
    task: Task, parts: Sequence[Part], fit: Sequence[Part], measure: Measure, input_tokens: int
) -> None:
    now = timezone.now()
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=task.pk)
        if task.status != TaskStatus.COMMITTED:
            return
        _give_verdict(task, parts, input_tokens)
        for part in parts:
            advance(
                part.assignment,
                AssignmentStatus.JUDGED,
                now,
                accuracy_bps=part.accuracy_bps,
                distance=part.distance,
                input_tokens=input_tokens,
                output_tokens=part.output_tokens,
                finish_reason=part.answer.finish_reason if part.answer else "",
            )
        outcome = {
            "finished_at": now,
            "method": measure.method,
            "miners": [to_checksum_address(part.assignment.miner) for part in fit],
            "distances": measure.judgement.distances if measure.judgement else [],
            "reference": measure.reference,
            "remarks": {p.assignment.miner: p.remark for p in parts if p.remark},
        }
        # The request has normally created the row. `update_or_create` would take four statements.
        if not Validation.objects.filter(task=task).update(**outcome):
            Validation.objects.create(task=task, **outcome)
        task_states.mark_validated(
            task, _results(task, parts, input_tokens), at=now, is_locked=True
        )
    worths = [part.accuracy_bps for part in parts]
    logger.info("%s: judged by %s: %s", task, measure.method.value, worths)


def _give_verdict(task: Task, parts: Sequence[Part], input_tokens: int) -> None:
    network = deployment()
    verdict = Verdict(
        session_id=task.session_id,
        task_id=task.task_id,
        task_digest=bytes.fromhex(task.task_digest.removeprefix("0x")),
        input_tokens=input_tokens,
        miners=tuple(to_checksum_address(part.assignment.miner) for part in parts),
        accuracies_bps=tuple(part.accuracy_bps for part in parts),
        output_tokens=tuple(part.output_tokens if part.accuracy_bps else 0 for part in parts),
    )
    domain = SigningDomain(network.chain_id, network.addresses["SessionQueue"])
    outbox.enqueue(operations.relay_verdict(verdict, sign(verdict, domain, keys.validator().key)))


def _results(task: Task, parts: Sequence[Part], input_tokens: int) -> list[TaskResult]:
    vocabulary = catalog.vocabulary(int(task.model_identifier))
    counting = [part for part in parts if part.accuracy_bps > 0]
    counting.sort(key=lambda part: (-part.accuracy_bps, part.assignment.position))
    return [
        TaskResult(
            address=to_checksum_address(part.assignment.miner),
            text=part.answer.text,
            finish_reason=part.answer.finish_reason,
            prompt_tokens=input_tokens,
            completion_tokens=part.output_tokens,
            logprobs=tuple(
                each for each in part.answer.logprobs if not vocabulary.is_end(each.token)
            ),
        )
        for part in counting
        if part.answer is not None
    ]
