"""The header `Idempotency-Key`. Requests with the same key and body result in the same task."""

from collections.abc import Mapping

from sessions.errors import InvalidField
from sessions.intake.request import IDEMPOTENCY_KEY

MAX_KEY_BYTES = 125


def idempotency_key(headers: Mapping[str, str]) -> str:
    """Return the idempotency key of a request, or an empty string if it has none.

    Raises:
        InvalidField: the key is too long or has characters that are not printable.
    """
    key = headers.get(IDEMPOTENCY_KEY, "").strip()
    if len(key.encode(errors="replace")) > MAX_KEY_BYTES or not key.isprintable():
        raise InvalidField(
            f"{IDEMPOTENCY_KEY} may have {MAX_KEY_BYTES} printable bytes",
            field=IDEMPOTENCY_KEY,
            remedy="send a shorter key, a UUID say",
        )
    return key
