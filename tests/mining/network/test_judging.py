"""The validator judges answers by agreement, and by its own run if that does not decide."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from chain import storage
from chain.deployed import keys as chain_keys
from chain.deployed.contracts import Deployment
from chain.models import Operation
from chain.protocol.messages import SigningDomain, recover
from chain.protocol.network_messages import NetworkVerdict
from mining import catalog, keys
from mining.judging import rerun
from mining.models import NetworkJudgement
from mining.network import judging
from mining.network.chain_state import Revealed
from mining.network.decisions import Completer, Session, State
from mining.node.config import SHIPPED_MODEL
from tests.mining.conftest import CHAIN_ID, make_account

pytestmark = pytest.mark.django_db
COGNITIVE = "0x" + "C0" * 20
SEED = 2**200 + 1
RIGHT, WRONG = "23 + 70 = 93.", "23 + 70 = 39."


@pytest.fixture(autouse=True)
def validator(deployment: Deployment, settings: Any) -> Iterator[str]:
    deployment.addresses["Cognitive"] = COGNITIVE
    deployment.save(settings.DEPLOYMENT_FILE)
    settings.KEYSTORE_PASSWORD_FILE.parent.mkdir(parents=True, exist_ok=True)
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    settings.MODELS = {1: str(SHIPPED_MODEL)}
    for cache in (keys.validator, rerun.engine_of):
        cache.cache_clear()
    catalog.forget()
    yield chain_keys.load_or_create(settings.KEYSTORE_DIR / "validator.json", "secret").address
    keys.validator.cache_clear()
    catalog.forget()


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Judge a session with these reveals. Return the accuracies in the completers' order."""

    def judged(*completions: str | None, state: State = State.COMMIT) -> list[int]:
        nodes = [make_account().address.lower() for _ in completions]
        session = Session(
            number=4,
            seed=SEED,
            state=state,
            deadline=int(time.time()) + 60,
            domain="arithmetic",
            subdomain="addition",
            preparers=(),
            turn=0,
            prompt="What is 23 + 70?",
            completers=[Completer(node, True, True) for node in nodes],
        )
        monkeypatch.setattr(
            judging, "read_session", lambda *_: (session, Revealed(nodes, list(completions)))
        )
        judging.judge_session(4)
        operation = Operation.objects.filter(kind="judge_network_task").first()
        return list(operation.payload["accuracies_bps"]) if operation else []

    return judged


def test_the_majority_is_paid_and_the_silent_and_the_wrong_are_not(
    judge: Any, validator: str
) -> None:
    assert judge(RIGHT, WRONG, RIGHT, None) == [10_000, 0, 10_000, 0]
    assert NetworkJudgement.objects.get().method == "majority"
    payload = Operation.objects.get().payload
    verdict = NetworkVerdict(4, SEED, tuple(payload["accuracies_bps"]))
    signature = bytes.fromhex(payload["signature"][2:])
    assert recover(verdict, SigningDomain(CHAIN_ID, COGNITIVE), signature) == validator


@pytest.mark.parametrize(
    ("completions", "worths"),
    [((RIGHT, WRONG), [10_000, 0]), ((WRONG,), [0]), ((RIGHT,), [10_000])],
)
def test_where_few_agree_the_validators_own_run_decides(
    judge: Any, completions: tuple[str, ...], worths: list[int]
) -> None:
    assert judge(*completions) == worths
    judgement = NetworkJudgement.objects.get()
    assert (judgement.method, judgement.reference) == ("rerun", RIGHT)


def test_an_answer_may_be_kept_by_its_address_if_it_can_be_had(judge: Any) -> None:
    kept = "ipfs://" + storage.put(RIGHT.encode())
    lost = "ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    assert judge(RIGHT, kept, lost) == [10_000, 10_000, 0]


def test_a_session_in_another_stage_is_left_alone(judge: Any) -> None:
    assert judge(RIGHT, RIGHT, state=State.END) == []
    assert judge(RIGHT, RIGHT, state=State.PRECOMMIT) == []


def test_what_no_database_takes_in_a_text_does_not_stop_the_verdict(judge: Any) -> None:
    assert judge("a\x00b", "a\x00b") == [10_000, 10_000]
