"""Direct tasks, which clients submit by their own transactions: their rows, and their checks."""

from chain.protocol.digests import ADDRESS_SCHEME
from chain.protocol.params import AskedParams, InvalidParams, LlmParams, RequestParams
from sessions import ports
from sessions.errors import EncryptionUnusable
from sessions.intake import encryption
from sessions.intake.prompts import PromptMissing, PromptUnreachable, PromptUnreadable, prompt_of
from sessions.models import OnChainTask, Session, Task, TaskOrigin

_LARGEST_KEPT = 2**31 - 1


def task_of(on_chain: OnChainTask, session: Session) -> Task:
    """Return an unsaved row for a task that the chain has already reserved money for."""
    return Task(**_row(on_chain, session))


def problem_of(task: Task, session: Session, *, within_s: float) -> tuple[str, str] | None:
    """Return a code and a message that say why a task cannot be served, or None if it can.

    Set the task's fields that depend on its content: `stop`, `encrypted` and `grammar_reader`.
    This function uses the content store and the tokenizer, and may take long. Call it
    outside of transactions.

    Args:
        within_s: how many seconds reading the content may take.

    Raises:
        PromptUnreachable, PromptMissing: the content is not available now.
    """
    if task.max_tokens == 0:
        return "invalid_params", "llmParams[0], the maximum of tokens, is missing or 0"
    try:
        prompt = prompt_of(task, within_s=within_s)
    except (PromptUnreachable, PromptMissing):
        raise
    except PromptUnreadable as error:
        return "prompt_unreadable", str(error)
    task.encrypted = bool(prompt.envelope)
    task.stop = [] if task.encrypted else list(prompt.stop)
    task.grammar_reader = prompt.options.grammar_reader.replace("\x00", "\ufffd")
    if not task.encrypted and _asks_for_encryption(session):
        return (
            "prompt_not_encrypted",
            "the session asks for encryption, and the prompt is not an envelope for this router",
        )
    counter, model = ports.prompt_counter(), task.model_identifier
    try:
        count = counter.count(model, prompt.text, task.prompt_type, task.prompt_template)
        context = counter.context_length(model)
    except LookupError:
        return "model_not_served", f"model {model} is not served here"
    except ports.PromptUnfit as error:
        return "prompt_unfit", str(error)
    if count >= context:
        return "prompt_too_long", f"the prompt has {count} tokens, the context holds {context}"
    if count > task.max_input_tokens:
        return (
            "prompt_too_long",
            f"the prompt has {count} tokens, more than the {task.max_input_tokens} reserved for",
        )
    return None


def _row(on_chain: OnChainTask, session: Session) -> dict[str, object]:
    params = _params_of(on_chain, session)
    request = RequestParams.from_words([int(word) for word in on_chain.request_params])
    inline = not on_chain.task_data.startswith(ADDRESS_SCHEME)
    return {
        "session_id": on_chain.session_id,
        "task_id": on_chain.task_id,
        "task_digest": on_chain.digest,
        "origin": TaskOrigin.CHAIN,
        "prompt_cid": "" if inline else on_chain.task_data.removeprefix(ADDRESS_SCHEME)[:100],
        "task_data": on_chain.task_data,
        "inline": inline,
        "prompt_type": _kept(on_chain.prompt_type),
        "prompt_template": on_chain.prompt_template,
        "max_tokens": _kept(params.max_tokens),
        "temperature_x100": _kept(params.temperature_x100),
        "top_p_x100": _kept(params.top_p_x100),
        "top_k": _kept(params.top_k),
        "presence_penalty_x100": _kept(params.presence_penalty_x100),
        "frequency_penalty_x100": _kept(params.frequency_penalty_x100),
        "timeout_s": request.timeout_s,
        "client_reference": on_chain.client_reference,
        "max_input_tokens": _kept(on_chain.max_input_tokens),
        "redundancy": session.redundancy,
        "model_identifier": session.model_identifier,
        "reserve_wei": on_chain.reserved_wei,
        "created_at": on_chain.created_at,
    }


def _params_of(on_chain: OnChainTask, session: Session) -> LlmParams:
    """Return the task's parameters, completed with the model's defaults if its list is short.

    Miners and the validator sample by these values. The task's digest has 0 for a missing one; the
    length of the list tells it from a 0 that the client chose.
    """
    try:
        asked = AskedParams.from_words([int(word) for word in on_chain.llm_params])
        return asked.filled(ports.prompt_counter().defaults(session.model_identifier))
    except (InvalidParams, LookupError):
        # The task will be refused: `problem_of` says why.
        return LlmParams(max_tokens=0)


def _asks_for_encryption(session: Session) -> bool:
    try:
        return encryption.client_key(session) is not None
    except EncryptionUnusable:
        return True


def _kept(value: int) -> int:
    # The chain accepts any 256-bit number. No value above this bound differs in its meaning here.
    return min(int(value), _LARGEST_KEPT)
