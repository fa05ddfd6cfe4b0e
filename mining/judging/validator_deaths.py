"""Handles tasks on which the validator's process dies.

Running a task and embedding its answers call native code with input from clients and miners. That
code may end the process, and the restarted validator gets the same task again. So the count of
deaths is raised before each try, and lowered when the try ends, with or without an error: tries
that have not ended are deaths. A death may be an accident, such as an operator's kill, so a task is
tried a second time. After that it is judged without the validator's own work: answers agree if they
are equal, and the task is not run again.
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
    """The validator has died on the task so often that it does not try again."""


class ValidatorBusy(MiningError):
    """Another validator works on the task.

    This does not derive from ValidationImpossible: the task must wait for the other validator, and
    not be judged without a re-run.
    """


class CountedWork:
    """The validator's own work on a task, unless the task has killed it too often."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return the embeddings of texts, scaled to length 1.

        After too many deaths, return vectors that are equal for equal texts and orthogonal for
        different ones. Raises ValidatorBusy.
        """
        try:
            with self._counted():
                return embed(texts)
        except ValidatorDied:
            return _exactly(texts)

    def rerun(self, draft: Sequence[int]) -> Answer:
        """Return the validator's own answer: see `mining.judging.rerun.rerun`.

        Raises:
            ValidationImpossible: the task cannot be run, or has killed the validator too often.
            ValidatorBusy: another validator works on the task.
        """
        with self._counted():
            return rerun(self._task, draft)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        # Only the holder of the lock may count: the try of another validator that works on the task
        # is not a death.
        lock = Leadership(f"validation:{self._task.pk}")
        if not lock.held():
            raise ValidatorBusy(f"{self._task}: another validator works on it")
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
                f"{self._task}: the validator's process died on it {validation.deaths} times; it is"
                " judged without the validator's own work"
            )

    def _count(self, by: int) -> None:
        Validation.objects.filter(task=self._task).update(deaths=F("deaths") + by)


def _exactly(texts: Sequence[str]) -> Matrix:
    distinct = list(dict.fromkeys(texts))
    return np.eye(len(distinct))[[distinct.index(text) for text in texts]]
