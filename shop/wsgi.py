import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_wsgi_application()

# What Django and Celery import when they first need it is imported here, while no customer waits: views, and the
# broker's transport, which held the first orders up for two seconds.
from shop.celery import app as celery_app  # noqa: E402

_ = get_resolver().url_patterns
celery_app.connection_for_write().get_transport_cls()
