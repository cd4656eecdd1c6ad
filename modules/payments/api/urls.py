from django.urls import path

from modules.payments.api.views import PaymentView, callback

urlpatterns = [
    path("callbacks/", callback, name="payment-callback"),
    path("<uuid:order_id>/", PaymentView.as_view(), name="payment"),
]
