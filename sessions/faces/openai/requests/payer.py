"""The choice of the session that pays for a request.

The header `X-Session-ID` or the member `session_id` names the session. Without them it is the
newest active session that the key's owner may use, that runs the model and that lists this router.
Sessions without balance come last.
"""

from django.db.models import BooleanField, ExpressionWrapper, F, Q
from django.http import HttpRequest

from sessions import ports
from sessions.access.callers import Caller
from sessions.access.visibility import find_session, sessions_of
from sessions.faces.openai.catalogue import PricedModel, public_name
from sessions.faces.openai.errors import OpenAIError
from sessions.models import ApiKey, Scope, Session, SessionRouter

HEADER = "X-Session-ID"
_HAS_MONEY = Q(deposited_wei__gt=F("withdrawn_wei") + F("reserved_wei") + F("paid_wei"))


def paying_session(
    request: HttpRequest, key: ApiKey, model: PricedModel, named: int | None
) -> Session:
    """Return the session that pays.

    Args:
        named: the body's `session_id`. If the header names a session too, both must agree.

    Raises:
        SessionNotFound: the key may not use the named session.
        OpenAIError: the header is not a number or differs from the body, the session runs another
            model, or the caller has no suitable session.
    """
    header = request.headers.get(HEADER, "").strip()
    if header:
        if not (header.isascii() and header.isdecimal() and len(header) <= 18):
            raise OpenAIError(f"{HEADER} must be a session's number.", HEADER, "invalid_value")
        if named not in (None, int(header)):
            raise OpenAIError(
                f"'session_id' is {named}, and {HEADER} is {header}; send one of them.",
                "session_id",
                "invalid_value",
            )
        named = int(header)
    if named is None:
        return _newest(key, model)
    session = find_session(named, key, Scope.SUBMIT)
    if session.model_identifier != model.identifier:
        raise OpenAIError(
            f"Session {named} runs the model '{public_name(int(session.model_identifier))}'.",
            param="model",
            code="model_not_in_session",
        )
    return session


def _newest(key: ApiKey, model: PricedModel) -> Session:
    listed = SessionRouter.objects.filter(address=ports.router_address(), removed=False)
    session = (
        sessions_of(Caller.of_key(key))
        .active()
        .filter(model_identifier=model.identifier, session_id__in=listed.values_list("session_id"))
        .annotate(has_money=ExpressionWrapper(_HAS_MONEY, BooleanField()))
        .order_by("-has_money", "-session_id")
        .first()
    )
    if session is None:
        raise OpenAIError(
            f"{key.owner} may use no active session with the model '{model.name}' and"
            " this router on its list; create one with Session.create and deposit to it.",
            code="no_session",
            status=404,
        )
    return session
