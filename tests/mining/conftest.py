"""Rows and signatures for the tests of mining."""

import itertools
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.utils import timezone
from eth_account import Account
from eth_account.signers.local import LocalAccount

from chain.deployed import contracts
from chain.deployed.contracts import Deployment
from chain.protocol.messages import Heartbeat, SigningDomain, sign
from mining import catalog
from mining.models import MinerPresence, MinerResult, Node, NodeState
from mining.node.protocol.reports import HeartbeatReport, NodeStatus
from sessions import ports
from sessions.models import OnChainStatus, OnChainTask, Session, SessionNode, Task, TaskOrigin
from tests.node import tiny_model
from tests.sessions.ports import replace_ports, router_address

CHAIN_ID = 31337
QUEUE = "0x" + "51" * 20
MODEL = 1
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def deployment(settings: Any, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment that provides addresses for signing domains. No contract exists."""
    names = ("Roles", "CortensorToken", "NodePool", "SessionPayment", "SessionQueue", "Session")
    deployment = Deployment(
        chain_id=CHAIN_ID,
        start_block=0,
        addresses={name: "0x" + f"{0x50 + n:02x}" * 20 for n, name in enumerate(names)}
        | {"SessionQueue": QUEUE},
    )
    settings.DEPLOYMENT_FILE = tmp_path / "deployment.json"
    settings.STORAGE_DIR = tmp_path / "blocks"
    settings.KEYSTORE_DIR = tmp_path / "keys"
    settings.KEYSTORE_PASSWORD_FILE = tmp_path / "keys/password"
    deployment.save(settings.DEPLOYMENT_FILE)
    before = ports.registered()
    replace_ports(router_address=router_address)
    yield deployment
    ports.register(lambda: before)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights."""
    return tiny_model.write(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def model(settings: Any, model_path: Path) -> Iterator[Path]:
    """The file of the model that has the identifier 1."""
    settings.MODELS = {MODEL: str(model_path)}
    catalog.forget()
    yield model_path
    catalog.forget()


@pytest.fixture
def router_redis(redis_url: str) -> Iterator["redis.Redis"]:
    """The run's Redis, with the router's access: empty and without miners' users."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
        for user in client.acl_users():
            if user != "default":
                client.acl_deluser(user)


def make_account() -> LocalAccount:
    """Create an account for a miner. Each call returns another one."""
    account: LocalAccount = Account.from_key(next(_numbers).to_bytes(32, "big"))
    return account


def heartbeat(
    account: LocalAccount, *, signer: LocalAccount | None = None, **changes: Any
) -> HeartbeatReport:
    """Make a heartbeat as a node's software sends it, later than the one before."""
    values = {
        "sent_at_ms": int(time.time() * 1000) + next(_numbers),
        "slots": 4,
        "in_flight": 0,
        "draining": False,
        "models": [MODEL],
        "loaded": {MODEL: 9.5},
        "canonical": True,
        "software": "cortensor-node/0",
        "encryption_key": "0x09" + "00" * 31,
    }
    text = json.dumps(NodeStatus(**{**values, **changes}).to_json())
    network = contracts.deployment()
    domain = SigningDomain(network.chain_id, network.addresses["NodePool"])
    signature = sign(Heartbeat(account.address, text), domain, (signer or account).key)
    return HeartbeatReport(status=text, signature=signature)


def make_session(**values: Any) -> Session:
    number = next(_numbers)
    row = {
        "session_id": number,
        "sid": f"0x{number:064x}",
        "owner": "0x" + "0c" * 20,
        "redundancy": 3,
        "model_identifier": MODEL,
    }
    return Session.objects.create(**row | values)


def make_task(session: Session | None = None, **values: Any) -> Task:
    session = session or make_session()
    number = next(_numbers)
    row = {
        "session_id": session.session_id,
        "task_id": 1_000_000 + number,
        "task_digest": f"0x{number:064x}",
        "origin": TaskOrigin.REST,
        "task_data": "What is 12 + 13?",
        "inline": True,
        "max_tokens": 32,
        "timeout_s": 60,
        "max_input_tokens": 100,
        "redundancy": session.redundancy,
        "model_identifier": session.model_identifier,
    }
    return Task.objects.create(**row | values)


def make_miner(
    address: str | None = None,
    *,
    state: NodeState = NodeState.EPHEMERAL,
    reputation: int = 0,
    seen_ago_s: float = 0,
    **values: Any,
) -> str:
    """Create a miner that is online and free. Return its address in lower case."""
    address = (address or str(make_account().address)).lower()
    Node.objects.create(address=address, state=state, reputation=reputation)
    row = {
        "last_seen_at": timezone.now() - timedelta(seconds=seen_ago_s),
        "slots": 2,
        "model_identifiers": [MODEL],
        "loaded": {str(MODEL): 0.0},
    }
    MinerPresence.objects.create(address=address, **row | values)
    return address


def hire(session: Session, miner: str, *, released: bool = False) -> SessionNode:
    """Add a miner to a session's own miners, as the mirror does."""
    return SessionNode.objects.create(
        node_id=f"0x{next(_numbers):064x}",
        address=miner,
        session_id=session.session_id,
        assigned_at=timezone.now(),
        released=released,
    )


def mirror(task: Task, status: OnChainStatus, **times: datetime) -> OnChainTask:
    """Create the mirror's rows of a task and its miners, to match the assignments."""
    row, _ = OnChainTask.objects.update_or_create(
        session_id=task.session_id,
        task_id=task.task_id,
        defaults={"status": status, "created_at": task.created_at, **times},
    )
    for assignment in task.assignments.all():
        MinerResult.objects.update_or_create(
            session_id=task.session_id,
            task_id=task.task_id,
            miner=assignment.miner,
            defaults={
                "assigned_at": times.get("assigned_at") or row.assigned_at,
                "acked_at": assignment.acked_at,
                "precommit_at": assignment.precommit_at,
            },
        )
    return row


def later(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)
