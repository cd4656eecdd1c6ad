from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "modules.orders"
    label = "orders"
