"""`/auth`: sign-in with Ethereum for people, who get a session cookie.

A browser gets a nonce (`GET nonce`), lets the wallet sign the message, and sends it (`POST
sign-in`). The answer has a CSRF token. Each later request that changes something sends the token in
the header `X-CSRFToken`.
"""

from django.conf import settings
from django.middleware.csrf import get_token, rotate_token
from django.utils import timezone
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chain.deployed.contracts import deployment
from sessions.access import rates
from sessions.access.errors import CredentialsRefused
from sessions.access.sign_in import MAX_MESSAGE_CHARACTERS, NONCE_TTL, new_nonce, sign_in
from sessions.faces.common.authentication import ACCOUNT, require_same_origin, signed_in_account
from sessions.faces.common.fields import Text

SIGNATURE_CHARACTERS = 132


class SignInSerializer(serializers.Serializer):
    """A message and its signature."""

    message = Text(max_length=MAX_MESSAGE_CHARACTERS)
    signature = Text(max_length=SIGNATURE_CHARACTERS)


class _PublicView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def finalize_response(self, request: Request, response: Response, *args: object) -> Response:
        answer = super().finalize_response(request, response, *args)
        answer["Cache-Control"] = "no-store"
        return answer


class NonceView(_PublicView):
    """`GET /auth/nonce`: the values that a sign-in message must have."""

    def get(self, request: Request) -> Response:
        return Response(
            {
                "nonce": new_nonce(),
                "domain": _domain(request),
                "uri": request._request.build_absolute_uri("/"),
                "version": "1",
                "chain_id": deployment().chain_id,
                "expires_at": timezone.now() + NONCE_TTL,
            }
        )


class SignInView(_PublicView):
    """`POST /auth/sign-in`: exchange a signed message for a session cookie."""

    def post(self, request: Request) -> Response:
        asked = SignInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            signed_in = sign_in(
                asked.validated_data["message"],
                asked.validated_data["signature"],
                domain=_domain(request),
                chain_id=deployment().chain_id,
            )
        except CredentialsRefused:
            rates.count_failure()
            raise
        session = request._request.session
        # A new session key prevents session fixation.
        session.cycle_key()
        session[ACCOUNT] = signed_in.address
        session.set_expiry(_lasts_s(signed_in.until))
        rotate_token(request._request)
        return Response(_signed_in(request, signed_in.address))


class SignedInView(_PublicView):
    """`GET /auth/session`: the account that has signed in from this browser."""

    def get(self, request: Request) -> Response:
        account = signed_in_account(request._request)
        if not account:
            raise CredentialsRefused("nobody has signed in", remedy="see POST /api/v1/auth/sign-in")
        return Response(_signed_in(request, account))


class SignOutView(_PublicView):
    """`POST /auth/sign-out`: end the session and invalidate its cookie."""

    def post(self, request: Request) -> Response:
        require_same_origin(request._request)
        request._request.session.flush()
        return Response(status=204)


def _signed_in(request: Request, account: str) -> dict[str, object]:
    return {
        "account": account,
        "expires_at": request._request.session.get_expiry_date(),
        "csrf_token": get_token(request._request),
    }


def _domain(request: Request) -> str:
    # Django has checked that it is one of ALLOWED_HOSTS.
    return request._request.get_host()


def _lasts_s(until: object) -> int:
    longest = int(settings.SIGN_IN_LASTS_S)
    if until is None:
        return longest
    left = (until - timezone.now()).total_seconds()  # type: ignore[operator]
    return max(min(longest, int(left)), 1)
