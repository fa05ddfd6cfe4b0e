"""Fixtures that every package's tests share."""

import os

import pytest
import redis


@pytest.fixture
def redis_url() -> str:
    """The URL of the run's Redis, emptied for this test."""
    url = os.environ["REDIS_URL"]
    client = redis.Redis.from_url(url)
    client.flushall()
    client.close()
    return url
