from django.urls import path

from modules.orders.api.views import OrdersView, OrderView

urlpatterns = [
    path("", OrdersView.as_view(), name="orders"),
    path("<uuid:order_id>/", OrderView.as_view(), name="order"),
]
