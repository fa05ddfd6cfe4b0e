"""`POST /api/v1/x402/completions`: a completion for a client that pays for it."""

import time
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from chain.deployed.contracts import deployment
from sessions.access import rates
from sessions.errors import RelayError
from sessions.faces.common.answering import completion_object, judged_header, results_of, wait_s
from sessions.faces.common.completion_body import CompletionBody, read_completion
from sessions.faces.common.limits import max_tokens_header
from sessions.faces.common.problems import problem_response, require_method
from sessions.faces.common.request_id import request_id
from sessions.faces.common.sse import EventStream, answer_events
from sessions.faces.x402 import payments, settlement, till, wire
from sessions.faces.x402.errors import PaymentRefused, Reason, SettlementSlow
from sessions.faces.x402.offer import Offer
from sessions.intake import acceptance
from sessions.models import Payment, PaymentStatus
from sessions.streams.reader import current_reader

SETTLEMENT_WAIT_S = 60.0
LOOK_EVERY_S = 2.0
"""Seconds between checks of a payment, because its announcement may be lost."""


@dataclass(frozen=True)
class Call:
    """One request: its body, its price, and the payment that was accepted for it."""

    body: CompletionBody
    offer: Offer
    payment: Payment
    version: int

    @property
    def settlement(self) -> dict[str, str]:
        """The header that reports the payment's state."""
        return wire.settlement(self.payment, self._network, self.version)

    @property
    def _network(self) -> str:
        offer = self.offer
        return offer.network if self.version > 1 else offer.network_in_version_1


class _NotPaid(Exception):
    """A payment was refused. `offer` has the terms of a valid payment."""

    def __init__(self, offer: Offer, refusal: PaymentRefused) -> None:
        super().__init__(refusal.detail)
        self.offer, self.refusal = offer, refusal


@csrf_exempt
async def paid_completions(request: HttpRequest, session_id: int | None = None) -> HttpResponseBase:
    """Accept the task and its payment, wait for the transfer, then answer like `completions`.

    Miners begin at once. No part of the answer is sent before the chain has made the transfer.
    """
    try:
        require_method(request, "POST")
        call = await sync_to_async(_take)(request, session_id)
    except _NotPaid as error:
        return _payment_required(error.offer, error.refusal)
    except Exception as error:
        return problem_response(error)
    try:
        payment = await _settled(call.payment)
        call = Call(call.body, call.offer, payment, call.version)
        if payment.status == PaymentStatus.REFUSED:
            refused = PaymentRefused(Reason.TRANSACTION, f"not settled: {payment.error}")
            return _with(_payment_required(call.offer, refused), call.settlement)
        shorter = max_tokens_header([call.body.request], [call.payment.task])
        return _with(await _answer(call), call.settlement | shorter)
    except Exception as error:
        return _with(problem_response(error), call.settlement)


def _take(request: HttpRequest, session_id: int | None) -> Call:
    try:
        payment = None
        rates.admit_visitor()
        body = read_completion(request.body, session_id, till.default_session_id())
        session = till.find_session(body.session_id)
        offer = _offer(request, acceptance.quote(body.request, session))
        try:
            payment = wire.read_payment(request.headers)
            if payment is None:
                raise PaymentRefused(Reason.REQUIRED, f"pay first: {offer.description}")
            taken = payments.take(
                body.request,
                session,
                offer,
                payment,
                stream=body.stream,
                request_id=request_id(request),
            )
        except PaymentRefused as error:
            raise _NotPaid(offer, error) from error
        return Call(body, offer, taken, payment.version)
    finally:
        _give_back_connection()


def _offer(request: HttpRequest, quote: acceptance.Quote) -> Offer:
    network = deployment()
    public = settings.PUBLIC_URL
    return Offer(
        amount_wei=quote.reserve_wei,
        chain_id=network.chain_id,
        asset=network.addresses["CortensorToken"],
        pay_to=till.address(),
        resource=f"{public}{request.path}" if public else request.build_absolute_uri(request.path),
        max_tokens=quote.max_tokens,
        input_tokens=quote.input_tokens,
    )


async def _settled(payment: Payment) -> Payment:
    """Wait until the chain has made or refused the transfer.

    Raises:
        SettlementSlow: it has done neither within `SETTLEMENT_WAIT_S` seconds.
        RelayError: live streams are down, or this process is about to stop.
    """
    until = time.monotonic() + SETTLEMENT_WAIT_S
    async with current_reader().follower() as follower:
        follower.add(settlement.stream_key(payment))
        while True:
            payment = await sync_to_async(_advance)(payment)
            if payment.status != PaymentStatus.PENDING:
                return payment
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise SettlementSlow(
                    "the chain has not made the transfer yet; the task goes on",
                    remedy="send the same request with the same payment again: it is the same"
                    " task, and is paid for once",
                )
            await follower.read(min(left_s, LOOK_EVERY_S))


def _advance(payment: Payment) -> Payment:
    try:
        return settlement.advance(payment)
    finally:
        _give_back_connection()


async def _answer(call: Call) -> HttpResponseBase:
    task = call.payment.task
    if call.body.stream:
        return EventStream(answer_events(task, wait_s(task)))
    try:
        results = await results_of(task)
    except RelayError as error:
        error.extra |= {"session_id": task.session_id, "task_id": task.task_id}
        error.remedy = "what you paid is paid back if the task comes to nothing"
        raise
    return JsonResponse(
        completion_object(task, results, call.body.request.max_miners),
        headers=judged_header(results),
    )


def _payment_required(offer: Offer, refusal: PaymentRefused) -> HttpResponse:
    body, header = wire.payment_required(offer, refusal)
    return JsonResponse(
        body, status=402, headers={wire.REQUIRED_HEADER: header, "Cache-Control": "no-store"}
    )


def _with(response: HttpResponseBase, headers: dict[str, Any]) -> HttpResponseBase:
    for name, value in headers.items():
        response[name] = value
    return response


def _give_back_connection() -> None:
    # The answer may take minutes, and the connection pool is small.
    if not connection.in_atomic_block:
        connection.close()
