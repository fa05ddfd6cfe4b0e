"""Every address the router answers."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("cortensor_site.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("sessions.api.urls")),
    path("api/v2/", include("sessions.api.v2_urls")),
    path("v1/", include("sessions.openai.urls")),
]
