"""Every address the router answers."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from cortensor_site.metrics.views import metrics
from cortensor_site.probes import healthz, readyz
from sessions.api.content_views import content
from sessions.api.errors import not_found as no_such_address
from sessions.openai.errors import not_found as no_such_url

urlpatterns = [
    path("healthz", healthz),
    path("health", healthz),  # what clients of the deployed network ask
    path("readyz", readyz),
    path("metrics", metrics),
    path("ipfs/<str:cid>", content),
    path("", include("cortensor_site.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema")),
    path("api/v1/nodes/", include("mining.enrolment_urls")),
    path("api/v1/network-tasks", include("mining.network.urls")),
    path("api/v1/", include("sessions.api.urls")),
    path("api/v2/", include("sessions.api.v2_urls")),
    path("v1/", include("sessions.openai.urls")),
    # What a program asks for amiss is answered in its own words, not with a page.
    re_path(r"^api(?:/|$)", no_such_address),
    path("v1", no_such_url),
]

handler400 = "cortensor_site.error_pages.bad_request"
handler403 = "cortensor_site.error_pages.forbidden"
handler404 = "cortensor_site.error_pages.not_found"
handler500 = "cortensor_site.error_pages.server_error"
