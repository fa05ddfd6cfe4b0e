"""What the router writes into a task's stream arrives, in spite of lost connections."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from pytest_django.fixtures import Settings

from sessions.models import Task, TaskStatus
from sessions.streams import task_stream


def test_a_connection_that_stalls_is_given_up_for_another(
    redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_stream, "WRITE_TIMEOUT_S", 0.1)
    stalled = socket.create_server(("127.0.0.1", 0))
    host, port = urlsplit(redis_url).hostname, urlsplit(redis_url).port
    taken: list[socket.socket] = []

    def serve() -> None:
        taken.append(stalled.accept()[0])  # says nothing, ever
        passed_on, _ = stalled.accept()
        with passed_on, socket.create_connection((host, port)) as redis_side:
            redis_side.settimeout(2)
            passed_on.settimeout(2)
            with suppress(OSError):
                while asked := passed_on.recv(65536):
                    redis_side.sendall(asked)
                    passed_on.sendall(redis_side.recv(65536))

    threading.Thread(target=serve, daemon=True).start()
    settings.REDIS_URL = redis_url.replace(f":{port}", f":{stalled.getsockname()[1]}")
    task_stream.write(
        task_stream.stage(Task(session_id=77, task_id=1, timeout_s=5), TaskStatus.QUEUED)
    )
    assert len(taken) == 1
    stalled.close()
