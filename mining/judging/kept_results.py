"""Reads a task's results from the database and the content store, if its stream is lost."""

import logging

from chain import storage
from chain.protocol.addresses import checksummed
from mining import catalog
from mining.judging.answers import Answer, AnswerUnfit, read_answer
from mining.models import Assignment, AssignmentStatus
from sessions.errors import EncryptionUnavailable
from sessions.models import Task
from sessions.results import TaskResult

logger = logging.getLogger(__name__)


def kept_results(session_id: int, task_id: int) -> list[TaskResult]:
    """Return the results of a task that count, the best first.

    Before the verdict, return all revealed results.
    """
    task = Task.objects.filter(session_id=session_id, task_id=task_id).first()
    if task is None:
        return []
    assignments = list(task.assignments.exclude(content_cid="").order_by("position"))
    judged = [each for each in assignments if each.status == AssignmentStatus.JUDGED]
    if judged:
        counting = [each for each in judged if each.accuracy_bps]
        counting.sort(key=lambda each: (-(each.accuracy_bps or 0), each.position))
        return _read(task, counting, is_judged=True)
    revealed = [each for each in assignments if each.status == AssignmentStatus.REVEALED]
    return _read(task, revealed, is_judged=False)


def _read(task: Task, assignments: list[Assignment], *, is_judged: bool) -> list[TaskResult]:
    results = []
    for assignment in assignments:
        try:
            answer = read_answer(task, assignment)
            results.append(_result(task, assignment, answer, is_judged=is_judged))
        except (AnswerUnfit, storage.StorageError, OSError, EncryptionUnavailable, LookupError):
            logger.warning("%s: its stored answer cannot be read", assignment, exc_info=True)
    return results


def _result(task: Task, assignment: Assignment, answer: Answer, *, is_judged: bool) -> TaskResult:
    vocabulary = catalog.vocabulary(int(task.model_identifier))
    counted = assignment.output_tokens
    return TaskResult(
        address=checksummed(assignment.miner),
        text=answer.text,
        finish_reason=answer.finish_reason,
        prompt_tokens=assignment.input_tokens or task.max_input_tokens,
        completion_tokens=len(answer.token_ids) if counted is None else counted,
        logprobs=tuple(each for each in answer.logprobs if not vocabulary.is_end(each.token)),
        is_judged=is_judged,
    )
