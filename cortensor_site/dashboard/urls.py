"""The dashboard's URLs."""

from django.urls import path

from cortensor_site.dashboard import views

urlpatterns = [
    path("", views.index, name="dashboard"),
    path("dashboard/snapshot.json", views.snapshot, name="dashboard-snapshot"),
]
