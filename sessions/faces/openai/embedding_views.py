"""`POST /embeddings`: vectors of texts by the router's own model, free and without miners."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers

from sessions import embedding_thread, ports
from sessions.faces.common.authentication import bearer
from sessions.faces.common.completion_body import json_object
from sessions.faces.common.fields import Text, Whole
from sessions.faces.openai.errors import OpenAIError, error_response, invalid
from sessions.faces.openai.requests.bodies import OneOrMany
from sessions.faces.openai.requests.parameters import EMBEDDINGS, check

MAX_TEXTS = 64
MAX_CHARACTERS = 8_192


class EmbeddingsBody(serializers.Serializer):
    """The members of an embeddings request."""

    model = Text(max_length=256)
    input = OneOrMany(max_characters=MAX_CHARACTERS, max_length=MAX_TEXTS, allow_empty=False)
    encoding_format = serializers.ChoiceField(choices=["float", "base64"], default="float")
    dimensions = Whole(min_value=1, max_value=2**31 - 1, required=False)


# Shared by all requests: constructing a serializer copies each of its fields.
_BODY = EmbeddingsBody()


@csrf_exempt
async def embeddings(request: HttpRequest) -> HttpResponse:
    """Return one vector for each text."""
    try:
        if request.method != "POST":
            raise OpenAIError(
                f"Send a POST to {request.path}.", code="method_not_allowed", status=405
            )
        body = await sync_to_async(_read)(request)
        vectors, tokens = await embedding_thread.run(_work, body["input"])
        if body.get("dimensions") not in (None, len(vectors[0])):
            raise invalid("dimensions", f"the model has {len(vectors[0])}, no other number")
    except Exception as error:
        return error_response(error)
    encode = _base64 if body["encoding_format"] == "base64" else list
    return JsonResponse(
        {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": index, "embedding": encode(vector)}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _read(request: HttpRequest) -> dict[str, Any]:
    try:
        bearer(request.headers.get("Authorization", ""))
    finally:
        if not connection.in_atomic_block:
            connection.close()
    body = dict(_BODY.run_validation(check(json_object(request.body), EMBEDDINGS)))
    if body["model"] != ports.embedder().name:
        raise OpenAIError(
            f"The model '{body['model'][:100]}' does not embed; use '{ports.embedder().name}'.",
            param="model",
            code="model_not_found",
            status=404,
        )
    return body


def _work(texts: Sequence[str]) -> tuple[list[list[float]], int]:
    embedder = ports.embedder()
    return embedder.embed(texts), sum(map(embedder.count_tokens, texts))


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
