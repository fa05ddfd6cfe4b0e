"""The URL patterns of `/v1`."""

from django.urls import path, re_path

from sessions.faces.openai.completion_views import chat_completions, completions
from sessions.faces.openai.embedding_views import embeddings
from sessions.faces.openai.errors import not_found
from sessions.faces.openai.model_views import ModelsView, ModelView

urlpatterns = [
    path("models", ModelsView.as_view()),
    path("models/<path:name>", ModelView.as_view()),
    path("chat/completions", chat_completions),
    path("completions", completions),
    path("embeddings", embeddings),
    re_path("", not_found),
]
