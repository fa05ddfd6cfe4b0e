"""The most that a task can use: tokens within the model's context, and their price."""

from dataclasses import dataclass, replace

from chain.postgres.prepared import Parameter, Prepared
from chain.protocol.params import LlmParams
from sessions import ports
from sessions.errors import InvalidField, ModelNotServed
from sessions.intake.prices import TokenPrice, worst_case_wei
from sessions.intake.request import CompletionRequest
from sessions.models import ModelPrice, Session, Uint256Field


@dataclass(frozen=True)
class Fitted:
    """The parameters that a task has on chain, and the token count of its prompt."""

    params: LlmParams
    input_tokens: int

    @property
    def tokens(self) -> int:
        """The most tokens that prompt and answer can have together."""
        return self.input_tokens + self.params.max_tokens


def fit(request: CompletionRequest, session: Session) -> Fitted:
    """Complete a request's parameters with the model's defaults and fit them to its context.

    A `max_tokens` that is too large is reduced and not refused, as on chain: clients do not know
    the context of every model.

    Raises:
        ModelNotServed: this router does not serve the session's model.
        InvalidField: the model cannot read the prompt, or its context has no room for an answer.
    """
    counter, model = ports.prompt_counter(), session.model_identifier
    try:
        context = counter.context_length(model)
        count = counter.count(model, request.prompt, request.prompt_type, request.prompt_template)
        defaults = counter.defaults(model)
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
    if request.options.grammar:
        # A grammar repeats tokens such as quotes. A penalty on them would keep strings from ending.
        defaults = defaults.without_penalties()
    params = request.params.filled(defaults)
    return Fitted(replace(params, max_tokens=min(params.max_tokens, context - count)), count)


def price_wei(fitted: Fitted, session: Session) -> int:
    """Return the highest price of a task at the chain's current prices. Raises ModelNotServed."""
    prices = _PRICES.rows(model_identifier=session.model_identifier)
    if not prices:
        raise _not_served(session)
    return worst_case_wei(
        TokenPrice(*map(int, prices[0])),
        redundancy=session.redundancy,
        max_input_tokens=fitted.input_tokens,
        max_tokens=fitted.params.max_tokens,
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
