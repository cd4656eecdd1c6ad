from django.urls import path

from shop.storefront import accounts, basket_pages, catalogue, checkout, orders
from shop.storefront.pages import kindly

urlpatterns = [
    path("", kindly(catalogue.catalogue), name="catalogue"),
    path("products/<path:sku>/", kindly(catalogue.product), name="product"),
    path("basket/", basket_pages.basket, name="basket"),
    path("basket/add/", basket_pages.basket_add, name="basket-add"),
    path("basket/set/", basket_pages.basket_set, name="basket-set"),
    path("checkout/", kindly(checkout.checkout), name="checkout"),
    path("checkout/placed/", checkout.checkout_placed, name="checkout-placed"),
    path("orders/", kindly(orders.orders), name="my-orders"),
    path("orders/<uuid:order_id>/", kindly(orders.order), name="my-order"),
    path("orders/<uuid:order_id>/status/", kindly(orders.order_status), name="my-order-status"),
    path("sign-in/", kindly(accounts.sign_in), name="sign-in"),
    path("sign-out/", accounts.sign_out, name="sign-out"),
    path("register/", kindly(accounts.register), name="register"),
]
