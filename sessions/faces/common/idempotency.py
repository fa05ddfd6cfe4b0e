"""`Idempotency-Key`: the same request under the same key is the same task, as often as it comes."""

from collections.abc import Mapping

from sessions.errors import InvalidField
from sessions.intake.request import IDEMPOTENCY_KEY

MAX_KEY_BYTES = 125


def idempotency_key(headers: Mapping[str, str]) -> str:
    """The key that a request came under; "" for none.

    Raises:
        InvalidField: it is too long, or has what cannot be printed.
    """
    key = headers.get(IDEMPOTENCY_KEY, "").strip()
    if len(key.encode(errors="replace")) > MAX_KEY_BYTES or not key.isprintable():
        raise InvalidField(
            f"{IDEMPOTENCY_KEY} may have {MAX_KEY_BYTES} printable bytes",
            field=IDEMPOTENCY_KEY,
            remedy="send a shorter key, a UUID say",
        )
    return key
