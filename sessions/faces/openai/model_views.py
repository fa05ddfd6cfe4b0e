"""`GET /models` and `GET /models/{id}`."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sessions import ports
from sessions.faces.openai.catalogue import OWNER, find_model, served_models
from sessions.faces.openai.errors import error_response


def _handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    return error_response(error)


class OpenAIView(APIView):
    """A view that answers errors in OpenAI's form."""

    def get_exception_handler(self) -> Any:
        return _handle


class ModelsView(OpenAIView):
    """All models: those that tasks can use, and the embedding model."""

    def get(self, request: Request) -> Response:
        models = [model.to_json() for model in served_models()]
        return Response({"object": "list", "data": [*models, embedding_model()]})


class ModelView(OpenAIView):
    """One model, by its id."""

    def get(self, request: Request, name: str) -> Response:
        if name == ports.embedder().name:
            return Response(embedding_model())
        return Response(find_model(name).to_json())


def embedding_model() -> dict[str, Any]:
    """Return the model object of the router's own embedding model."""
    return {
        "id": ports.embedder().name,
        "object": "model",
        "created": 0,
        "owned_by": OWNER,
    }
