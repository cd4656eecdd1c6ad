from typing import cast
from uuid import UUID

import msgspec
import structlog
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contracts.users import Identity
from modules.payments.api.serializers import PaymentOut
from modules.payments.provider import Callback
from modules.payments.selectors import payment_of
from modules.payments.service import UnknownPayment, payment_settle
from modules.payments.signature import HEADER, InvalidSignature, verify

log = structlog.get_logger(__name__)


class PaymentView(APIView):
    @extend_schema(responses=PaymentOut)
    def get(self, request: Request, order_id: UUID) -> Response:
        """The payment of an order: a customer's own, or any for staff."""
        identity = cast(Identity, request.user)
        payment = payment_of(order_id=order_id, customer_id=None if identity.is_staff else identity.id)
        if payment is None:
            raise Http404
        return Response(msgspec.to_builtins(payment))


@csrf_exempt
@require_POST
def callback(request: HttpRequest) -> JsonResponse:
    """The provider tells an outcome: 200 once it is kept, also when it is told again; 400, 401 and 404 else.

    The signature is over the body as it came, so it is verified before anything is read from it.
    """
    try:
        verify(request.headers.get(HEADER, ""), request.body)
    except InvalidSignature as error:
        log.warning("callback refused", why=str(error))
        return _problem(401, "invalid_signature", f"{HEADER}: {error}")
    try:
        told = msgspec.json.decode(request.body, type=Callback)
    except msgspec.MsgspecError as error:
        log.warning("callback not understood", why=str(error))
        return _problem(400, "invalid_body", str(error))
    try:
        payment_settle(payment_id=told.key, outcome=told.outcome)
    except UnknownPayment:
        log.error("callback for an unknown payment", payment=str(told.key), outcome=told.outcome.state)
        return _problem(404, "unknown_payment", f"no payment has the id {told.key}")
    return JsonResponse({"received": True})


def _problem(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse({"detail": detail, "code": code}, status=status)
