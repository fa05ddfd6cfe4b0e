"""The router's ASGI application: HTTP by Django, WebSocket by Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cortensor_site.settings")
http = get_asgi_application()

# Consumers import models, so these imports have to come after the line that sets up Django.
from cortensor_site.web.address_form import AddressForm  # noqa: E402
from cortensor_site.web.body_limit import BodyLimit  # noqa: E402
from sessions.faces.sockets.origin import OriginCheck  # noqa: E402
from sessions.faces.sockets.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": AddressForm(BodyLimit(http)),
        "websocket": OriginCheck(AddressForm(URLRouter(websocket_urlpatterns))),
    }
)
