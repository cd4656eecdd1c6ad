from typing import cast
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contracts.inventory import UnknownProduct
from contracts.users import Identity, UnknownCustomer
from modules.orders.api.serializers import OrderIn, OrderOut, OrderPageOut, PageIn
from modules.orders.selectors import as_answer, order_get, order_list
from modules.orders.service import order_place

KEY_LENGTH = 200


class OrdersView(APIView):
    @extend_schema(operation_id="orders_list", parameters=[PageIn], responses=OrderPageOut)
    def get(self, request: Request) -> Response:
        """The orders of whoever asks, the newest first."""
        page = PageIn(data=request.query_params)
        page.is_valid(raise_exception=True)
        limit = page.validated_data["limit"]
        orders = order_list(customer_id=_identity(request).id, before=page.validated_data["before"], limit=limit)
        return Response(
            {
                "orders": [as_answer(order) for order in orders],
                "before": str(orders[-1].id) if len(orders) == limit else None,
            }
        )

    @extend_schema(
        request=OrderIn,
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=True)],
        responses={
            201: OrderOut,
            403: OpenApiResponse(description="Not an active customer (unknown_customer)."),
            422: OpenApiResponse(description="unknown_product, or key_reused for another order."),
            503: OpenApiResponse(description="Nothing was placed; send it again with the same key."),
        },
    )
    def post(self, request: Request) -> Response:
        """Place an order. Sent again with the same Idempotency-Key it is the same order and the same answer."""
        key = _idempotency_key(request)
        body = OrderIn(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            answer = order_place(customer_id=_identity(request).id, key=key, **body.validated_data)
        except UnknownProduct as error:
            return _problem(422, "unknown_product", f"No product on sale has the sku {error.sku!r}.")
        except UnknownCustomer:
            return _problem(403, "unknown_customer", "Only an active customer can order; sign in again.")
        return Response(answer.body, status=answer.status, headers={"Location": f"{request.path}{answer.body['id']}/"})


class OrderView(APIView):
    @extend_schema(operation_id="orders_get", responses=OrderOut)
    def get(self, request: Request, order_id: UUID) -> Response:
        """One order with its timeline: a customer's own, or any for staff."""
        identity = _identity(request)
        order = order_get(order_id=order_id, customer_id=None if identity.is_staff else identity.id)
        if order is None:
            raise Http404
        return Response(as_answer(order))


def _identity(request: Request) -> Identity:
    return cast(Identity, request.user)


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise ValidationError({"Idempotency-Key": ["This header is required: a new key for each new order."]})
    if len(key) > KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise ValidationError({"Idempotency-Key": [f"At most {KEY_LENGTH} printable ASCII characters."]})
    return key


def _problem(status: int, code: str, detail: str) -> Response:
    return Response({"detail": detail, "code": code}, status=status)
