"""`/api/v1/network-tasks`."""

from typing import Any

import pytest
from django.test import Client

from chain.mirror import projections
from mining.models import NetworkJudgement
from sessions.models import ApiKey
from tests.mining.network.test_projections import a_round
from tests.mining.test_projections import MINER, OTHER

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/network-tasks"


@pytest.fixture
def get(redis_url: str) -> Any:
    _, secret = ApiKey.issue("test", MINER)
    client = Client(headers={"authorization": f"Bearer {secret}"})
    return client.get


@pytest.fixture
def judged() -> None:
    projections.apply(a_round())
    NetworkJudgement.objects.create(
        number=1,
        seed=5,
        domain="arithmetic",
        subdomain="addition",
        prompt="What is 2 + 2?",
        completions={MINER.lower(): "2 + 2 = 4."},
        accuracies_bps={MINER.lower(): 9_000},
        method="majority",
    )


def test_the_list_shows_tasks_with_what_their_answers_are_worth(get: Any, judged: None) -> None:
    [task] = get(ADDRESS).json()["network_tasks"]
    assert (task["number"], task["state"]) == (1, "ended")
    worths = {row["miner"].lower(): row["accuracy_bps"] for row in task["completers"]}
    assert worths == {MINER.lower(): 9_000, OTHER.lower(): 0}
    assert get(f"{ADDRESS}?state=created").json()["network_tasks"] == []


def test_one_task_shows_everybodys_part_and_what_the_validator_saw(get: Any, judged: None) -> None:
    task = get(f"{ADDRESS}/1").json()
    roles = {(part["miner"].lower(), part["role"]) for part in task["parts"]}
    assert (MINER.lower(), "creator") in roles
    assert (OTHER.lower(), "preparer") in roles
    assert task["judgement"]["prompt"] == "What is 2 + 2?"
    assert task["judgement"]["completions"][0]["text"] == "2 + 2 = 4."


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"{ADDRESS}/2", 404),
        (f"{ADDRESS}?state=lost", 400),
        (f"{ADDRESS}?limit=0", 400),
        (f"{ADDRESS}?offset=-1", 400),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(
    get: Any, address: str, status: int
) -> None:
    answer = get(address)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"


def test_without_a_key_nothing_is_told(redis_url: str) -> None:
    assert Client().get(ADDRESS).status_code == 401
