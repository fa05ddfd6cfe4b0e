"""`manage.py rebuild_mirror` rebuilds the mirror, or names what is wrong with it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from chain.following.sync import Follower
from chain.models import Block, Event
from chain.rpc.client import Rpc
from sessions.models import OnChainTask, Session, SessionRouter
from tests.anvil import Chain
from tests.chain.following.test_sync import events, follow, submit
from tests.chain.mirror_rows import mirror

pytestmark = pytest.mark.django_db


@pytest.fixture
def session_id(chain: Chain) -> int:
    """A session with two tasks, which the mirror has."""
    session_id = chain.open_session(deposit_wei=10**18)
    for text in ("one", "two"):
        submit(chain, session_id, text)
    follow(Follower(Rpc(chain.url), chain.deployment))
    return session_id


def rebuild_mirror(*arguments: str) -> str:
    out = StringIO()
    call_command("rebuild_mirror", *arguments, stdout=out)
    return out.getvalue()


def failing_rebuild_mirror(*arguments: str) -> str:
    """What it says, and says last, when its exit status is 1."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("rebuild_mirror", *arguments, stdout=out)
    assert caught.value.returncode == 1
    return f"{out.getvalue()}{caught.value}"


def tamper(session_id: int) -> None:
    Session.objects.filter(pk=session_id).update(deposited_wei=1, owner="0x0")
    OnChainTask.objects.filter(task_data="one").delete()
    SessionRouter.objects.create(session_id=99, index=5, address="0xab")


def test_it_mends_from_the_stored_events(session_id: int) -> None:
    right, stored = mirror(), events()
    tamper(session_id)
    assert rebuild_mirror() == f"rebuilt from {Event.objects.count():,} events\n"
    assert mirror() == right
    assert events() == stored


def test_it_mends_from_the_chain_when_the_events_are_wrong_too(session_id: int) -> None:
    right, stored = mirror(), events()
    tamper(session_id)
    Event.objects.filter(name="TaskReserved").delete()
    assert "events of the chain" in rebuild_mirror("--from-chain")
    assert mirror() == right
    assert events() == stored


@pytest.mark.parametrize("source", [[], ["--from-chain"]])
def test_a_check_of_a_right_mirror_finds_nothing(session_id: int, source: list[str]) -> None:
    before = mirror(), events()
    assert rebuild_mirror("--check", *source) == "no difference\n"
    assert (mirror(), events()) == before


@pytest.mark.parametrize("source", [[], ["--from-chain"]])
def test_a_check_names_each_difference_and_mends_none(session_id: int, source: list[str]) -> None:
    tamper(session_id)
    before = mirror(), events()
    lines = failing_rebuild_mirror("--check", *source).splitlines()
    [session] = [line for line in lines if line.startswith("Session ")]
    assert session.startswith(f"Session session_id={session_id}: owner is '0x0', but should be '0x")
    assert "; deposited_wei is 1, but should be 1000000000000000000" in session
    assert f"OnChainTask session_id={session_id}, task_id=0: is missing" in lines
    assert "SessionRouter session_id=99, index=5: is stored, but should not exist" in lines
    assert lines[-1] == "3 differences"
    assert (mirror(), events()) == before


def test_a_check_against_the_chain_finds_events_that_are_wrong(session_id: int) -> None:
    event = Event.objects.get(name="SessionDeposited")
    Event.objects.filter(pk=event.pk).update(args=event.args | {"amount": 5})
    rebuild_mirror()
    assert rebuild_mirror("--check") == "no difference\n"
    found = failing_rebuild_mirror("--check", "--from-chain")
    assert f"Event block_hash={event.block_hash}, log_index={event.log_index}: args is" in found
    assert f"Session session_id={session_id}: deposited_wei is 5" in found


def test_a_check_finds_a_cursor_that_the_chain_has_not(session_id: int) -> None:
    cursor = Block.objects.order_by("-number")[0]
    Block.objects.filter(pk=cursor.pk).update(hash="0x" + "ab" * 32)
    assert f"Block {cursor.number}: 0xabab" in failing_rebuild_mirror("--check", "--from-chain")


def test_nobody_home_changes_nothing(session_id: int, settings: object) -> None:
    before = mirror(), events()
    settings.RPC_URLS = ["http://127.0.0.1:1"]  # type: ignore[attr-defined]
    assert "no usable answer" in failing_rebuild_mirror("--from-chain")
    assert (mirror(), events()) == before
