"""The records of a new task: its row, and the operation that submits it on chain."""

from eth_utils.conversions import to_bytes

from chain import operations, storage
from chain.protocol.digests import task_digest
from sessions.intake.request import CompletionRequest
from sessions.intake.worst_case import Fitted
from sessions.models import ApiKey, Session, Task, TaskOrigin


def submission_of(task: Task, request: CompletionRequest, fitted: Fitted) -> operations.Op:
    """Return the operation that submits a task on chain."""
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


def new_task(
    request: CompletionRequest,
    session: Session,
    *,
    task_id: int,
    cid: str,
    fitted: Fitted,
    encrypted: bool,
    reserve_wei: int,
    api_key: ApiKey | None,
    request_id: str,
    request_hash: str,
) -> Task:
    """Return an unsaved row for a task."""
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
        grammar_reader=request.options.grammar_reader,
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
