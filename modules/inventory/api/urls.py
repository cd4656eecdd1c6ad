from django.urls import path

from modules.inventory.api.views import CatalogueView, ProductView, ReceiveView

urlpatterns = [
    path("", CatalogueView.as_view(), name="inventory-catalogue"),
    path("<str:sku>/", ProductView.as_view(), name="inventory-product"),
    path("<str:sku>/receive/", ReceiveView.as_view(), name="inventory-receive"),
]
