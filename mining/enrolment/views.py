"""The views by which a node gets its mailbox.

They need no credentials, since the request itself contains the proof.
"""

from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chain.deployed.contracts import deployment
from mining.enrolment.proof import (
    CHALLENGE_S,
    EnrolmentRefused,
    NoRoom,
    challenge_for,
    enrol_by_proof,
)
from mining.enrolment.redis_users import NoSuchAddress
from mining.node.protocol.names import mailbox_prefix

MAX_TEXT = 512
NO_ROOM_S = 600
"""The Retry-After of a response that says that there is no room."""


class ChallengeView(APIView):
    """`POST /nodes/challenge`: returns a challenge to sign, and the signing domain."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        try:
            challenge = challenge_for(_text(request, "address"))
        except NoSuchAddress as error:
            raise ValidationError({"address": str(error)}) from error
        network = deployment()
        return Response(
            {
                "challenge": challenge,
                "expires_in_s": CHALLENGE_S,
                "router": request.get_host(),
                "chain_id": network.chain_id,
                "node_pool": network.addresses["NodePool"],
            }
        )


class EnrolView(APIView):
    """`POST /nodes/enrol`: takes a signed challenge, and returns the mailbox's REDIS_URL once."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        address = _text(request, "address")
        text = _text(request, "signature").removeprefix("0x")
        try:
            signature = bytes.fromhex(text)
        except ValueError as error:
            raise ValidationError({"signature": "must be hex text"}) from error
        try:
            url = enrol_by_proof(
                address, _text(request, "challenge"), signature, request.get_host()
            )
        except EnrolmentRefused as error:
            raise PermissionDenied(str(error)) from error
        except NoRoom as error:
            answer = Response({"detail": str(error)}, status=503)
            answer["Retry-After"] = str(NO_ROOM_S)
            return answer
        answer = Response({"redis_url": url, "prefix": mailbox_prefix(address)})
        answer["Cache-Control"] = "no-store"
        return answer


def _text(request: Request, name: str) -> str:
    value = request.data.get(name) if isinstance(request.data, dict) else None
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
        raise ValidationError({name: f"must be a text of 1 to {MAX_TEXT} characters"})
    return value
