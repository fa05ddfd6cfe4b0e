"""`/api/v1/network-tasks`: the work of idle miners. It is public, since all of it is on chain."""

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mining.models import NetworkTask, NetworkTaskState
from mining.network.api.representations import shown, shown_whole
from sessions.faces.common.listing import filters_of, one_of, page_of


class NetworkTasksView(APIView):
    """`GET /network-tasks`: network tasks in pages, the latest first. `state` filters them."""

    def get(self, request: Request) -> Response:
        filters = filters_of(request, {"state": one_of(NetworkTaskState.values)})
        tasks = NetworkTask.objects.filter(**filters).order_by("-number")
        if "limit" not in request.query_params and "offset" not in request.query_params:
            tasks = tasks[:DEFAULT_PAGE]
        return page_of(request, tasks, lambda page: [shown(task) for task in page], "network_tasks")


class NetworkTaskView(APIView):
    """`GET /network-tasks/{number}`: one network task, with the parts of all nodes."""

    def get(self, request: Request, number: int) -> Response:
        task = NetworkTask.objects.filter(pk=number).first()
        if task is None:
            raise Http404
        return Response(shown_whole(task))


DEFAULT_PAGE = 50
"""The size of a page without `limit`. It is bounded, since the network never stops adding tasks."""
