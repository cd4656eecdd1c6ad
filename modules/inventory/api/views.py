from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contracts.inventory import UnknownProduct
from contracts.runtime import transaction
from contracts.runtime.idempotency import Answer, Repeated, answer_to, record
from modules.inventory import selectors, service
from modules.inventory.api.serializers import (
    CatalogueQuerySerializer,
    CatalogueSerializer,
    IdempotencyKeySerializer,
    ProductSerializer,
    ReceiptSerializer,
    StockSerializer,
)


class CatalogueView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="inventory_catalogue", parameters=[CatalogueQuerySerializer], responses=CatalogueSerializer
    )
    def get(self, request: Request) -> Response:
        """Products on sale, a page at a time; `after` asks for the next."""
        query = CatalogueQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(msgspec.to_builtins(selectors.product_list(**query.validated_data)))


class ProductView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="inventory_product", responses=ProductSerializer)
    def get(self, request: Request, sku: str) -> Response:
        """A product on sale."""
        try:
            return Response(msgspec.to_builtins(selectors.product_get(sku=sku)))
        except UnknownProduct as error:
            raise _not_found(sku) from error


class ReceiveView(APIView):
    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="inventory_receive",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=True)],
        request=ReceiptSerializer,
        responses=StockSerializer,
    )
    def post(self, request: Request, sku: str) -> Response:
        """Put received pieces on the shelf; the same Idempotency-Key again changes nothing."""
        form = ReceiptSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        header = IdempotencyKeySerializer(data={"idempotency_key": request.headers.get("Idempotency-Key", "")})
        header.is_valid(raise_exception=True)
        once = {
            "scope": f"receive:{request.user.pk}",
            "key": header.validated_data["idempotency_key"],
            "request": {"sku": sku, **form.validated_data},
        }
        answer = answer_to("inventory", **once) or self._receive(sku, form.validated_data["quantity"], once)
        return Response(answer.body, status=answer.status)

    def _receive(self, sku: str, quantity: int, once: dict[str, Any]) -> Answer:
        try:
            with transaction("inventory"):
                stock = service.stock_receive(sku=sku, quantity=quantity)
                answer = Answer(200, {"sku": sku, "received": stock.received, "on_hand": stock.on_hand})
                record("inventory", **once, answer=answer)
        except UnknownProduct as error:
            raise _not_found(sku) from error
        except Repeated:
            given = answer_to("inventory", **once)
            assert given is not None
            return given
        return answer


def _not_found(sku: str) -> NotFound:
    return NotFound({"detail": f"No product has the sku {sku!r}.", "code": "unknown_product"})
