"""The errors of clients' requests, with one base class.

Every error says what is wrong, why, and what to do about it. The REST interface returns it as a
problem document (`sessions.faces.common.problems`), a WebSocket as an `error` message.
"""

import dataclasses
from typing import Any, ClassVar

from sessions.models.session import WEI_PER_COR


class SessionsError(Exception):
    """Base class of this package's errors."""


class IllegalTaskTransition(SessionsError):
    """A task cannot change from its stage to that one. This is a bug in the calling code."""


@dataclasses.dataclass(eq=False)
class RequestError(SessionsError):
    """A request cannot be served. Base class of all errors that clients see.

    Args:
        detail: what is wrong, with figures.
        field: the member of the request that is wrong, if it is one.
        remedy: what the client can do.
        extra: further members of the problem document.
    """

    detail: str
    field: str | None = None
    remedy: str = ""
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    code: ClassVar[str] = "invalid_request"
    title: ClassVar[str] = "The request cannot be served"
    status: ClassVar[int] = 400
    retry_after_s: int | None = dataclasses.field(default=None, init=False)

    def __str__(self) -> str:
        return self.detail

    def to_problem(self) -> dict[str, Any]:
        """Return this error as a problem document (RFC 9457)."""
        errors = [{"field": self.field, "reason": self.detail}] if self.field else []
        return {
            "type": f"urn:cortensor:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": errors,
            **({"field": self.field} if self.field else {}),
            **({"remedy": self.remedy} if self.remedy else {}),
            **self.extra,
        }


class IntakeError(RequestError):
    """A task was not accepted, and nothing was reserved."""


class InvalidField(IntakeError):
    """A member of the request has a value that cannot be served."""

    code, title, status = "invalid_field", "A field is not valid", 400


class SessionNotFound(IntakeError):
    """The session does not exist, or the client may not see it. The client cannot tell which."""

    code, title, status = "session_not_found", "No such session", 404

    @classmethod
    def of(cls, session_id: int) -> "SessionNotFound":
        return cls(
            f"session {session_id} does not exist or does not belong to this key's owner",
            remedy="use the session id of SessionCreated, and a key of the session's owner;"
            " a new session is known here a few seconds after its block",
        )


class TaskNotFound(RequestError):
    """The task does not exist in a session that the client may see."""

    code, title, status = "task_not_found", "No such task", 404


class SessionInactive(IntakeError):
    """The session was deactivated on chain."""

    code, title, status = "session_inactive", "The session is inactive", 409


class RouterNotListed(IntakeError):
    """The session's list of routers does not contain this router."""

    code, title, status = "router_not_listed", "This router is not on the session's list", 403


class InsufficientBalance(IntakeError):
    """The task's highest price exceeds the session's free balance."""

    code, title, status = "insufficient_balance", "The session's balance is too low", 402

    @classmethod
    def of(
        cls, session_id: int, needed_wei: int, available_wei: int, unconfirmed_wei: int = 0
    ) -> "InsufficientBalance":
        waiting = (
            f"; {cor(unconfirmed_wei)} COR more wait for their deposit to be confirmed by the chain"
            if unconfirmed_wei
            else ""
        )
        return cls(
            f"the task can cost up to {cor(needed_wei)} COR ({needed_wei} wei), and session"
            f" {session_id} has {cor(available_wei)} COR ({available_wei} wei) free{waiting}",
            remedy="deposit with SessionPayment.depositToSession(sessionId, amount) after"
            " approving the amount of COR, or ask for fewer tokens; what a task does not use"
            " comes back at its settlement",
            extra={"needed_wei": str(needed_wei), "available_wei": str(available_wei)},
        )


class IdempotencyKeyTaken(IntakeError):
    """The client sent another request with this Idempotency-Key before."""

    code, title, status = "idempotency_key_taken", "The Idempotency-Key is taken", 409


class TooManyTasks(IntakeError):
    """The session has run as many tasks as it may, or this router has no task number left."""

    code, title, status = "too_many_tasks", "The session has no task left", 409


class ModelNotServed(IntakeError):
    """The model has no price, or this router does not serve it."""

    code, title, status = "model_not_served", "The session's model is not served", 409


class NoMiners(IntakeError):
    """No miner has been online lately."""

    code, title, status, retry_after_s = "no_miners", "No miner is online", 503, 10


class PartAway(IntakeError):
    """A part of the router that a task needs is down."""

    code, title, status, retry_after_s = "part_away", "A part of the router is away", 503, 5


class TooFewNodes(IntakeError):
    """A session that uses only its own nodes has fewer nodes than its redundancy."""

    code, title, status = "too_few_nodes", "The session has too few nodes of its own", 409


class EncryptionUnusable(IntakeError):
    """The session asks for encryption, but its metadata has no usable key."""

    code, title, status = "encryption_unusable", "The session's encryption cannot be used", 409


class EncryptionUnavailable(IntakeError):
    """The router's own key is missing. Nothing is stored in clear instead."""

    code, title, status = "encryption_unavailable", "The router cannot encrypt", 503
    retry_after_s = 30


class StorageDown(IntakeError):
    """Prompts cannot be stored at the moment."""

    code, title, status, retry_after_s = "storage_down", "The store of contents is down", 503, 10


class EmbeddingsBusy(RequestError):
    """Too many requests wait for the router's embedding model."""

    code, title, status, retry_after_s = "embeddings_busy", "Embeddings are busy", 503, 2


class NothingToCompare(RequestError):
    """The task has no result that counts, or none that the router can read yet."""

    code, title, status = "nothing_to_compare", "There is no result to compare with", 409


class RelayError(RequestError):
    """An answer cannot be relayed, or not any further."""

    code, title, status = "relay_failed", "The answer cannot be relayed", 502


class TaskFailed(RelayError):
    """The task ended without a result; what was reserved returns to the session."""

    code, title, status = "task_failed", "The task failed", 502


class SourceDiverged(RelayError):
    """The replacing miner's text does not continue what the client has seen."""

    code, title, status = "source_diverged", "The answer broke off", 502


class DeadlinePassed(RelayError):
    """The time to wait is over. The task may still end."""

    code, title, status = "deadline_passed", "The task took too long", 504


class StreamGone(RelayError):
    """The task has ended, and its stream is not kept any more."""

    code, title, status = "stream_gone", "The stream is no longer kept", 410


class RouterRestarting(RelayError):
    """This process is about to stop. The client can continue at another process."""

    code, title, status, retry_after_s = "router_restarting", "The router restarts", 503, 1


class RelayUnavailable(RelayError):
    """Redis is down. The task itself goes on."""

    code, title, status, retry_after_s = "relay_unavailable", "Live streams are down", 503, 5


def cor(wei: int) -> str:
    """Return an amount of wei in COR, exactly."""
    sign, wei = ("-", -wei) if wei < 0 else ("", wei)
    whole, fraction = divmod(wei, WEI_PER_COR)
    digits = f"{fraction:018d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"
