"""Prompt types have published numbers, and earlier tasks keep their meaning."""

import json
from importlib import import_module

import pytest
from django.apps import apps

from chain.protocol.params import PromptType
from sessions.faces.common.completion_body import read_completion
from sessions.intake import acceptance
from sessions.models import Task
from tests.sessions.factories import make_session, make_task
from tests.sessions.rest import Api, api, assert_problem

__all__ = ["api"]

migration = import_module("sessions.migrations.0008_prompt_types")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("old", "new"),
    [(0, PromptType.CONTINUATION), (1, PromptType.MESSAGE), (2, PromptType.CONVERSATION), (9, 9)],
)
def test_a_task_from_before_keeps_its_meaning(old: int, new: int) -> None:
    task = make_task(prompt_type=old)
    migration.renumber(migration.NEW_NUMBERS)(apps, None)
    assert Task.objects.get(pk=task.pk).prompt_type == new
    migration.renumber(migration.OLD_NUMBERS)(apps, None)
    assert Task.objects.get(pk=task.pk).prompt_type == old


@pytest.mark.django_db
def test_a_request_from_before_is_found_by_the_reference_that_it_came_under() -> None:
    task = make_task(client_reference="order 7")
    others = [make_task(origin="chain", client_reference="order 7"), make_task()]
    import_module("sessions.migrations.0009_idempotency_key").copy_references(apps, None)
    keys = [Task.objects.get(pk=each.pk).idempotency_key for each in (task, *others)]
    assert keys == ["order 7", "", ""]


@pytest.mark.django_db
@pytest.mark.parametrize("given", [0, 1, 2, 128, 129, None])
def test_a_task_has_the_type_that_its_client_asked_for(given: int | None) -> None:
    session = make_session()
    body = {"prompt": "two words", "prompt_type": given, "prompt_template": "Be brief."}
    asked = read_completion(json.dumps(body).encode(), session.session_id)
    task = acceptance.accept(asked.request, session=session, api_key=None)
    assert (task.prompt_type, task.prompt_template) == (given or 0, "Be brief.")


@pytest.mark.django_db
def test_an_unknown_type_is_refused_with_those_that_there_are(api: Api) -> None:
    session = make_session()
    body = {"prompt": "two words", "prompt_type": 3}
    problem = assert_problem(
        api("POST", f"completions/{session.session_id}", body), 400, "prompt_type"
    )
    assert "0, 1, 2, 128, 129" in json.dumps(problem)
