"""A task that kills the validator does so at most twice."""

import signal

import numpy as np
import pytest

from chain.models import Fault
from chain.postgres.leadership import Leadership
from mining.errors import ValidationImpossible
from mining.judging import validator_deaths
from mining.judging.validation import validate
from mining.judging.validator_deaths import ValidatorBusy
from mining.models import Validation, ValidationMethod
from sessions.models import TaskStatus
from tests.chain.killed import in_a_process, sigkill
from tests.mining.conftest import make_task
from tests.mining.judging.test_validation import accuracies, engine, honest, revealed, validator

__all__ = ["engine", "validator"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


def kill(*_):
    sigkill()


def refuse(*_):
    raise AssertionError("the validator does what killed it")


def die_of(monkeypatch, what, task, times=2):
    """Let its own work kill the validator's process each time that it is restarted."""
    with monkeypatch.context() as patch:
        patch.setattr(validator_deaths, what, kill)
        for _ in range(times):
            assert in_a_process(lambda: validate(task.pk)) == -signal.SIGKILL
    monkeypatch.setattr(validator_deaths, what, refuse)


@pytest.fixture
def audited(validator, engine, settings):
    """Create a task with one answer, which the validator audits by a re-run."""
    settings.AUDIT_SHARE = 1.0
    task = make_task(redundancy=1)
    revealed(task, [honest(engine, task)])
    return task


def test_an_audit_that_kills_the_validator_is_left_out(audited, monkeypatch):
    die_of(monkeypatch, "rerun", audited)
    validate(audited.pk)
    audited.refresh_from_db()
    assert audited.status == TaskStatus.VALIDATED
    assert accuracies(audited) == [10_000]
    assert (audited.validation.method, audited.validation.deaths) == (ValidationMethod.MAJORITY, 2)
    fault = Fault.objects.get()
    assert (fault.process, fault.item) == ("validate", str(audited))


def test_answers_that_kill_the_validator_agree_if_they_are_equal(validator, engine, monkeypatch):
    task = make_task(redundancy=3)
    good = honest(engine, task)
    other = honest(engine, task, "another prompt altogether")
    revealed(task, [good, other, good])
    die_of(monkeypatch, "embed", task)
    validate(task.pk)
    assert accuracies(task) == [10_000, 0, 10_000]


def test_without_a_majority_nothing_is_decided_and_the_validator_lives(
    validator, engine, monkeypatch
):
    task = make_task(redundancy=2)
    revealed(task, [honest(engine, task), honest(engine, task, "another prompt altogether")])
    # The embedding's own threads do not survive the fork.
    monkeypatch.setattr(validator_deaths, "embed", lambda texts: np.eye(len(texts)))
    die_of(monkeypatch, "rerun", task)
    with pytest.raises(ValidationImpossible, match="died on it 2 times"):
        validate(task.pk)
    task.refresh_from_db()
    assert task.status == TaskStatus.COMMITTED


def test_one_death_is_an_accident(audited, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(validator_deaths, "rerun", kill)
        assert in_a_process(lambda: validate(audited.pk)) == -signal.SIGKILL
    validate(audited.pk)
    assert audited.validation.method == ValidationMethod.AUDIT
    assert not Fault.objects.exists()


def test_an_error_is_no_death(audited, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(validator_deaths, "rerun", fail)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                validate(audited.pk)
    assert Validation.objects.get(task=audited).deaths == 0


def test_another_validator_at_work_is_no_death(audited):
    other = Leadership(f"validation:{audited.pk}")
    assert other.held()
    try:
        # An impossible audit is left out. A second request must not make an audit impossible.
        with pytest.raises(ValidatorBusy):
            validate(audited.pk)
    finally:
        other.release()
    validate(audited.pk)
    assert audited.validation.method == ValidationMethod.AUDIT
