"""The router's ASGI application: HTTP by Django, WebSocket by Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")
http = get_asgi_application()

# Consumers import models, which must wait until Django is set up by the line above.
from sessions.live.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        # Any origin: no cookie opens a socket, only the API key that a client sends itself, and
        # clients that are no browsers send no origin.
        "websocket": URLRouter(websocket_urlpatterns),
    }
)
