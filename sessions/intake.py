"""Taking a client's task: decide, price, reserve, write it down, and leave the rest to others."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction
from django.db.models import BigIntegerField, CharField
from eth_utils.conversions import to_bytes

from chain import operations, outbox, storage
from chain.digests import task_digest
from chain.prepared import Parameter, Prepared
from sessions import encryption, ports, worst_case
from sessions.access import admission
from sessions.availability import require_parts
from sessions.completion import IDEMPOTENCY_KEY, CompletionRequest
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
from sessions.lanes import take_task_id
from sessions.models import (
    ApiKey,
    Session,
    SessionMode,
    SessionNode,
    SessionRouter,
    Task,
    TaskOrigin,
)
from sessions.reservations import promised_to, require_balance, require_task_left
from sessions.task_states import announce_stage

logger = logging.getLogger(__name__)

TASK_QUEUED = "task_queued"
"""The channel that wakes the dispatcher."""


def accept(
    request: CompletionRequest,
    *,
    session: Session,
    api_key: ApiKey | None,
    request_id: str = "",
    account: str = "",
    also: Callable[[Task], None] | None = None,
) -> Task:
    """Take a task: its row, its reservation, its outbox operation and, where miners are free, its
    assignment, in one transaction.

    The same request under the same `idempotency_key` gives the same task. A `max_tokens`
    that is too large is cut to what the model's context has room for.

    Args:
        account: who asks, where no key says it; with neither, nobody's rate is limited.
        also: done with a new task in the same transaction, quickly, since slots may be taken; what
            it raises undoes all of it.

    Raises:
        IntakeError: it is not taken, and nothing has changed.
        ScopeMissing, LimitReached: nor is it then.
    """
    caller = admission.caller_of(api_key, account)
    admission.require_right(caller, session, request.prompt)
    earlier = _earlier(request, session)
    if earlier is not None:
        return earlier
    require_parts()
    _require_active(session)
    router_index = _router_index(session)
    client_key = encryption.client_key(session)
    if client_key is not None:
        encryption.require_encryptable(request)
    fitted = worst_case.fit(request, session)
    admission.admit(caller, fitted.tokens)
    _require_nodes(session)
    cid, finish_storing = "", None
    if client_key is None:
        with _storing():
            cid, finish_storing = storage.put_meanwhile(request.content)
    with transaction.atomic():
        # The row's lock makes the intakes of a session, and its mirror's changes, take turns.
        session = _locked(session.pk)
        earlier = _earlier(request, session)
        if earlier is not None:
            return earlier
        _require_active(session)
        promised = promised_to(session.session_id)
        require_task_left(session, promised)
        reserve_wei = worst_case.price_wei(fitted, session)
        require_balance(session, reserve_wei, promised)
        admission.require_room(caller, session, reserve_wei, fitted.tokens)
        task_id = _take_id(session, router_index)
        if client_key is not None:
            # The envelope binds the task's number, which nobody knew before.
            sealed = encryption.seal_prompt(
                request.content, session.session_id, task_id, client_key
            )
            with _storing():
                cid = storage.put(sealed)
        task = _new(
            request,
            session,
            task_id=task_id,
            cid=cid,
            fitted=fitted,
            encrypted=client_key is not None,
            reserve_wei=reserve_wei,
            api_key=api_key,
            request_id=request_id,
            request_hash=_request_hash(request, client_key is not None),
        )
        # Before the slots are taken, which everybody waits for who gives out tasks.
        if finish_storing is not None:
            with _storing():
                finish_storing()
        # Miners that are free begin as soon as this is committed, and nobody else is woken for it.
        submission = _submission(task, request, fitted)
        if not ports.give_task(task, session, submission):
            _require_miners()
            require_parts(is_queued=True)
            task.save(force_insert=True)
            # It is new, as the task's number is; so the dispatcher is always woken.
            outbox.enqueue(submission, wake=[TASK_QUEUED])
            announce_stage(task)
        if also is not None:
            also(task)
    return task


@dataclass(frozen=True)
class Quote:
    """What a task would cost at most, in wei, and the tokens that this is reckoned from."""

    reserve_wei: int
    input_tokens: int
    max_tokens: int


def quote(request: CompletionRequest, session: Session) -> Quote:
    """What `accept` would reserve for a task now.

    Raises:
        IntakeError: it would not take it, whoever asks.
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
    if session is None:  # a fork has taken it back
        raise SessionNotFound.of(session_id)
    return session


def _earlier(request: CompletionRequest, session: Session) -> Task | None:
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
    # Who guesses a prompt must not be able to confirm it from the database.
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


def _submission(task: Task, request: CompletionRequest, fitted: worst_case.Fitted) -> operations.Op:
    return operations.submit_task(
        session_id=task.session_id,
        task_id=task.task_id,
        task_data=task.task_data,
        prompt_type=task.prompt_type,
        prompt_template=task.prompt_template,
        llm_params=fitted.params.to_words(),
        request_params=request.request_params.to_words(),
        client_reference=task.client_reference,
        max_input_tokens=task.max_input_tokens,
    )


def _new(
    request: CompletionRequest,
    session: Session,
    *,
    task_id: int,
    cid: str,
    fitted: worst_case.Fitted,
    encrypted: bool,
    reserve_wei: int,
    api_key: ApiKey | None,
    request_id: str,
    request_hash: str,
) -> Task:
    address, params = storage.address(cid), fitted.params
    digest = task_digest(
        to_bytes(hexstr=session.sid),
        task_id,
        address,
        request.prompt_type,
        request.prompt_template,
        params.to_words(),
        request.request_params.to_words(),
        request.client_reference,
        fitted.input_tokens,
    )
    return Task(
        session_id=session.session_id,
        task_id=task_id,
        task_digest="0x" + digest.hex(),
        origin=TaskOrigin.REST,
        prompt_cid=cid,
        task_data=address,
        inline=False,
        encrypted=encrypted,
        prompt_type=request.prompt_type,
        prompt_template=request.prompt_template,
        max_tokens=params.max_tokens,
        temperature_x100=params.temperature_x100,
        top_p_x100=params.top_p_x100,
        top_k=params.top_k,
        presence_penalty_x100=params.presence_penalty_x100,
        frequency_penalty_x100=params.frequency_penalty_x100,
        timeout_s=request.timeout_s,
        stop=[] if encrypted else list(request.stop),
        client_reference=request.client_reference,
        idempotency_key=request.idempotency_key,
        max_input_tokens=fitted.input_tokens,
        redundancy=session.redundancy,
        model_identifier=session.model_identifier,
        reserve_wei=reserve_wei,
        api_key=api_key,
        request_id=request_id,
        request_hash=request_hash,
    )
