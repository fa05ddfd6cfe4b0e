"""The URL configuration of the router."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from cortensor_site.metrics.views import metrics
from cortensor_site.web.probes import healthz, readyz
from sessions.faces.common.problems import not_found as no_such_address
from sessions.faces.openai.errors import not_found as no_such_url
from sessions.faces.rest.views.contents import content

urlpatterns = [
    path("healthz", healthz),
    path("health", healthz),  # the name that clients of the deployed network use
    path("readyz", readyz),
    path("metrics", metrics),
    path("ipfs/<str:cid>", content),
    path("", include("cortensor_site.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema")),
    path("api/v1/nodes/", include("mining.enrolment.urls")),
    path("api/v1/network-tasks", include("mining.network.api.urls")),
    path("api/v1/x402/", include("sessions.faces.x402.urls")),
    path("api/v1/", include("sessions.faces.rest.urls")),
    path("api/v2/", include("sessions.faces.rest.v2_urls")),
    path("v1/", include("sessions.faces.openai.urls")),
    # A program that requests an unknown address gets an error in its API's format, not a page.
    re_path(r"^api(?:/|$)", no_such_address),
    path("v1", no_such_url),
]

handler400 = "cortensor_site.web.error_pages.bad_request"
handler403 = "cortensor_site.web.error_pages.forbidden"
handler404 = "cortensor_site.web.error_pages.not_found"
handler500 = "cortensor_site.web.error_pages.server_error"
