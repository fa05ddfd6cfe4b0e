"""The gateway to contents: what it serves, to which accounts, and how."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from chain import storage
from chain.protocol.digests import canonical_json
from sessions.intake import acceptance
from sessions.models import Session, Task
from tests.documentation import ROOT, blocks
from tests.sessions.factories import OWNER, STRANGER, make_key, make_request, make_session
from tests.sessions.ports import replace_ports

pytestmark = pytest.mark.django_db(transaction=True)

RESULT = canonical_json({"result": "12 + 7 = 19", "salt": "0x" + "5a" * 32, "session_id": 1})
REVEALED: dict[str, list[int]] = {}


def sessions_of_result(cid: str) -> list[int]:
    return REVEALED.get(cid, [])


@pytest.fixture
def session() -> Session:
    replace_ports(sessions_of_result=sessions_of_result)
    return make_session()


@pytest.fixture
def cid(session: Session) -> str:
    """The address of a result that was revealed."""
    REVEALED.clear()
    address = storage.put(RESULT)
    REVEALED[address] = [session.session_id]
    return address


def get(client: Client, cid: str, owner: str = "", **headers: str) -> HttpResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if owner:
        sent["Authorization"] = f"Bearer {make_key(owner)[1]}"
    return client.get(f"/ipfs/{cid}", headers=sent)


def assert_problem(response: HttpResponse, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert "immutable" not in response.get("Cache-Control", "")
    problem: dict[str, Any] = json.loads(response.content)
    return problem


def test_a_revealed_result_is_everybodys_and_inert(client: Client, cid: str) -> None:
    for response in (get(client, cid), client.get(f"/ipfs/{cid}", headers={"Accept": "text/html"})):
        assert (response.status_code, response.content) == (200, RESULT)
        assert response["Content-Type"] == "application/json"
        assert response["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response["ETag"] == f'"{cid}"'
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"].startswith("sandbox")
        assert response["Access-Control-Allow-Origin"] == "*"
        assert response["X-Ipfs-Path"] == f"/ipfs/{cid}"
        assert response["Content-Length"] == str(len(RESULT))
        assert "Set-Cookie" not in response.headers


def test_what_a_client_has_is_not_sent_again(client: Client, cid: str) -> None:
    for etag in (f'"{cid}"', f'W/"x", "{cid}"', "*"):
        response = get(client, cid, If_None_Match=etag)
        assert (response.status_code, response.content) == (304, b"")
        assert response["ETag"] == f'"{cid}"'
    assert get(client, cid, If_None_Match='"other"').status_code == 200


def test_a_head_has_the_length_and_no_body(client: Client, cid: str) -> None:
    response = client.head(f"/ipfs/{cid}")
    assert (response.status_code, response.content) == (200, b"")
    assert response["Content-Length"] == str(len(RESULT))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-3", 0, 4), ("bytes=5-", 5, None), ("bytes=-4", -4, None), ("bytes=2-9999", 2, None)],
)
def test_a_part_may_be_asked_for(
    client: Client, cid: str, asked: str, first: int, last: int | None
) -> None:
    response = get(client, cid, Range=asked)
    assert (response.status_code, response.content) == (206, RESULT[first:last])
    assert re.fullmatch(rf"bytes \d+-\d+/{len(RESULT)}", response["Content-Range"])


def test_a_part_that_is_not_there_is_a_416_and_nonsense_is_passed_over(
    client: Client, cid: str
) -> None:
    for asked in ("bytes=9999-", "bytes=-0", "bytes=5-2"):
        response = get(client, cid, Range=asked)
        assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{len(RESULT)}")
    for asked in ("bytes=-", "lines=0-3", "bytes=0-1,3-4", "bytes=a-b"):
        assert get(client, cid, Range=asked).content == RESULT
    assert get(client, cid, Range="bytes=0-3", If_Range='"other"').content == RESULT


def test_a_content_that_no_task_names_does_not_exist(client: Client, session: Session) -> None:
    stored = storage.put(canonical_json({"result": "a stranger's"}))
    for name in (stored, "bafkreigone", "Qm" + "a" * 44, "..", "x" * 200, "é"):
        assert_problem(get(client, name), 404)
        assert_problem(get(client, name, OWNER), 404)


def test_a_prompt_is_for_those_who_see_its_session(client: Client, session: Session) -> None:
    task = acceptance.accept(make_request(), session=session, api_key=None)
    assert_problem(get(client, task.prompt_cid), 404)
    assert_problem(get(client, task.prompt_cid, STRANGER), 404)
    shown = get(client, task.prompt_cid, OWNER)
    assert shown.json()["prompt"] == "two words"
    assert shown["Cache-Control"].startswith("private")
    assert "Authorization" in shown["Vary"]
    # What somebody submits on chain may name any content of the world.
    Task.objects.update(origin="chain")
    assert_problem(get(client, task.prompt_cid, OWNER), 404)


def test_results_are_the_owners_alone_where_the_operator_wants_it(
    client: Client, settings: Settings, cid: str
) -> None:
    settings.PUBLIC_RESULTS = False
    assert_problem(get(client, cid), 404)
    assert_problem(get(client, cid, STRANGER), 404)
    assert get(client, cid, OWNER).content == RESULT


@pytest.mark.parametrize("body", [b"<script>", b"[" * 100_000, b"{}", b'{"result": 5}', b"\xff"])
def test_a_miner_cannot_have_just_anything_served(
    client: Client, session: Session, body: bytes
) -> None:
    address = storage.put(body)
    REVEALED[address] = [session.session_id]
    assert b"script" not in get(client, address).content
    assert_problem(get(client, address), 502)


def test_an_envelope_is_served_as_it_is(client: Client, session: Session) -> None:
    sealed = canonical_json({"envelope": 1, "ciphertext": "…"})
    address = storage.put(sealed)
    REVEALED[address] = [session.session_id]
    assert get(client, address).content == sealed


def test_a_store_that_is_away_or_empty_is_a_504(
    client: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    REVEALED["b" + "a" * 58] = [session.session_id]
    cid = storage.put(RESULT)
    REVEALED[cid] = [session.session_id]

    def away(*_: Any, **__: Any) -> bytes:
        raise storage.StorageUnavailable("the node does not answer")

    monkeypatch.setattr(storage, "get", away)
    response = get(client, cid)
    assert_problem(response, 504)
    assert int(response["Retry-After"]) > 0


def test_a_content_that_is_lost_is_a_504(client: Client, cid: str, settings: Settings) -> None:
    for block in Path(settings.STORAGE_DIR).rglob("*"):
        if block.is_file():
            block.unlink()
    assert_problem(get(client, cid), 504)


def test_nothing_is_written(client: Client, cid: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        response = client.generic(method, f"/ipfs/{cid}", b"{}", "application/json")
        assert_problem(response, 405)
        assert response["Allow"] == "GET"


def test_a_stranger_is_counted_by_its_address(client: Client, settings: Settings, cid: str) -> None:
    settings.LIMITS = settings.LIMITS | {"visitor_requests_per_minute": 2}
    assert [get(client, cid).status_code for _ in range(3)] == [200, 200, 429]


def test_a_wrong_key_is_a_401(client: Client, cid: str) -> None:
    response = client.get(f"/ipfs/{cid}", headers={"Authorization": "Bearer cor_wrong"})
    assert_problem(response, 401)


def test_the_documented_lines_read_a_result_of_the_chain(server: str, cid: str) -> None:
    page = ROOT / "docs/clients.md"
    [code] = [text for _, text in blocks(page) if text.startswith("def text_of")]
    names: dict[str, Any] = {"json": json, "httpx": httpx}
    exec(code, names)
    text_of = names["text_of"]
    assert text_of(f"ipfs://{cid}", gateway=f"{server}/ipfs/") == "12 + 7 = 19"
    assert text_of(f"ipfs://{cid}/", gateway=f"{server}//ipfs/") == "12 + 7 = 19"
    assert text_of(RESULT.decode(), gateway=server) == "12 + 7 = 19"
