from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from shop.health import healthz

urlpatterns = [
    *[path(f"api/{module}/", include(f"modules.{module}.api.urls")) for module in settings.MODULES],
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/", SpectacularSwaggerView.as_view(url_name="schema"), name="api"),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("", include("contracts.runtime.http.server")),
    path("", include("shop.storefront.urls")),
]
if settings.DEBUG_TOOLBAR:
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))

handler404 = "shop.storefront.pages.not_found"
handler500 = "shop.storefront.pages.failed"
