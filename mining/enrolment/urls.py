"""URLs under `/api/v1/nodes`."""

from django.urls import path

from mining.enrolment.views import ChallengeView, EnrolView

urlpatterns = [
    path("challenge", ChallengeView.as_view()),
    path("enrol", EnrolView.as_view()),
]
