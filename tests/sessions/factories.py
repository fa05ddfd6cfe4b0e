"""Creates rows for tests, as the mirror and intake create them."""

from dataclasses import fields
from itertools import count
from typing import Any

from django.utils import timezone

from chain.protocol.params import AskedParams
from sessions.intake.request import CompletionRequest
from sessions.models import (
    WEI_PER_COR,
    ApiKey,
    ModelPrice,
    Session,
    SessionRouter,
    Task,
    TaskOrigin,
)
from tests.sessions.ports import MODEL, ROUTER

OWNER = "0x" + "c3" * 20
STRANGER = "0x" + "d4" * 20
INPUT_PRICE_WEI, OUTPUT_PRICE_WEI = 2, 3
_numbers = count(1)


def make_session(**values: Any) -> Session:
    """Create an active session of OWNER: 1 $COR deposited, this router, a model with prices."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "session_id": number,
        "sid": "0x" + number.to_bytes(32, "big").hex(),
        "owner": OWNER,
        "redundancy": 1,
        "model_identifier": MODEL,
        "max_task_execution_count": 1_000_000,
        "deposited_wei": WEI_PER_COR,
    }
    session = Session.objects.create(**(defaults | values))
    SessionRouter.objects.create(session_id=session.session_id, address=ROUTER, index=0)
    ModelPrice.objects.get_or_create(
        model_identifier=MODEL,
        defaults={"input_price_wei": INPUT_PRICE_WEI, "output_price_wei": OUTPUT_PRICE_WEI},
    )
    return session


def make_task(session: Session | None = None, **values: Any) -> Task:
    """Create a queued task of a session."""
    defaults: dict[str, Any] = {
        "session_id": session.session_id if session else next(_numbers),
        "task_id": 1_000_000 + next(_numbers),
        "task_digest": "0x" + "00" * 32,
        "origin": TaskOrigin.REST,
        "task_data": "hello",
        "inline": True,
        "max_tokens": 16,
        "max_input_tokens": 4,
        "redundancy": session.redundancy if session else 1,
        "model_identifier": MODEL,
        "timeout_s": 5,
        "created_at": timezone.now(),
    }
    return Task.objects.create(**(defaults | values))


def make_key(owner: str = OWNER, **terms: Any) -> tuple[ApiKey, str]:
    """Create a key of an account. Return it and its secret."""
    return ApiKey.issue("test", owner, **terms)


def make_request(prompt: str = "two words", **values: Any) -> CompletionRequest:
    """Make a request with 3 input tokens. Parameters that are not given have default values."""
    names = [field.name for field in fields(AskedParams)]
    asked = {name: values.pop(name) for name in names if name in values}
    return CompletionRequest(
        prompt=prompt, params=AskedParams(**({"max_tokens": 8} | asked)), **values
    )
