"""Feeds of events on the network or in one session. A client can resume them.

The id of an event is its position in the stream, which is the same at every router process. Feeds
carry stages and ids, never prompts or answers.
"""

import json
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from re import fullmatch
from typing import Any

from sessions.errors import InvalidField, RelayError
from sessions.streams import task_stream
from sessions.streams.buffer import START, order
from sessions.streams.reader import ENTRIES_A_READ, current_reader

NETWORK_FEED = "feed:network"
KEPT_NETWORK_EVENTS, KEPT_SESSION_EVENTS = 10_000, 1_000
KEPT_S = 24 * 3600


class FeedBehind(RelayError):
    """The events after the client's position are no longer kept."""

    code, title, status = "feed_behind", "The feed has moved on", 410


@dataclass(frozen=True)
class FeedEvent:
    """A JSON event and its id."""

    id: str
    body: dict[str, Any]


def session_feed(session_id: int) -> str:
    """Return the key of a session's feed."""
    return f"feed:session:{session_id}"


def additions(event: dict[str, Any]) -> list[task_stream.Addition]:
    """Return the additions of an event to the network's feed and to its session's, if any."""
    entry = {"event": json.dumps(event)}
    found = [task_stream.Addition(NETWORK_FEED, entry, KEPT_NETWORK_EVENTS, KEPT_S)]
    if event.get("session_id"):
        key = session_feed(event["session_id"])
        found.append(task_stream.Addition(key, entry, KEPT_SESSION_EVENTS, KEPT_S))
    return found


def read_position(text: str) -> str | None:
    """Return an event's id as a client sends it, or None if it is empty. Raises InvalidField."""
    if not text:
        return None
    if not fullmatch(r"[0-9]{1,15}-[0-9]{1,9}", text):
        raise InvalidField(
            f"{text[:40]!r} is not the id of an event",
            field="last_event_id",
            remedy="send the id of the last event as it came, or none to start with the next one",
        )
    return text


async def follow_feed(
    key: str, after: str | None = None, tick_s: float = math.inf
) -> AsyncGenerator[list[FeedEvent]]:
    """Yield the events of a feed after `after`, or from the next one on. The feed has no end.

    A batch is empty if `tick_s` seconds passed without an event.

    Raises:
        FeedBehind: events after the position may have been dropped.
        RelayError: Redis is down, or this process is about to stop.
    """
    reader = current_reader()
    position = after or await reader.last_id(key)
    async with reader.follower() as follower:
        follower.add(key, position)
        catching_up = after is not None
        while True:
            found = (await follower.read(tick_s)).get(key, [])
            if catching_up or len(found) >= ENTRIES_A_READ:
                await _require_kept(key, position)
            catching_up = False
            if found:
                position = found[-1].id
            yield [FeedEvent(entry.id, json.loads(entry.fields["event"])) for entry in found]


async def _require_kept(key: str, position: str) -> None:
    first = await current_reader().first_id(key)
    if position != START and order(first) > order(position):
        raise FeedBehind(
            "the events behind this position are no longer all kept",
            remedy="look at the present state, and follow the feed without last_event_id",
        )
