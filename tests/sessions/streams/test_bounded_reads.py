"""Reads of untrusted streams never exceed their limits."""

import pytest
import redis

from sessions.streams.bounded_reads import StreamTooLarge, read_page, read_pages, read_whole

BOUNDS = {"entries": 10, "total": 1_000, "largest": 600}


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        yield client


def fill(client, *sizes, key="stream"):
    return [client.xadd(key, {"t": "x" * (size - 1)}).decode() for size in sizes]


def test_a_page_ends_at_its_bytes_and_the_next_one_goes_on(client):
    ids = fill(client, 500, 400, 300)
    first = read_page(client, "stream", "0-0", **BOUNDS)
    assert ([entry.id for entry in first.entries], first.is_last) == (ids[:2], False)
    assert [entry.size for entry in first.entries] == [500, 400]
    second = read_page(client, "stream", first.entries[-1].id, **BOUNDS)
    assert ([entry.id for entry in second.entries], second.is_last) == (ids[2:], True)
    assert second.entries[0].fields == {b"t": b"x" * 299}


def test_of_an_entry_that_is_too_large_only_the_size_is_read(client):
    fill(client, 100, 5_000_000, 100)
    page = read_page(client, "stream", "0-0", **BOUNDS)
    assert [(entry.size, bool(entry.fields)) for entry in page.entries] == [
        (100, True),
        (5_000_000, False),
        (100, True),
    ]


def test_a_page_has_no_more_entries_than_were_asked_for(client):
    fill(client, *[2] * 25)
    page = read_page(client, "stream", "0-0", **BOUNDS)
    assert (len(page.entries), page.is_last) == (10, False)


def test_a_stream_that_is_not_there_has_nothing(client):
    assert read_whole(client, "stream", entries=1, total=1) == []


def test_one_key_that_is_no_stream_keeps_the_others_readable(client):
    fill(client, 2)
    client.set("text", "no stream")
    pages = read_pages(client, {"text": "0-0", "stream": "0-0"}, **BOUNDS)
    assert isinstance(pages["text"], redis.ResponseError)
    assert len(pages["stream"].entries) == 1


@pytest.mark.parametrize("sizes", [[2] * 31, [900, 900, 900, 900], [1024 * 1024 + 1]])
def test_a_stream_beyond_its_bounds_is_not_read_to_its_end(client, sizes):
    fill(client, *sizes)
    with pytest.raises(StreamTooLarge):
        read_whole(client, "stream", entries=30, total=3_000)


def test_all_pages_of_a_stream_are_one_answer(client):
    fill(client, *[2] * 2_500)
    assert len(read_whole(client, "stream", entries=2_500, total=10_000)) == 2_500
