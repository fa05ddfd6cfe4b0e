"""Metrics that are read from the database on request, with one query each.

They cover the queue, the stages of tasks, money, gas and the chain.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chain.models import Block, Fault, GasTotal, Operation, OperationStatus
from cortensor_site.web.health import components
from sessions import ports
from sessions.models import WEI_PER_COR, Payment, Session, Task, TaskStatus

FAULTS_OF = timedelta(minutes=5)
"""Faults of this period are counted. Failing work is tried every minute, so it is included."""
KEPT_S = 5.0
"""The time for which a result is cached, so that many scrapers cost no more than one."""
MONEY_KEPT_S = 60.0
"""The same for sums of money, which read all sessions and payments."""
WORKING = (TaskStatus.ASSIGNED, TaskStatus.ACKED)


class NetworkCollector(Collector):
    """Collects the state of the network from the database."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._metrics: list[Metric] = []
        self._money_read_at = float("-inf")
        self._money: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering the collector does not query the database."""
        return []

    def collect(self) -> Iterable[Metric]:
        if time.monotonic() - self._read_at > KEPT_S:
            self._metrics = [*_tasks(), *_chain(), *_parts()]
            self._read_at = time.monotonic()
        if time.monotonic() - self._money_read_at > MONEY_KEPT_S:
            self._money = list(_money())
            self._money_read_at = time.monotonic()
        return [*self._metrics, *self._money]


def _tasks() -> Iterator[Metric]:
    rows = dict(
        Task.objects.open().order_by().values_list("status").annotate(Count("pk"))  # partial index
    )
    stages = GaugeMetricFamily("cortensor:tasks", "Open tasks by stage", labels=["stage"])
    for status in TaskStatus:
        if not status.is_final:
            stages.add_metric([status.value], rows.get(status.value, 0))
    yield stages
    yield GaugeMetricFamily(
        "cortensor:num_requests_waiting",
        "Tasks that wait for miners",
        value=rows.get(TaskStatus.QUEUED.value, 0),
    )
    yield GaugeMetricFamily(
        "cortensor:num_requests_running",
        "Tasks that miners work on",
        value=sum(rows.get(status.value, 0) for status in WORKING),
    )
    oldest = Task.objects.queued().order_by().aggregate(at=Min("created_at"))["at"]
    yield GaugeMetricFamily(
        "cortensor:queue_oldest_seconds",
        "How long the first task of the queue has waited",
        value=(timezone.now() - oldest).total_seconds() if oldest else 0,
    )


def _money() -> Iterator[Metric]:
    columns = ("deposited", "withdrawn", "reserved", "paid")
    sums = Session.objects.aggregate(**{name: Sum(f"{name}_wei") for name in columns})
    escrow = GaugeMetricFamily("cortensor:escrow_cor", "Money of all sessions", labels=["part"])
    wei = {name: Decimal(sums[name] or 0) for name in columns}
    wei["balance"] = wei["deposited"] - wei["withdrawn"] - wei["reserved"] - wei["paid"]
    for part, amount in wei.items():
        escrow.add_metric([part], float(amount / WEI_PER_COR))
    yield escrow
    payments = GaugeMetricFamily(
        "cortensor:payments_cor", "Payments of single calls (x402) by status", labels=["status"]
    )
    for status, wei_paid in _grouped(Payment.objects.all(), "status", Sum("amount_wei")):
        payments.add_metric([status], wei_paid / WEI_PER_COR)
    yield payments


def _chain() -> Iterator[Metric]:
    gas = CounterMetricFamily(
        "cortensor:gas", "Gas of this router's mined transactions", labels=["kind"]
    )
    for kind, used in GasTotal.objects.values_list("kind", "gas_used"):
        gas.add_metric([kind], used)
    yield gas
    outbox = GaugeMetricFamily(
        "cortensor:outbox_pending", "Operations that are not on chain yet", labels=["kind"]
    )
    waiting = Operation.objects.filter(status=OperationStatus.PENDING)
    for kind, count in _grouped(waiting, "kind", Count("pk")):
        outbox.add_metric([kind], count)
    yield outbox
    block = Block.objects.order_by("-number").first()
    yield GaugeMetricFamily(
        "cortensor:block_number", "The mirror's latest block", value=block.number if block else 0
    )
    yield GaugeMetricFamily(
        "cortensor:block_age_seconds",
        "The age of the mirror's latest block",
        value=(timezone.now() - block.timestamp).total_seconds() if block else 0,
    )


def _parts() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "cortensor:miners_online", "Miners heard of lately", value=ports.miners_online()
    )
    alive = GaugeMetricFamily("cortensor:process_up", "Processes heard of lately", labels=["name"])
    for name, is_alive in components().items():
        alive.add_metric([name], float(is_alive))
    yield alive
    faults = GaugeMetricFamily(
        "cortensor:faults", "Pieces of work that have failed lately", labels=["process"]
    )
    lately = Fault.objects.filter(last_at__gt=timezone.now() - FAULTS_OF)
    for process, count in _grouped(lately, "process", Count("pk")):
        faults.add_metric([process], count)
    yield faults


def _grouped(rows: "QuerySet[Any]", by: str, value: Any) -> list[tuple[str, float]]:
    return [
        (str(key), float(sum_)) for key, sum_ in rows.order_by().values_list(by).annotate(value)
    ]
