"""A result is stored on disk once, and never changes."""

import os
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from mining.node.disk.files import KEPT_S
from mining.node.disk.stash import AlreadyStashed, NotStashed, Result, Stash

RESULT = Result(
    assignment_id=str(uuid.UUID(int=1)),
    session_id=1,
    task_id=2,
    task_digest="11" * 32,
    chain_id=31337,
    queue_address="0x" + "22" * 20,
    content='{"result":"é"}',
    data="ipfs://b",
)


def test_a_result_outlives_its_process(tmp_path: Path) -> None:
    Stash(tmp_path / "stash").put(RESULT)
    assert Stash(tmp_path / "stash").get(RESULT.assignment_id) == RESULT


def test_a_second_result_never_replaces_the_first(tmp_path: Path) -> None:
    stash = Stash(tmp_path)
    stash.put(RESULT)
    with pytest.raises(AlreadyStashed):
        stash.put(replace(RESULT, content="{}"))
    assert stash.get(RESULT.assignment_id) == RESULT


def test_an_unfinished_write_is_no_result(tmp_path: Path) -> None:
    stash = Stash(tmp_path)
    (tmp_path / f"{RESULT.assignment_id}x.part").write_text('{"assignment')
    with pytest.raises(NotStashed):
        stash.get(RESULT.assignment_id)
    stash.put(RESULT)
    assert stash.get(RESULT.assignment_id) == RESULT


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    stash = Stash(tmp_path)
    refused = []

    def put(number: int) -> None:
        try:
            stash.put(replace(RESULT, content=str(number)))
        except AlreadyStashed:
            refused.append(str(number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert stash.get(RESULT.assignment_id).content not in refused
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    stash = Stash(tmp_path)
    stash.put(RESULT)
    assert stash.forget_old() == 0
    old = time.time() - KEPT_S - 1
    os.utime(tmp_path / f"{RESULT.assignment_id}.json", (old, old))
    assert stash.forget_old() == 1
    with pytest.raises(NotStashed):
        stash.get(RESULT.assignment_id)
