"""What follows when the validator's process died while it judged a task.

To run a task and to embed its answers is native code that strangers feed. It may end the process,
and the validator that is started again is asked for the same task. So each try is written down
before it begins, and taken back when it ends, with or without an error: what is left are deaths. A
death may be an accident, such as an operator's kill, so a task is tried a second time. After that
it is judged without the validator's own work: answers agree if they are equal, and nobody runs the
task again.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from django.db.models import F
from django.utils import timezone

from chain.isolation import record_fault
from chain.postgres.leadership import Leadership
from mining.deadlines import MAX_DEATHS
from mining.errors import MiningError, ValidationImpossible
from mining.judging.answers import Answer
from mining.judging.embeddings import embed
from mining.judging.judgement import Matrix
from mining.judging.rerun import rerun
from mining.models import Validation
from sessions.models import Task

logger = logging.getLogger(__name__)


class ValidatorDied(ValidationImpossible):
    """The validator died with the task so often that it does not try again."""


class ValidatorBusy(MiningError):
    """Another validator is at work on the task, which is not a reason to judge with less."""


class CountedWork:
    """The validator's own work on a task, as long as the task does not kill it."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def embed(self, texts: Sequence[str]) -> Matrix:
        """One unit vector a text; after too many deaths texts are alike only if they are equal."""
        try:
            with self._counted():
                return embed(texts)
        except ValidatorDied:
            return _exactly(texts)

    def rerun(self, draft: Sequence[int]) -> Answer:
        """The validator's own answer, see `rerun`; raises ValidationImpossible, ValidatorBusy."""
        with self._counted():
            return rerun(self._task, draft)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        # Another validator that is at work on the task is no death.
        lock = Leadership(f"validation:{self._task.pk}")
        if not lock.held():
            raise ValidatorBusy(f"{self._task}: another validator is at work on it")
        try:
            self._require_alive()
            self._count(1)
            try:
                yield
            finally:
                self._count(-1)
        except ValidatorDied as death:
            logger.error("%s", death)
            record_fault("validate", str(self._task), death, timezone.now())
            raise
        finally:
            lock.release()

    def _require_alive(self) -> None:
        validation, _ = Validation.objects.get_or_create(task=self._task)
        if validation.deaths >= MAX_DEATHS:
            raise ValidatorDied(
                f"{self._task}: the validator's process died with it {validation.deaths} times; it"
                " is judged without the validator's own work"
            )

    def _count(self, by: int) -> None:
        Validation.objects.filter(task=self._task).update(deaths=F("deaths") + by)


def _exactly(texts: Sequence[str]) -> Matrix:
    distinct = list(dict.fromkeys(texts))
    return np.eye(len(distinct))[[distinct.index(text) for text in texts]]
