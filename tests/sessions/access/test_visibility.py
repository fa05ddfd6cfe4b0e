"""Only a session's owner, and accounts that it names on chain, can see the session."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from cortensor_site.asgi import application
from sessions.access.visibility import MAX_USERS, users_in
from sessions.models import Session
from tests.serving import serve
from tests.sessions.api_client import Api, problem_of
from tests.sessions.factories import STRANGER, make_key, make_session, make_task
from tests.sessions.mirror_rows import apply, event

FRIEND = "0x" + "Fe" * 20


def describe(session: Session, metadata: str) -> None:
    described = {"name": "s", "sla": 0, "modelIdentifier": 1, "reservePeriod": 0}
    args = {"sessionId": session.session_id, "metadata": metadata, "maxTaskExecutionCount": 9}
    apply(event("Session", "SessionDescribed", described | args))


@pytest.mark.django_db(transaction=True)
def test_users_that_the_owner_names_on_chain_see_and_use_the_session(api: Api) -> None:
    session = make_session()
    _, friend = make_key(FRIEND)
    _, stranger = make_key(STRANGER)
    path = f"sessions/{session.session_id}"
    problem_of(api("GET", path, key=friend), 404)

    describe(session, json.dumps({"users": [FRIEND]}))
    assert api("GET", path, key=friend).status_code == 200
    assert len(api("GET", "sessions", key=friend).json()["sessions"]) == 1
    Session.objects.filter(pk=session.pk).update(deposited_wei=0)
    body = {"prompt": "hi", "session_id": session.session_id, "max_tokens": 8}
    problem_of(api("POST", "completions", body, friend), 402)
    problem_of(api("GET", path, key=stranger), 404)
    problem_of(api("POST", "completions", body, stranger), 404)

    describe(session, json.dumps({"users": []}))
    problem_of(api("GET", path, key=friend), 404)


@pytest.mark.django_db(transaction=True)
def test_a_socket_asks_of_a_key_what_the_rest_does() -> None:
    task = make_task(make_session())
    path = f"/ws/tasks/{task.session_id}/{task.task_id}"
    with serve(application) as url:
        for terms, status in (
            ({"session_id": task.session_id + 1}, 404),
            ({"scopes": ["submit"]}, 403),
        ):
            headers = {"Authorization": f"Bearer {make_key(**terms)[1]}"}
            address = url.replace("http", "ws", 1) + path
            with connect(address, additional_headers=headers) as opened:
                refusal = json.loads(opened.recv(timeout=10))
            assert (refusal["type"], refusal["error"]["status"]) == ("error", status)


@pytest.mark.parametrize(
    ("metadata", "users"),
    [
        ('{"users": ["' + FRIEND + '", "' + FRIEND.lower() + '"]}', [FRIEND.lower()]),
        ('{"users": ["0x12", 7, null, {}, "' + STRANGER + '"]}', [STRANGER]),
        *((text, []) for text in ("", "plain text", "[]", "7", '{"users": "0x"}', '{"users": {}}')),
        ("[" * 60_000, []),
        ('{"users": ["' + STRANGER + '"]}' + " " * 70_000, []),
    ],
)
def test_whatever_the_metadata_is_it_names_accounts_or_nobody(
    metadata: str, users: list[str]
) -> None:
    assert users_in(metadata) == users


def test_too_many_users_are_cut() -> None:
    addresses = [f"0x{number:040x}" for number in range(MAX_USERS + 5)]
    assert users_in(json.dumps({"users": addresses})) == addresses[:MAX_USERS]


@given(st.text(max_size=200))
def test_no_text_stops_the_mirror(metadata: str) -> None:
    assert users_in(metadata) == []


@pytest.mark.django_db
def test_a_row_and_a_query_see_the_same() -> None:
    session = make_session()
    describe(session, json.dumps({"users": [FRIEND]}))
    session.refresh_from_db()
    for address in (session.owner, FRIEND, FRIEND.lower(), STRANGER):
        listed = Session.objects.visible_to(address).filter(pk=session.pk).exists()
        assert session.is_visible_to(address) == listed == (address != STRANGER)
