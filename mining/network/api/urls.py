"""The URLs of `/api/v1/network-tasks`."""

from django.urls import path, register_converter

from mining.network.api.views import NetworkTasksView, NetworkTaskView


class TaskNumber:
    """A whole number that the database can hold."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(TaskNumber, "network_task")

urlpatterns = [
    path("", NetworkTasksView.as_view()),
    path("/<network_task:number>", NetworkTaskView.as_view()),
]
