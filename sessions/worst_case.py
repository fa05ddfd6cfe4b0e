"""What a task can take at most: tokens that the model's context has room for, and their price."""

from dataclasses import replace

from chain.prepared import Parameter, Prepared
from sessions import ports
from sessions.completion import CompletionRequest
from sessions.errors import InvalidField, ModelNotServed
from sessions.models import ModelPrice, Session, Uint256Field
from sessions.prices import TokenPrice, worst_case_wei


def fit(request: CompletionRequest, session: Session) -> tuple[CompletionRequest, int]:
    """The request with a maximum of tokens that fits the model's context, and its input tokens.

    Raises:
        ModelNotServed: the session's model is none of this router's.
        InvalidField: the model cannot read the prompt, or there is no room for it or its answer.
    """
    counter, model = ports.prompt_counter(), session.model_identifier
    try:
        context = counter.context_length(model)
        count = counter.count(model, request.prompt, request.prompt_type, request.prompt_template)
    except LookupError as error:
        raise _not_served(session) from error
    except ports.PromptUnfit as error:
        raise InvalidField(str(error), field="prompt") from error
    figures = {"prompt_tokens": count, "context_length": context}
    if count >= context:
        raise InvalidField(
            f"the prompt has {count} tokens, and the model's context holds {context}, the answer"
            " included",
            field="prompt",
            remedy="shorten the prompt",
            extra=figures,
        )
    room = context - count
    if request.may_be_shorter:
        return replace(request, max_tokens=min(request.max_tokens, room)), count
    if request.max_tokens > room:
        raise InvalidField(
            f"{request.max_tokens} tokens of answer and {count} of prompt are more than the model's"
            f" context of {context}",
            field="max_tokens",
            remedy=f"ask for at most {room}",
            extra=figures,
        )
    return request, count


def price_wei(request: CompletionRequest, session: Session, input_tokens: int) -> int:
    """What the task can cost at the chain's present prices. Raises ModelNotServed."""
    prices = _PRICES.rows(model_identifier=session.model_identifier)
    if not prices:
        raise _not_served(session)
    return worst_case_wei(
        TokenPrice(*map(int, prices[0])),
        redundancy=session.redundancy,
        max_input_tokens=input_tokens,
        max_tokens=request.max_tokens,
    )


def _not_served(session: Session) -> ModelNotServed:
    return ModelNotServed(
        f"model {session.model_identifier} of session {session.session_id} is not served here",
        field="session_id",
        remedy="create a session with a model that GET /api/v1/info lists",
    )


_PRICES = Prepared(
    lambda: ModelPrice.objects.filter(pk=Parameter("model_identifier", Uint256Field())).values_list(
        "input_price_wei", "output_price_wei"
    )
)
