"""`/keys`: an account creates, lists and revokes its API keys."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sessions.access.budgets import usage_today
from sessions.access.callers import Caller
from sessions.access.keys import KeyTerms, make_key
from sessions.errors import RequestError
from sessions.faces.common.authentication import ScopeNeeded, caller_of
from sessions.faces.common.fields import Text, Wei, Whole, session_number
from sessions.faces.rest.parsing import given
from sessions.models import ApiKey, Scope

LARGEST_RATE = 2**31 - 1
LARGEST_ID = 2**63 - 1


class KeyNotFound(RequestError):
    """The account has no such key."""

    code, title, status = "key_not_found", "No such key", 404


class KeySerializer(serializers.Serializer):
    """The terms of a new key."""

    name = Text(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(Scope.choices), min_length=1, max_length=3, required=False
    )
    session_id = session_number(required=False)
    expires_at = serializers.DateTimeField(required=False)
    daily_wei = Wei(required=False)
    daily_tokens = Whole(min_value=0, max_value=LARGEST_ID, required=False)
    requests_per_minute = Whole(min_value=1, max_value=LARGEST_RATE, required=False)
    tokens_per_minute = Whole(min_value=1, max_value=LARGEST_RATE, required=False)
    max_open_tasks = Whole(min_value=1, max_value=LARGEST_RATE, required=False)
    max_open_streams = Whole(min_value=1, max_value=LARGEST_RATE, required=False)

    def validate_expires_at(self, value: Any) -> Any:
        if value <= timezone.now():
            raise serializers.ValidationError("is in the past")
        return value

    def terms(self) -> KeyTerms:
        """Return the terms, without the name."""
        values = {name: value for name, value in self.validated_data.items() if name != "name"}
        if "scopes" in values:
            values["scopes"] = tuple(Scope(scope) for scope in dict.fromkeys(values["scopes"]))
        return KeyTerms(**values)


class KeysView(APIView):
    """`GET /keys`: the account's keys. `POST /keys`: create one, shown in this answer only."""

    permission_classes = (ScopeNeeded,)
    scope = Scope.MANAGE

    def get(self, request: Request) -> Response:
        keys = ApiKey.objects.filter(owner=caller_of(request).address).order_by("-id")
        return Response({"keys": [_shown(key) for key in keys]})

    def post(self, request: Request) -> Response:
        asked = KeySerializer(data=given(request))
        asked.is_valid(raise_exception=True)
        key, secret = make_key(caller_of(request), asked.validated_data["name"], asked.terms())
        answer = Response(_shown(key) | {"key": secret}, status=201)
        answer["Cache-Control"] = "no-store"
        return answer


class KeyView(APIView):
    """`GET /keys/{id}`: a key and its usage today. `DELETE /keys/{id}`: revoke it."""

    permission_classes = (ScopeNeeded,)
    scope = Scope.MANAGE

    def get(self, request: Request, key_id: int) -> Response:
        key = _find(caller_of(request), key_id)
        used = usage_today(key)
        return Response(
            _shown(key)
            | {"used_today": {"since": used.since, "wei": str(used.wei), "tokens": used.tokens}}
        )

    def delete(self, request: Request, key_id: int) -> Response:
        key = _find(caller_of(request), key_id)
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
        return Response(status=204)


def _find(caller: Caller, key_id: int) -> ApiKey:
    key = ApiKey.objects.filter(owner=caller.address, pk=key_id).first()
    if key is None:
        raise KeyNotFound(f"your account has no key {key_id}")
    return key


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "session_id": key.session_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "daily_wei": None if key.daily_wei is None else str(key.daily_wei),
        "daily_tokens": key.daily_tokens,
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "max_open_tasks": key.max_open_tasks,
        "max_open_streams": key.max_open_streams,
    }
