"""Requests while a part of the router is unavailable."""

import json

import pytest
from django.test import Client

from sessions.errors import PartAway
from sessions.intake import acceptance
from sessions.intake.availability import RULES, Rule, broken_rule
from sessions.models import Session, Task
from tests.sessions.factories import make_key, make_request, make_session
from tests.sessions.ports import no_free_miners, one_free_miner, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def away() -> dict[str, float]:
    """What is away, for how many seconds."""
    parts: dict[str, float] = {}
    replace_ports(parts_away=lambda: parts)
    return parts


@pytest.fixture
def session() -> Session:
    return make_session()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.part)
def test_a_task_is_refused_once_a_part_was_missed_and_nothing_is_reserved(
    away: dict[str, float], session: Session, rule: Rule
) -> None:
    assert broken_rule({rule.part: rule.after_s - 1}, is_queued=True) is None
    away[rule.part] = rule.after_s
    with pytest.raises(PartAway) as refused:
        acceptance.accept(make_request(), session=session, api_key=None)
    assert refused.value.extra == {"part": rule.part}
    assert not Task.objects.exists()


def test_a_dispatcher_is_missed_only_by_what_has_to_wait(
    away: dict[str, float], session: Session
) -> None:
    away["dispatch"] = 60
    replace_ports(free_miners=one_free_miner)
    acceptance.accept(make_request(), session=session, api_key=None)
    replace_ports(free_miners=no_free_miners)
    with pytest.raises(PartAway):
        acceptance.accept(make_request(), session=session, api_key=None)


@pytest.mark.parametrize("part", ["webhooks", "network_tasks"])
def test_what_no_task_waits_for_keeps_none_away(
    away: dict[str, float], session: Session, part: str
) -> None:
    away[part] = 3600
    acceptance.accept(make_request(), session=session, api_key=None)


def test_a_task_that_was_taken_before_is_the_same_task_still(
    away: dict[str, float], session: Session
) -> None:
    request = make_request(idempotency_key="order-7")
    task = acceptance.accept(request, session=session, api_key=None)
    away["validate"] = 60
    assert acceptance.accept(request, session=session, api_key=None) == task


@pytest.mark.parametrize("path", ["/api/v1/completions", "/v1/chat/completions", "/v1/completions"])
def test_every_face_refuses_in_its_own_words_and_says_when_to_come_back(
    away: dict[str, float], client: Client, session: Session, path: str
) -> None:
    away["validate"] = 60
    _, secret = make_key(session.owner)
    body = {"session_id": session.session_id, "prompt": "one two", "max_tokens": 4, "stream": True}
    if path.startswith("/v1"):
        body |= {
            "model": str(session.model_identifier),
            "messages": [{"role": "user", "content": "one two"}],
        }
        del body["messages" if path == "/v1/completions" else "prompt"]
    response = client.post(
        path, body, content_type="application/json", headers={"Authorization": f"Bearer {secret}"}
    )
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    told = json.loads(response.content)
    if path.startswith("/v1"):
        assert told["error"]["code"] == "part_away"
        assert told["error"]["type"] == "server_error"
    else:
        assert told["type"] == "urn:cortensor:problem:part_away"
        assert told["part"] == "validate"
        assert response["Content-Type"] == "application/problem+json"
