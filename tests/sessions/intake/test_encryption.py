"""Sessions with encryption: what the router stores of their tasks reveals nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.db import connection
from django.utils import timezone

from chain import storage
from chain.deployed.contracts import Deployment
from chain.models import Operation
from chain.protocol.digests import canonical_json
from chain.protocol.envelopes import (
    Context,
    Role,
    encryption_key,
    is_envelope,
    public_key,
    read_public_key,
    recipients,
    seal,
    unseal,
)
from sessions.errors import (
    EncryptionUnavailable,
    EncryptionUnusable,
    IdempotencyKeyTaken,
    InsufficientBalance,
    InvalidField,
    StorageDown,
)
from sessions.intake import acceptance, encryption
from sessions.intake.prompts import Prompt, prompt_of
from sessions.models import OnChainTask, Session, SessionLane, Task, TaskStatus
from tests.sessions.factories import make_key, make_request, make_session
from tests.sessions.news import news

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN_ID = 31337
CLIENT = encryption_key(b"\x07" * 32)
METADATA = json.dumps({"encryption": {"public_key": "0x" + public_key(CLIENT).hex()}})
SECRET, STOP = "xyzzy plugh", "frobozz"


@pytest.fixture(autouse=True)
def keystores(settings: Any, tmp_path: Path) -> Path:
    settings.DEPLOYMENT_FILE = tmp_path / "deployment.json"
    Deployment(CHAIN_ID, 0, {}).save(settings.DEPLOYMENT_FILE)
    settings.KEYSTORE_DIR = tmp_path / "keys"
    settings.KEYSTORE_DIR.mkdir()
    settings.KEYSTORE_PASSWORD_FILE = settings.KEYSTORE_DIR / "password"
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    return tmp_path / "keys"


@pytest.fixture
def session() -> Session:
    return make_session(metadata=METADATA)


def accepted(session: Session, **values: Any) -> Task:
    request = make_request(SECRET, stop=(STOP,), **values)
    task = acceptance.accept(request, session=session, api_key=None)
    task.refresh_from_db()
    return task


def at_rest(settings: Any) -> Iterator[str]:
    """All that the router keeps: its blocks and its rows."""
    for path in Path(settings.STORAGE_DIR).rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode(errors="replace")
    for model in (Task, OnChainTask, Operation):
        yield serializers.serialize("json", model.objects.all())


# ── who asks ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("metadata", ["", "a chat", '{"purpose": "chat"}', "{", "[1]"])
def test_a_session_that_says_nothing_of_encryption_is_served_in_clear(metadata: str) -> None:
    task = accepted(make_session(metadata=metadata))
    assert not task.encrypted
    assert json.loads(storage.get(task.prompt_cid)) == {"prompt": SECRET, "stop": [STOP]}


@pytest.mark.parametrize(
    "metadata",
    [
        '{"encryption": true}',
        '{"encryption": {}}',
        '{"encryption": {"public_key": 7}}',
        '{"encryption": {"public_key": "0x00"}}',
        '{"encryption": {"public_key": "0x' + "00" * 32 + '"}}',
        '{"encryption": {"public_key": "0x' + "ab" * 32 + '"}',  # a brace is missing
    ],
)
def test_a_wish_that_cannot_be_followed_is_refused_and_not_ignored(
    metadata: str, settings: Any
) -> None:
    with pytest.raises(EncryptionUnusable, match="metadata") as refusal:
        accepted(make_session(metadata=metadata))
    assert (refusal.value.status, refusal.value.field) == (409, "session_id")
    assert not any(SECRET in kept for kept in at_rest(settings))


def test_without_a_key_of_its_own_the_router_refuses(session: Session, keystores: Path) -> None:
    (keystores / "password").unlink()
    with pytest.raises(EncryptionUnavailable) as refusal:
        accepted(session)
    assert refusal.value.status == 503
    assert Task.objects.count() == 0


def test_no_row_is_locked_while_an_envelope_is_stored(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, right = list[bool](), storage.put

    def watch(content: bytes) -> str:
        seen.append(connection.in_atomic_block)
        return right(content)

    monkeypatch.setattr(storage, "put", watch)
    tasks = acceptance.accept_all([make_request(SECRET)] * 2, session=session, api_key=None)
    assert seen == [False, False]
    assert [prompt_of(task).text for task in tasks] == [SECRET, SECRET]


def test_who_cannot_pay_uses_up_no_numbers(session: Session) -> None:
    Session.objects.update(deposited_wei=0)
    session.refresh_from_db()
    with pytest.raises(InsufficientBalance):
        accepted(session)
    assert not SessionLane.objects.exists()


# ── what is kept ─────────────────────────────────────────────────────────────


def test_nothing_of_the_prompt_is_at_rest_in_clear(session: Session, settings: Any) -> None:
    task = accepted(session)
    assert task.encrypted
    kept = list(at_rest(settings))
    assert any(task.prompt_cid in text for text in kept)
    assert not any(word in text for text in kept for word in (*SECRET.split(), STOP))


def test_client_and_router_can_read_the_prompt(session: Session) -> None:
    task = accepted(session)
    envelope = storage.get(task.prompt_cid)
    context = Context(CHAIN_ID, session.session_id, task.task_id, Role.PROMPT)
    assert json.loads(unseal(envelope, context, CLIENT)) == {"prompt": SECRET, "stop": [STOP]}
    assert prompt_of(task) == Prompt(SECRET, (STOP,), envelope)
    assert recipients(envelope) == [public_key(CLIENT), encryption.public_key()]


def test_the_routers_key_outlives_the_process(keystores: Path) -> None:
    before = encryption.public_key()
    encryption._load.cache_clear()
    assert encryption.public_key() == before
    assert (keystores / encryption.KEYSTORE).stat().st_mode & 0o077 == 0


def test_a_guessed_prompt_cannot_be_confirmed_from_the_database(session: Session) -> None:
    task = accepted(session, idempotency_key="a")
    assert task.request_hash
    assert task.request_hash != make_request(SECRET, stop=(STOP,), idempotency_key="a").hash


def test_a_repeated_request_is_the_same_task_and_another_is_refused(session: Session) -> None:
    task = accepted(session, idempotency_key="a")
    assert accepted(session, idempotency_key="a") == task
    request = make_request(SECRET, stop=(STOP,), idempotency_key="a", max_tokens=9)
    with pytest.raises(IdempotencyKeyTaken):
        acceptance.accept(request, session=session, api_key=None)


def test_a_template_would_stand_on_chain_and_is_refused(session: Session) -> None:
    with pytest.raises(InvalidField, match="in clear") as refusal:
        accepted(session, prompt_template="You are {prompt}")
    assert refusal.value.field == "prompt_template"


# ── what clients submit on chain ─────────────────────────────────────────────


def submitted(session: Session, task_data: str) -> Task:
    OnChainTask.objects.create(
        session_id=session.session_id,
        task_id=0,
        digest="0x" + "34" * 32,
        task_data=task_data,
        llm_params=["8"],
        request_params=["5"],
        max_input_tokens=100,
        reserved_wei=500,
        created_at=timezone.now(),
    )
    news()
    return Task.objects.get()


def sealed(session: Session, task_id: int = 0) -> str:
    """The address of a prompt that its client has sealed for itself and the router."""
    content = make_request(SECRET, stop=(STOP,)).content
    context = Context(CHAIN_ID, session.session_id, task_id, Role.PROMPT)
    keys = [public_key(CLIENT), encryption.public_key()]
    return storage.address(storage.put(seal(content, context, keys)))


def test_an_envelope_that_a_client_submits_is_served_encrypted(
    session: Session, settings: Any
) -> None:
    task = submitted(session, sealed(session))
    assert (task.status, task.encrypted, task.stop) == (TaskStatus.QUEUED, True, [])
    assert prompt_of(task).text == SECRET
    assert not any(STOP in text for text in at_rest(settings))


def test_an_envelope_is_served_encrypted_even_if_the_session_does_not_ask() -> None:
    session = make_session()
    assert submitted(session, sealed(session)).encrypted


def test_an_envelope_of_another_task_is_not_served(session: Session) -> None:
    task = submitted(session, sealed(session, task_id=1))
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "prompt_unreadable")
    assert "task_id" in task.outcome_message


def test_an_envelope_for_a_key_that_is_none_is_not_served(session: Session) -> None:
    """No miner could seal a result for it, and each would seem to be late."""
    cid = sealed(session).removeprefix("ipfs://")
    members = json.loads(storage.get(cid))
    members["recipients"][0]["public_key"] = "0x" + "00" * 32
    task = submitted(session, storage.address(storage.put(canonical_json(members))))
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "prompt_unreadable")


@pytest.mark.parametrize("inline", [True, False])
def test_a_clear_prompt_is_not_served_where_the_session_asks(
    session: Session, inline: bool
) -> None:
    content = make_request(SECRET).content
    task_data = SECRET if inline else storage.address(storage.put(content))
    task = submitted(session, task_data)
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "prompt_not_encrypted")


# ── a store that does not answer ─────────────────────────────────────────────


def test_a_store_that_is_down_refuses_and_reserves_nothing(session: Session, settings: Any) -> None:
    settings.IPFS_API_URL = "http://127.0.0.1:9"
    for each in (session, make_session()):
        with pytest.raises(StorageDown) as refusal:
            accepted(each)
        assert refusal.value.status == 503
        assert "127.0.0.1" not in refusal.value.detail
    assert Task.objects.count() == 0


def test_a_task_on_chain_waits_for_a_store_that_is_down(settings: Any) -> None:
    session = make_session()
    address = storage.address(storage.put(make_request("hello you").content))
    settings.IPFS_API_URL = "http://127.0.0.1:9"
    with pytest.raises(Task.DoesNotExist):
        submitted(session, address)
    settings.IPFS_API_URL = ""
    news(after_s=2)
    assert Task.objects.get().status == TaskStatus.QUEUED


# ── what clients are told ────────────────────────────────────────────────────


def test_clients_are_told_the_routers_key_and_what_is_encrypted(
    session: Session, client: Any
) -> None:
    _, secret = make_key()
    headers = {"Authorization": f"Bearer {secret}"}
    info = client.get("/api/v1/info", headers=headers).json()
    assert read_public_key(info["encryption_key"]) == encryption.public_key()
    task = accepted(session)
    path = f"/api/v1/tasks/{session.session_id}/{task.task_id}"
    shown = client.get(path, headers=headers).json()
    assert (shown["encrypted"], shown["stop"]) == (True, [])
    assert is_envelope(storage.get(shown["prompt_cid"]))


def test_a_router_without_a_key_says_so(client: Any, keystores: Path) -> None:
    (keystores / "password").unlink()
    _, secret = make_key()
    info = client.get("/api/v1/info", headers={"Authorization": f"Bearer {secret}"}).json()
    assert info["encryption_key"] is None
