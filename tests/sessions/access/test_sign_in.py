"""Sign-In with Ethereum: the account signs a message for this router, valid once."""

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from hypothesis import given
from hypothesis import strategies as st

from chain.deployed.contracts import Deployment
from sessions.access import sign_in
from sessions.access.errors import CredentialsRefused
from sessions.models import ApiKey, SpentNonce
from tests.sessions.access.conftest import CHAIN_ID
from tests.sessions.api_client import problem_of
from tests.sessions.factories import make_session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("network")]

DOMAIN = "testserver"


@pytest.fixture
def account() -> LocalAccount:
    made: LocalAccount = Account.create()
    return made


@pytest.fixture
def browser(settings: Any) -> Client:
    """A browser, for which Django checks CSRF as it does in earnest."""
    settings.ALLOWED_HOSTS = [DOMAIN]
    return Client(enforce_csrf_checks=True, headers={"Host": DOMAIN})


def iso(offset_s: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=offset_s)).isoformat()


def message(address: str, **changes: Any) -> str:
    values = {
        "domain": DOMAIN,
        "address": address,
        "statement": "Sign in to Cortensor.\n",
        "uri": f"http://{DOMAIN}/",
        "version": 1,
        "chain_id": CHAIN_ID,
        "nonce": sign_in.new_nonce(),
        "issued_at": iso(),
        "rest": "",
    } | changes
    return (
        "{domain} wants you to sign in with your Ethereum account:\n{address}\n\n{statement}\n"
        "URI: {uri}\nVersion: {version}\nChain ID: {chain_id}\nNonce: {nonce}\n"
        "Issued At: {issued_at}{rest}"
    ).format(**values)


def signed(account: LocalAccount, text: str) -> dict[str, str]:
    signature = account.sign_message(encode_defunct(text=text)).signature
    return {"message": text, "signature": "0x" + bytes(signature).hex()}


def judge(account: LocalAccount, text: str, signer: LocalAccount | None = None) -> Any:
    proof = signed(signer or account, text)
    return sign_in.sign_in(text, proof["signature"], domain=DOMAIN, chain_id=CHAIN_ID)


def enter(browser: Client, account: LocalAccount) -> str:
    """Sign in as a browser does; returns the CSRF token."""
    offered = browser.get("/api/v1/auth/nonce").json()
    assert (offered["domain"], offered["chain_id"]) == (DOMAIN, CHAIN_ID)
    proof = signed(account, message(account.address, nonce=offered["nonce"], uri=offered["uri"]))
    answer = browser.post("/api/v1/auth/sign-in", proof, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["account"] == account.address.lower()
    return str(answer.json()["csrf_token"])


def test_a_person_signs_in_sees_its_sessions_makes_a_key_and_signs_out(
    browser: Client, account: LocalAccount
) -> None:
    session = make_session(owner=account.address.lower())
    make_session()
    problem_of(browser.get("/api/v1/sessions"), 401)
    problem_of(browser.get("/api/v1/auth/session"), 401)
    token = {"X-CSRFToken": enter(browser, account)}

    [shown] = browser.get("/api/v1/sessions").json()["sessions"]
    assert shown["session_id"] == session.session_id
    made = browser.post(
        "/api/v1/keys", {"name": "mine"}, content_type="application/json", headers=token
    )
    key = ApiKey.find(made.json()["key"])
    assert key is not None
    assert key.owner == account.address.lower()

    assert browser.post("/api/v1/auth/sign-out", headers=token).status_code == 204
    problem_of(browser.get("/api/v1/sessions"), 401)


@pytest.mark.parametrize("token", [None, "", "x" * 64])
def test_a_cookie_alone_changes_nothing(
    browser: Client, account: LocalAccount, token: str | None
) -> None:
    session = make_session(owner=account.address.lower())
    enter(browser, account)
    headers = {} if token is None else {"X-CSRFToken": token}
    for path, body in (
        ("keys", {"name": "x"}),
        ("auth/sign-out", {}),
        (f"completions/{session.session_id}", {"prompt": "hi", "max_tokens": 8}),
    ):
        refused = browser.post(
            f"/api/v1/{path}", body, content_type="application/json", headers=headers
        )
        assert problem_of(refused, 403)["type"] == "urn:cortensor:problem:csrf_refused"
    assert not ApiKey.objects.exists()
    assert browser.get("/api/v1/auth/session").status_code == 200


def test_a_session_that_a_stranger_has_set_is_not_signed_in(
    browser: Client, account: LocalAccount
) -> None:
    enter(browser, account)
    planted = browser.cookies["sessionid"].value
    enter(browser, Account.create())
    assert browser.cookies["sessionid"].value != planted
    other = Client(headers={"Host": DOMAIN})
    other.cookies["sessionid"] = planted
    problem_of(other.get("/api/v1/auth/session"), 401)


def test_the_cookie_is_not_for_scripts_and_lasts_no_longer_than_the_message(
    browser: Client, account: LocalAccount
) -> None:
    text = message(account.address, rest=f"\nExpiration Time: {iso(120)}")
    answer = browser.post(
        "/api/v1/auth/sign-in", signed(account, text), content_type="application/json"
    )
    cookie = answer.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert 100 < int(cookie["max-age"]) <= 120


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"domain": "evil.example"}, "is for evil.example"),
        ({"uri": "http://evil.example/"}, "URI"),
        ({"uri": f"javascript://{DOMAIN}/"}, "URI"),
        ({"uri": f"http://{DOMAIN}@evil.example/"}, "URI"),
        ({"version": 2}, "Version"),
        ({"chain_id": 1}, "chain 1"),
        ({"issued_at": iso(10**6)}, "future"),
        ({"issued_at": iso(-3600)}, "too long ago"),
        ({"rest": f"\nExpiration Time: {iso(-1)}"}, "expired"),
        ({"rest": f"\nNot Before: {iso(10**6)}"}, "not valid yet"),
        ({"nonce": "abcdefgh12345678"}, "this router's"),
        ({"nonce": "0" * 66}, "this router's"),
        ({"nonce": sign_in.new_nonce(time.time() - 3600)}, "nonce has expired"),
        ({"issued_at": "2026-13-01T00:00:00Z"}, "not a time"),
        ({"issued_at": "yesterday"}, "form"),
        ({"statement": "two\nlines\n"}, "form"),
        ({"rest": "\nUnknown: x"}, "form"),
        ({"rest": "\n"}, "form"),
    ],
)
def test_a_message_that_is_not_for_here_and_now_is_refused(
    account: LocalAccount, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(CredentialsRefused, match=words):
        judge(account, message(account.address, **changes))
    assert not SpentNonce.objects.exists()


def test_every_optional_part_of_a_message_is_understood(account: LocalAccount) -> None:
    rest = f"\nExpiration Time: {iso(60)}\nNot Before: {iso(-5)}\nRequest ID: r-1"
    rest += "\nResources:\n- ipfs://bafy/x\n- https://example.com/y?z#w"
    for changes in ({"rest": rest}, {"statement": ""}, {"issued_at": iso()[:19] + ".123456789Z"}):
        assert judge(account, message(account.address, **changes)).address


def test_only_the_accounts_own_signature_counts(account: LocalAccount) -> None:
    with pytest.raises(CredentialsRefused, match="not the account's"):
        judge(account, message(account.address), signer=Account.create())
    with pytest.raises(CredentialsRefused, match="EIP-55"):
        judge(account, message(account.address.lower()))


def test_a_message_counts_once(account: LocalAccount) -> None:
    text = message(account.address)
    judge(account, text)
    with pytest.raises(CredentialsRefused, match="used before"):
        judge(account, text)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_with_the_same_nonce_one_gets_in(account: LocalAccount) -> None:
    text = message(account.address)
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def enter_once() -> None:
        try:
            barrier.wait()
            judge(account, text)
            outcomes.append("in")
        except CredentialsRefused:
            outcomes.append("out")
        finally:
            connection.close()

    threads = [threading.Thread(target=enter_once) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in"] + ["out"] * 5


def test_spent_nonces_are_forgotten_when_their_time_is_over(account: LocalAccount) -> None:
    judge(account, message(account.address))
    SpentNonce.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    judge(account, message(account.address))
    assert SpentNonce.objects.count() == 1


@pytest.mark.parametrize("signature", ["", "0x", "0x" + "0" * 130, "0x" + "f" * 130, "x" * 132])
def test_a_malformed_signature_is_refused(
    browser: Client, account: LocalAccount, signature: str
) -> None:
    body = {"message": message(account.address), "signature": signature}
    answer = browser.post("/api/v1/auth/sign-in", body, content_type="application/json")
    assert answer.status_code in (400, 401)
    assert answer["Content-Type"] == "application/problem+json"


def test_a_form_of_another_site_cannot_sign_a_browser_in(
    browser: Client, account: LocalAccount
) -> None:
    answer = browser.post("/api/v1/auth/sign-in", signed(account, message(account.address)))
    problem_of(answer, 415)


@given(st.text(max_size=300))
def test_no_text_is_a_failure(text: str) -> None:
    with pytest.raises(CredentialsRefused):
        sign_in.parse(text)


@given(st.data())
def test_no_change_of_a_message_keeps_its_signature(data: st.DataObject) -> None:
    account = Account.from_key("0x" + "11" * 32)
    text = message(account.address)
    proof = signed(account, text)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    changed = text[:place] + letter + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(CredentialsRefused):
        sign_in.sign_in(changed, proof["signature"], domain=DOMAIN, chain_id=CHAIN_ID)


def test_a_long_message_is_refused_unread(
    network: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = message(Account.create().address, statement="x" * sign_in.MAX_MESSAGE_CHARACTERS)
    monkeypatch.setattr(sign_in, "_MESSAGE", None)
    with pytest.raises(CredentialsRefused):
        sign_in.parse(text)


def test_nonces_are_letters_and_digits_as_the_standard_wants() -> None:
    seen = {sign_in.new_nonce() for _ in range(100)}
    assert len(seen) == 100
    assert all(re.fullmatch("[a-zA-Z0-9]{8,}", nonce) for nonce in seen)


def test_whoever_fails_too_often_has_to_wait(
    browser: Client, account: LocalAccount, limits: Callable[..., None]
) -> None:
    limits(failures_per_minute=2)
    body = signed(Account.create(), message(account.address))
    for status in (401, 401, 429):
        answer = browser.post("/api/v1/auth/sign-in", body, content_type="application/json")
        problem_of(answer, status)
    assert int(answer["Retry-After"]) >= 1
    enter(browser, account)
