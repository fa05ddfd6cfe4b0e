"""A node in a process of its own, as the router's collector and dispatcher see it."""

from typing import Any

import pytest
import redis
from django.utils import timezone

from mining.assignment.candidates import online_miners
from mining.models import MinerPresence, Node, NodeState
from mining.node.protocol.names import INFER
from mining.reports import collector as reports
from mining.reports.collector import Collector
from tests.node.bench import new_job
from tests.node.router import Router, router, servers

__all__ = ["router", "servers"]

pytestmark = pytest.mark.django_db


def test_a_node_is_chosen_while_it_beats_and_not_once_it_drains(
    router: Router, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "LOOK_FOR_MINERS_EVERY_S", 0)
    address = router.address.lower()
    Node.objects.create(pk=address, state=NodeState.EPHEMERAL)
    with redis.Redis.from_url(servers, protocol=2) as client:
        collector = Collector(client)

        def presence() -> MinerPresence:
            collector.collect(50)
            return MinerPresence.objects.get(pk=address)

        router.start()
        router.until(lambda: collector.collect(50) and presence().last_seen_at)
        (miner,) = online_miners(1, timezone.now())
        assert miner.candidate.address == address
        assert (miner.candidate.speed or 0) > 0
        assert (miner.free_slots, miner.can_decrypt, miner.canonical) == (2, True, True)

        job: dict[str, Any] = new_job(max_tokens=480)
        router.send(INFER, "inference", job=job)
        router.until(lambda: router.stream(job))
        assert router.process is not None
        router.process.terminate()
        router.until(lambda: presence().draining)
        assert online_miners(1, timezone.now()) == []
        assert router.process.wait(20) == 0
