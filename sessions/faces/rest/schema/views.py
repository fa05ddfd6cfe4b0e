"""The descriptions of the REST framework's views: parameters, answers and examples."""

from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_view,
)
from rest_framework.serializers import Serializer

from sessions.faces.openapi import examples
from sessions.faces.rest.schema import shapes
from sessions.models import TaskOrigin, TaskStatus

MINERS, SESSIONS = "Miners", "Sessions and tasks"
ROUTER = "The router"


def _query(name: str, type_: Any, description: str, **options: Any) -> OpenApiParameter:
    return OpenApiParameter(name, type_, OpenApiParameter.QUERY, False, description, **options)


def _in_path(name: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, OpenApiParameter.PATH
    )


PAGE = [
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 200}, "entries in a page"),
    _query("offset", {"type": "integer", "minimum": 0}, "entries before the page"),
]
IN_SESSION = _in_path("session_id")


def _describe(
    view: str,
    shape: type[Serializer],
    example: Any,
    summary: str,
    tag: str,
    *parameters: OpenApiParameter,
    **options: Any,
) -> type[OpenApiViewExtension]:
    described = extend_schema(
        summary=summary,
        tags=[tag],
        parameters=list(parameters),
        responses={200: shape},
        examples=[OpenApiExample("answer", example, response_only=True, status_codes=["200"])],
        **options,
    )

    def view_replacement(self: OpenApiViewExtension) -> Any:
        replaced = type(self.target.__name__, (self.target,), {})
        return extend_schema_view(get=described)(replaced)

    attributes = {
        "target_class": f"sessions.faces.rest.views.{view}",
        "view_replacement": view_replacement,
    }
    return type(f"Described{view.rpartition('.')[2]}", (OpenApiViewExtension,), attributes)


_OF_TASKS = [
    IN_SESSION,
    PAGE[0],
    _query("before", {"type": "integer", "minimum": 1}, "the `next` of the page before"),
    _query("status", OpenApiTypes.STR, "only those in this stage", enum=TaskStatus.values),
    _query("origin", OpenApiTypes.STR, "only those that came this way", enum=TaskOrigin.values),
    _query("client_reference", OpenApiTypes.STR, "only those with this label"),
    _query("created_after", OpenApiTypes.DATETIME, "only those not older than this"),
    _query("created_before", OpenApiTypes.DATETIME, "only those older than this"),
    _query(
        "ordering",
        OpenApiTypes.STR,
        "the newest or the oldest first",
        enum=["-created_at", "created_at"],
    ),
]

DESCRIBED = [
    _describe(
        "router.AboutView",
        shapes.About,
        examples.ABOUT,
        "Who this is; for everybody",
        ROUTER,
        auth=[{}],
    ),
    _describe("router.InfoView", shapes.Info, examples.INFO, "The router and its models", ROUTER),
    _describe("router.StatusView", shapes.Status, examples.STATUS, "Which parts are alive", ROUTER),
    _describe("router.PingView", shapes.Ping, examples.PING, "Whether it answers", ROUTER),
    _describe(
        "router.MinersView",
        shapes.Miners,
        examples.MINERS,
        "The miners that this router knows",
        MINERS,
        *PAGE,
        _query(
            "online", OpenApiTypes.BOOL, "only those that are online, or only those that are not"
        ),
        _query("state", OpenApiTypes.STR, "only those in this state"),
        _query(
            "ordering",
            OpenApiTypes.STR,
            "the field to sort by",
            enum=[
                "reputation",
                "-reputation",
                "tokens_per_s",
                "-tokens_per_s",
                "in_flight",
                "-in_flight",
            ],
        ),
    ),
    _describe(
        "sessions.SessionsView",
        shapes.Sessions,
        {"sessions": [examples.SESSION], "count": 1},
        "Your active sessions",
        SESSIONS,
        *PAGE,
        _query("name", OpenApiTypes.STR, "only those of this name"),
        _query("mode", {"type": "integer", "minimum": 0, "maximum": 2}, "only those of this mode"),
        _query("model_identifier", {"type": "integer", "minimum": 0}, "only those of this model"),
        _query(
            "ordering",
            OpenApiTypes.STR,
            "the field to sort by",
            enum=["session_id", "-session_id", "created_at", "-created_at"],
        ),
    ),
    _describe(
        "sessions.SessionView",
        shapes.Session,
        examples.SESSION,
        "One session and its money",
        SESSIONS,
        IN_SESSION,
    ),
    _describe(
        "sessions.TasksView",
        shapes.Tasks,
        {"tasks": [examples.TASK], "next": None},
        "A session's tasks, the newest first",
        SESSIONS,
        *_OF_TASKS,
    ),
    _describe(
        "sessions.TaskView",
        shapes.TaskWithMiners,
        examples.TASK_WITH_MINERS,
        "One task with every miner's part in it",
        SESSIONS,
        IN_SESSION,
        _in_path("task_id"),
    ),
    _describe(
        "sessions.PublishedTasksView",
        shapes.PublishedTasks,
        {"tasks": [examples.PUBLISHED_TASK], "next": None},
        "A session's tasks, with the contract's numbers of their stages",
        SESSIONS,
        *_OF_TASKS,
    ),
    _describe(
        "sessions.PublishedTaskView",
        shapes.PublishedTaskWithMiners,
        examples.PUBLISHED_TASK_WITH_MINERS,
        "One task, with the contract's number of its stage",
        SESSIONS,
        IN_SESSION,
        _in_path("task_id"),
    ),
]
