"""Every address the router answers."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("cortensor_site.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/nodes/", include("mining.enrolment_urls")),
    path("api/v1/", include("sessions.api.urls")),
]
