"""Small notices to whoever watches the network; they carry no prompt and no answer.

A notice may be lost: it says that something changed, and the database says what is.
"""

import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

NETWORK_GROUP = "network"
NOTICE_TYPE = "network.notice"

logger = logging.getLogger(__name__)


def announce(event: dict[str, Any]) -> None:
    """Send a JSON event to the network's feed once this transaction has committed."""
    transaction.on_commit(lambda: _send(event))


def _send(event: dict[str, Any]) -> None:
    layer = get_channel_layer()
    try:
        async_to_sync(layer.group_send)(NETWORK_GROUP, {"type": NOTICE_TYPE, "event": event})
    except Exception:  # whatever the layer's back end raises, the change itself has committed
        logger.warning("a notice of %s was not delivered", event.get("type"), exc_info=True)
