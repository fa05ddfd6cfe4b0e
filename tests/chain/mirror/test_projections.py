"""Changes are merged and written in bulk, with the same effect as one by one."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.mirror import projections
from chain.mirror.projections import Upsert
from chain.mirror.records import EventRecord
from chain.mirror.upserts import fold
from chain.mirror.upserts import write as write_tables
from sessions.models import Session, SessionRouter, Task

pytestmark = pytest.mark.django_db

FIELDS = ("name", "deposited_wei", "reserved_wei", "paid_wei")
CHANGES = st.lists(
    st.builds(
        lambda number, values, amounts: Upsert(
            Session, key={"session_id": number}, set=values, add=amounts
        ),
        st.integers(1, 3),
        st.fixed_dictionaries(
            {}, optional={"name": st.sampled_from(["a", "b"]), "paid_wei": st.integers(0, 9)}
        ),
        st.dictionaries(
            st.sampled_from(["deposited_wei", "reserved_wei", "paid_wei"]),
            st.integers(-(10**30), 10**30),
        ),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(changes=CHANGES, cut=st.integers(0, 12))
def test_any_cut_into_batches_gives_the_same_rows(changes: list[Upsert], cut: int) -> None:
    expected: dict[int, dict[str, Any]] = {}
    for change in changes:
        row = expected.setdefault(
            change.key["session_id"],
            {"name": "", "deposited_wei": 0, "reserved_wei": 0, "paid_wei": 0},
        )
        row.update(change.set)
        for name, amount in change.add.items():
            row[name] += amount
    Session.objects.all().delete()
    write(changes[:cut])
    write(changes[cut:])
    rows = {
        row.session_id: {name: getattr(row, name) for name in FIELDS}
        for row in Session.objects.all()
    }
    assert rows == expected


def write(changes: Iterable[Upsert]) -> None:
    write_tables(fold(changes))


def test_rows_have_their_own_keys_and_the_models_defaults() -> None:
    write(
        Upsert(SessionRouter, {"session_id": 1, "index": index}, {"address": f"0x{index:040X}"})
        for index in range(3)
    )
    write([Upsert(SessionRouter, {"session_id": 1, "index": 1}, {"removed": True})])
    rows = list(SessionRouter.objects.order_by("index").values_list("index", "address", "removed"))
    assert rows == [
        (0, f"0x{0:040x}", False),
        (1, f"0x{1:040x}", True),
        (2, f"0x{2:040x}", False),
    ]


def test_a_key_alone_makes_a_row_and_changes_none() -> None:
    write([Upsert(Session, {"session_id": 1}, {"name": "kept"})])
    write([Upsert(Session, {"session_id": 1}), Upsert(Session, {"session_id": 2})])
    assert list(Session.objects.order_by("pk").values_list("name", flat=True)) == ["kept", ""]


def test_a_rebuild_empties_what_no_event_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    def projected(event: EventRecord) -> list[Upsert]:
        return [Upsert(Session, {"session_id": event.args["id"]}, {"name": "from an event"})]

    monkeypatch.setitem(projections._registry, ("Test", "Happened"), [projected])
    happened = EventRecord(
        "Test",
        "Happened",
        {"id": 1},
        7,
        "0x07",
        0,
        "0x08",
        datetime.now(UTC),
    )
    projections.apply([happened])
    assert Session.objects.count() == 1
    projections.rebuild([])
    assert Session.objects.count() == 0
    projections.rebuild([happened])
    assert Session.objects.get().name == "from an event"


def test_only_tables_of_the_mirror_can_be_filled() -> None:
    with pytest.raises(
        TypeError, match="Task is written by projections, so it has to subclass Mirrored"
    ):
        fold([Upsert(Task, {"id": 1}, {"status": "ended"})])  # type: ignore[arg-type]


def test_a_value_that_is_too_long_is_refused_and_not_cut() -> None:
    with pytest.raises(DataError):
        write([Upsert(Session, {"session_id": 1}, {"sid": "0x" + "0" * 65})])
