"""Bounded reads of streams that untrusted miners write.

A miner may write as much as it likes under its own keys. A script in Redis checks sizes before it
sends entries, so each read is bounded in entries and in bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

Fields = dict[bytes, bytes]

PAGE_ENTRIES = 1_000
PAGE_BYTES = 1024 * 1024
_SCRIPT = """
local after, most, room, largest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local found = {}
for _ = 1, most do
  local entry = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1)[1]
  if not entry then return {found, 1} end
  local size = 0
  for _, text in ipairs(entry[2]) do size = size + #text end
  if size > largest then
    found[#found + 1] = {entry[1], size, {}}
  elseif size > room then
    return {found, 0}
  else
    found[#found + 1] = {entry[1], size, entry[2]}
    room = room - size
  end
  after = entry[1]
end
return {found, 0}
"""


class StreamTooLarge(Exception):
    """A stream exceeds a limit. The text says which."""


@dataclass(frozen=True)
class SizedEntry:
    """An entry of a stream. An entry that is too large has its size, but no fields."""

    id: str
    size: int
    fields: Fields


@dataclass(frozen=True)
class StreamPage:
    """The entries after a position. `is_last` says whether there are no more after them."""

    entries: Sequence[SizedEntry]
    is_last: bool


def read_page(
    client: "redis.Redis", key: str, after: str, *, entries: int, total: int, largest: int
) -> StreamPage:
    """Read the entries after a position, at most `entries` of them and `total` bytes.

    Args:
        largest: the most bytes that an entry may have. A larger entry is returned without fields.

    Raises:
        ResponseError: the key holds no stream.
    """
    return _page(client.eval(_SCRIPT, 1, key, after, entries, max(total, largest), largest))


def read_pages(
    client: "redis.Redis", positions: dict[str, str], *, entries: int, total: int, largest: int
) -> dict[str, StreamPage | redis.ResponseError]:
    """Read several streams at once. A key that holds no stream is returned with its error."""
    pipeline = client.pipeline(transaction=False)
    for key, after in positions.items():
        pipeline.eval(_SCRIPT, 1, key, after, entries, max(total, largest), largest)
    found: dict[str, StreamPage | redis.ResponseError] = {}
    for key, answer in zip(positions, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(answer, Exception) and not isinstance(answer, redis.ResponseError):
            raise answer
        found[key] = answer if isinstance(answer, redis.ResponseError) else _page(answer)
    return found


def read_whole(client: "redis.Redis", key: str, *, entries: int, total: int) -> list[Fields]:
    """Read a complete stream, page by page.

    Raises:
        StreamTooLarge: the stream exceeds `entries` entries or `total` bytes.
        ResponseError: the key holds no stream.
    """
    found: list[SizedEntry] = []
    size, after = 0, "0-0"
    while True:
        page = read_page(
            client, key, after, entries=PAGE_ENTRIES, total=PAGE_BYTES, largest=PAGE_BYTES
        )
        found += page.entries
        size += sum(entry.size for entry in page.entries)
        if len(found) > entries:
            raise StreamTooLarge(f"it has more than {entries} entries")
        if size > total or any(entry.size > PAGE_BYTES for entry in page.entries):
            raise StreamTooLarge(f"it has more than {total} bytes, or one entry of {PAGE_BYTES}")
        if page.is_last:
            return [entry.fields for entry in found]
        after = found[-1].id


def _page(answer: Any) -> StreamPage:
    rows, is_last = answer
    return StreamPage(
        [
            SizedEntry(_text(entry_id), size, dict(zip(parts[::2], parts[1::2], strict=True)))
            for entry_id, size, parts in rows
        ],
        bool(is_last),
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
