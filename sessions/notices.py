"""Small notices to whoever watches the network; they carry no prompt and no answer.

A notice may be lost: it says that something changed, and the database says what is.
"""

import logging
from typing import Any

import redis
from django.db import transaction

from sessions import feeds

logger = logging.getLogger(__name__)


def announce(event: dict[str, Any]) -> None:
    """Send a JSON event to the feeds once this transaction has committed."""
    transaction.on_commit(lambda: _send(event))


def _send(event: dict[str, Any]) -> None:
    try:
        feeds.publish(event)
    except (redis.RedisError, OSError):  # the change itself has committed
        logger.warning("a notice of %s was not delivered", event.get("type"), exc_info=True)
