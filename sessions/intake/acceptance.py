"""Acceptance of a client's task: check it, price it, reserve the price and store the task."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction
from django.db.models import BigIntegerField, CharField
from django.utils import timezone

from chain import storage
from chain.postgres.prepared import Parameter, Prepared
from chain.sending import outbox
from sessions import ports
from sessions.access import admission
from sessions.errors import (
    IdempotencyKeyTaken,
    NoMiners,
    RouterNotListed,
    SessionInactive,
    SessionNotFound,
    StorageDown,
    TooFewNodes,
    TooManyTasks,
)
from sessions.intake import encryption, worst_case
from sessions.intake.availability import require_parts
from sessions.intake.new_task import new_task, submission_of
from sessions.intake.request import IDEMPOTENCY_KEY, CompletionRequest
from sessions.intake.reservations import promised_to, require_balance, require_task_left
from sessions.intake.task_numbers import take_task_id
from sessions.intake.worst_case import Fitted
from sessions.models import (
    ApiKey,
    Session,
    SessionMode,
    SessionNode,
    SessionRouter,
    Task,
    TaskStatus,
)
from sessions.stages.task_states import announce_stage

logger = logging.getLogger(__name__)

TASK_QUEUED = "task_queued"
"""The notification channel that wakes the dispatcher."""


def accept(
    request: CompletionRequest,
    *,
    session: Session,
    api_key: ApiKey | None,
    request_id: str = "",
    account: str = "",
    also: Callable[[Task], None] | None = None,
) -> Task:
    """Accept a task.

    One transaction writes the task's row, its reservation, its outbox operation and, if miners are
    free, its assignment. A repeated request with the same `idempotency_key` returns the same task.
    A `max_tokens` that exceeds the room in the model's context is reduced to that room.

    Args:
        account: the caller's account, if there is no API key. Without a key and an account, no
            rate limit applies.
        also: called with a new task in the same transaction. If it raises, the whole transaction
            is rolled back. Such a task is assigned by the dispatcher and not here, so that the
            slots are not locked while this function runs.

    Raises:
        IntakeError: the task is refused, and nothing has changed.
        ScopeMissing: the caller's key may not create tasks; nothing has changed.
        LimitReached: a rate or budget of the caller is exhausted; nothing has changed.
    """
    acceptance = _Acceptance(session, api_key, account, request_id)
    draft = acceptance.prepare(request)
    if isinstance(draft, Task):
        return draft
    with transaction.atomic():
        return acceptance.write(draft, give_at_once=also is None, also=also)


def accept_all(
    requests: Sequence[CompletionRequest],
    *,
    session: Session,
    api_key: ApiKey | None,
    request_id: str = "",
) -> list[Task]:
    """Accept several tasks of one session, or none of them. Otherwise it is like `accept`.

    All contents are stored before the transaction. The dispatcher assigns the tasks, so that the
    slots, which all intakes share, are not locked while the tasks are written.
    """
    if len(requests) == 1:
        [request] = requests
        return [accept(request, session=session, api_key=api_key, request_id=request_id)]
    acceptance = _Acceptance(session, api_key, "", request_id)
    drafts = [acceptance.prepare(request) for request in requests]
    with transaction.atomic():
        return [
            draft if isinstance(draft, Task) else acceptance.write(draft, give_at_once=False)
            for draft in drafts
        ]


@dataclass(frozen=True)
class _Draft:
    """A checked task, ready to be written. Its content is stored or is being stored.

    `content` is the block with the id `cid`. `task_id` is set if the content already contains it.
    """

    request: CompletionRequest
    fitted: Fitted
    cid: str
    content: bytes
    finish_storing: Callable[[], object]
    encrypted: bool
    task_id: int | None = None


class _Acceptance:
    """A client's request for tasks, in two steps: slow preparation and a short transaction."""

    def __init__(
        self, session: Session, api_key: ApiKey | None, account: str, request_id: str
    ) -> None:
        self._session = session
        self._api_key = api_key
        self._request_id = request_id
        self._caller = admission.caller_of(api_key, account)
        self._router_index = 0

    def prepare(self, request: CompletionRequest) -> _Draft | Task:
        """Check everything that needs no lock, and store the content.

        No row is locked here, because the content store may be slow. If the client sent this
        request before, return its task.
        """
        session, caller = self._session, self._caller
        admission.require_right(caller, session, request.prompt)
        earlier = _earlier_task(request, session)
        if earlier is not None:
            return earlier
        require_parts()
        _require_active(session)
        self._router_index = _router_index(session)
        client_key = encryption.client_key(session)
        if client_key is not None:
            encryption.require_encryptable(request)
        fitted = worst_case.fit(request, session)
        admission.admit(caller, fitted.tokens)
        _require_nodes(session)
        if client_key is not None:
            return self._seal(request, fitted, client_key)
        content = request.content
        with _storing():
            cid, finish_storing = storage.put_meanwhile(content)
        return _Draft(request, fitted, cid, content, finish_storing, encrypted=False)

    def write(
        self,
        draft: _Draft,
        *,
        give_at_once: bool,
        also: Callable[[Task], None] | None = None,
    ) -> Task:
        """Reserve a task's price and write its row, in the caller's transaction."""
        request, fitted = draft.request, draft.fitted
        # The lock serializes the intakes of a session and the mirror's changes to its row.
        session = _locked(self._session.pk)
        earlier = _earlier_task(request, session)
        if earlier is not None:
            return earlier
        _require_active(session)
        reserve_wei = _reserve(fitted, session)
        admission.require_room(self._caller, session, reserve_wei, fitted.tokens)
        task_id = draft.task_id
        if task_id is None:
            task_id = _take_id(session, self._router_index)
        task = new_task(
            request,
            session,
            task_id=task_id,
            cid=draft.cid,
            fitted=fitted,
            encrypted=draft.encrypted,
            reserve_wei=reserve_wei,
            api_key=self._api_key,
            request_id=self._request_id,
            request_hash=_request_hash(request, draft.encrypted),
        )
        # Store the prompt first: the slot lock blocks every dispatcher.
        with _storing():
            draft.finish_storing()
        miners = ports.free_miners(task, session) if give_at_once else ()
        if miners:
            task.status, task.assigned_at = TaskStatus.ASSIGNED, timezone.now()
        else:
            _require_miners()
            require_parts(is_queued=True)
        task.save(force_insert=True)
        submission = submission_of(task, request, fitted)
        if miners:
            # Assign before the announcement: on commit, miners get their jobs before clients hear.
            assignment = ports.assign(task, miners, draft.content)
            outbox.enqueue(submission, assignment)
            announce_stage(task, miners, passed=[TaskStatus.QUEUED])
        else:
            # The task's number is new and so is the operation, so this always wakes the dispatcher.
            outbox.enqueue(submission, wake=[TASK_QUEUED])
            announce_stage(task)
        if also is not None:
            also(task)
        return task

    def _seal(self, request: CompletionRequest, fitted: Fitted, client_key: bytes) -> _Draft:
        """Encrypt and store a prompt.

        The envelope contains the task's number, so the number is taken here. If the task is
        refused later, the number stays unused; gaps between numbers are harmless. The balance is
        checked first, so that a client that cannot pay uses no number.
        """
        _reserve(fitted, self._session)
        with transaction.atomic():
            session = _locked(self._session.pk)
            task_id = _take_id(session, self._router_index)
        sealed = encryption.seal_prompt(request.content, session.session_id, task_id, client_key)
        with _storing():
            cid = storage.put(sealed)
        return _Draft(request, fitted, cid, sealed, lambda: None, encrypted=True, task_id=task_id)


def _reserve(fitted: Fitted, session: Session) -> int:
    """Return the most that a task can cost, in wei, after checking that the session can pay it.

    Raises:
        IntakeError: the session's free balance is too small, or it may run no further task.
    """
    promised = promised_to(session.session_id)
    require_task_left(session, promised)
    reserve_wei = worst_case.price_wei(fitted, session)
    require_balance(session, reserve_wei, promised)
    return reserve_wei


@dataclass(frozen=True)
class Quote:
    """The most that a task can cost, in wei, and the token counts of that price."""

    reserve_wei: int
    input_tokens: int
    max_tokens: int


def quote(request: CompletionRequest, session: Session) -> Quote:
    """Return what `accept` would reserve for a task now.

    Raises:
        IntakeError: `accept` would refuse the task, whoever the caller is.
    """
    admission.require_right(None, session, request.prompt)
    require_parts()
    _require_active(session)
    _router_index(session)
    if encryption.client_key(session) is not None:
        encryption.require_encryptable(request)
    fitted = worst_case.fit(request, session)
    _require_miners()
    _require_nodes(session)
    price_wei = worst_case.price_wei(fitted, session)
    return Quote(price_wei, fitted.input_tokens, fitted.params.max_tokens)


_LOCKED = Prepared(
    lambda: Session.objects.filter(
        pk=Parameter("session_id", BigIntegerField())
    ).select_for_update()
)
_ROUTER_INDEX = Prepared(
    lambda: SessionRouter.objects.filter(
        session_id=Parameter("session_id", BigIntegerField()),
        address=Parameter("address", CharField()),
        removed=False,
    ).values_list("index")
)


def _require_miners() -> None:
    if ports.miners_online() == 0:
        raise NoMiners(
            "no miner has been heard of for a while", remedy="try again when miners are back"
        )


@contextmanager
def _storing() -> Iterator[None]:
    try:
        yield
    except (storage.StorageError, OSError) as error:
        logger.error("a prompt was not stored: %s", error)
        raise StorageDown(
            "the prompt cannot be stored now; nothing was reserved", remedy="try again later"
        ) from error


def _locked(session_id: int) -> Session:
    session = _LOCKED.first(session_id=session_id)
    if session is None:  # a fork has removed the session
        raise SessionNotFound.of(session_id)
    return session


def _earlier_task(request: CompletionRequest, session: Session) -> Task | None:
    if not request.idempotency_key:
        return None
    task = Task.objects.filter(
        session_id=session.session_id,
        idempotency_key=request.idempotency_key,
    ).first()
    if task is not None and task.request_hash != _request_hash(request, task.encrypted):
        raise IdempotencyKeyTaken(
            f"the key {request.idempotency_key!r} came with task {task.task_id} of session"
            f" {session.session_id}, which was asked differently",
            field=IDEMPOTENCY_KEY,
            remedy="use a new key, or send the same request again to get the same task",
            extra={"session_id": session.session_id, "task_id": task.task_id},
        )
    return task


def _request_hash(request: CompletionRequest, encrypted: bool) -> str:
    # A keyed hash: without the key, a guess of an encrypted prompt cannot be checked against it.
    return encryption.fingerprint(request) if encrypted else request.hash


def _require_active(session: Session) -> None:
    if not session.is_active:
        raise SessionInactive(
            f"session {session.session_id} was deactivated by its owner and takes no tasks",
            field="session_id",
            remedy="create a new session with Session.create",
        )


def _require_nodes(session: Session) -> None:
    if session.mode != SessionMode.DEDICATED:
        return
    nodes = SessionNode.objects.of_session(session.session_id).count()
    if nodes < session.redundancy:
        raise TooFewNodes(
            f"session {session.session_id} works with its own nodes only, has {nodes} and asks"
            f" {session.redundancy} for each answer",
            field="session_id",
            remedy="the session's owner adds nodes with Session.addDedicatedNode(sessionId,"
            " nodeAddress)",
        )


def _router_index(session: Session) -> int:
    address = ports.router_address()
    found = _ROUTER_INDEX.rows(session_id=session.session_id, address=address)
    if not found:
        raise RouterNotListed(
            f"session {session.session_id} has no router {address} on its list",
            field="session_id",
            remedy="the session's owner adds it with Session.addRouter(sessionId, routerAddress,"
            " metadata)",
            extra={"router": address},
        )
    return int(found[0][0])


def _take_id(session: Session, router_index: int) -> int:
    try:
        return take_task_id(session, router_index)
    except OverflowError as error:
        raise TooManyTasks(
            f"this router has used up its numbers in session {session.session_id}",
            field="session_id",
            remedy="create a new session",
        ) from error
