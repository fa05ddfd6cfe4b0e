"""Money waits for the chain's finality. Everything else follows new blocks at once."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from chain.following import finality
from chain.following.finality import Policy, confirmed_block, policy, unconfirmed_events
from chain.following.sync import Follower
from chain.rpc.client import Rpc
from sessions.models import Session
from tests.anvil import Chain
from tests.chain.following.test_sync import follow

pytestmark = pytest.mark.django_db


@pytest.fixture
def follower(chain: Chain) -> Follower:
    return Follower(Rpc(chain.url), chain.deployment)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The channels that sync has notified."""
    channels: list[str] = []
    monkeypatch.setattr("chain.following.sync.notify", channels.append)
    return channels


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", Policy(depth=0)),  # tests run on a development chain
        ("0", Policy(depth=0)),
        ("20", Policy(depth=20)),
        ("finalized", Policy(tag="finalized")),
        ("safe", Policy(tag="safe")),
    ],
)
def test_the_setting_names_a_depth_or_a_tag(
    chain: Chain, settings: Any, given: str, expected: Policy
) -> None:
    settings.CONFIRMATIONS = given
    assert policy() == expected


def test_other_chains_wait_unless_they_are_told_not_to(chain: Chain, settings: Any) -> None:
    settings.CONFIRMATIONS = ""
    settings.DEPLOYMENT_FILE.write_text(
        settings.DEPLOYMENT_FILE.read_text().replace("31337", "421614")
    )
    assert policy() == Policy(depth=finality.DEFAULT_DEPTH)


@pytest.mark.parametrize("given", ["latest", "-1", "1.5"])
def test_a_setting_that_means_nothing_is_refused(settings: Any, given: str) -> None:
    settings.CONFIRMATIONS = given
    with pytest.raises(ImproperlyConfigured, match=f"CONFIRMATIONS is '{given}'"):
        policy()


def test_without_blocks_nothing_is_confirmed() -> None:
    assert confirmed_block() == -1


def test_at_depth_0_all_that_is_stored_is_confirmed(
    chain: Chain, follower: Follower, settings: Any
) -> None:
    settings.CONFIRMATIONS = "0"
    chain.open_session()
    follow(follower)
    assert confirmed_block() == chain.w3.eth.block_number
    assert not unconfirmed_events().filter(name="SessionDeposited").exists()


def test_a_deposit_is_shown_at_once_and_confirmed_later(
    chain: Chain, follower: Follower, settings: Any, woken: list[str]
) -> None:
    settings.CONFIRMATIONS = "3"
    session_id = chain.open_session(deposit_wei=7)
    follow(follower)
    assert Session.objects.get().deposited_wei == 7
    [deposit] = unconfirmed_events().filter(name="SessionDeposited")
    assert deposit.args["sessionId"] == session_id
    chain.mine(2)
    follow(follower)
    assert unconfirmed_events().filter(name="SessionDeposited").exists()
    woken.clear()
    chain.mine()
    follow(follower)
    assert confirmed_block() == deposit.block_number
    assert not unconfirmed_events().filter(name="SessionDeposited").exists()
    assert woken == ["chain_events"]
    chain.mine()
    follow(follower)
    assert woken == ["chain_events"]  # that block has confirmed nothing


def test_the_chains_own_word_counts_where_it_is_asked_for(
    chain: Chain, follower: Follower, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finality, "ASK_EVERY_S", 0)
    settings.CONFIRMATIONS = "finalized"
    chain.open_session()
    follow(follower)
    final = int(chain.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16)
    assert confirmed_block() == final < chain.w3.eth.block_number
    assert unconfirmed_events().filter(name="SessionDeposited").exists()
    chain.rpc("anvil_mine", hex(100))
    follow(follower)
    assert not unconfirmed_events().filter(name="SessionDeposited").exists()
