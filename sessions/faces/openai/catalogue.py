"""The models, by the names that OpenAI's clients use.

A model's id is the stem of its file (`cortensor-mini`), or the Hugging Face repository that it
comes from (`owner/repo`). The decimal number of its `modelIdentifier` is accepted too.
"""

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from django.conf import settings

from chain.postgres.prepared import Prepared
from chain.protocol.params import LlmParams
from sessions import ports
from sessions.faces.common.limits import generation_defaults
from sessions.faces.openai.errors import OpenAIError
from sessions.models import ModelPrice

OWNER = "cortensor"
_REPOSITORY = re.compile(r"(?P<name>[\w.-]+/[\w.-]+?)(?::.*)?")


@dataclass(frozen=True)
class PricedModel:
    """A model that is served here and priced on chain. Prices are in wei of $COR per token."""

    identifier: int
    context_tokens: int
    input_price_wei: int
    output_price_wei: int
    defaults: LlmParams

    @property
    def name(self) -> str:
        return public_name(self.identifier)

    def to_json(self) -> dict[str, Any]:
        """Return OpenAI's model object. `created` is 0, since it is not known."""
        return {
            "id": self.name,
            "object": "model",
            "created": 0,
            "owned_by": OWNER,
            "model_identifier": self.identifier,
            "context_length": self.context_tokens,
            "defaults": generation_defaults(self.defaults),
            "input_price_wei": str(self.input_price_wei),
            "output_price_wei": str(self.output_price_wei),
        }


def public_name(identifier: int) -> str:
    """Return a model's id, or its number if it is no longer served."""
    source = settings.MODELS.get(identifier)
    if source is None:
        return str(identifier)
    if source.endswith(".gguf") and ":" not in source:
        return PurePath(source).stem
    match = _REPOSITORY.fullmatch(source)
    return match["name"] if match else PurePath(source).stem


def served_models() -> list[PricedModel]:
    """Return all models that tasks can use, ordered by their numbers."""
    return [model for row in _PRICES.rows() if (model := _served(*map(int, row))) is not None]


def find_model(name: str) -> PricedModel:
    """Return the model with this name.

    Raises:
        OpenAIError: there is no such model (404).
    """
    for model in served_models():
        if name in (model.name, str(model.identifier)):
            return model
    raise OpenAIError(
        f"The model '{name[:100]}' does not exist or is not served here; GET /v1/models lists"
        " those that are.",
        param="model",
        code="model_not_found",
        status=404,
    )


_PRICES = Prepared(
    lambda: ModelPrice.objects.order_by("model_identifier").values_list(
        "model_identifier", "input_price_wei", "output_price_wei"
    )
)


def _served(identifier: int, input_price_wei: int, output_price_wei: int) -> PricedModel | None:
    try:
        counter = ports.prompt_counter()
        context_tokens, defaults = counter.context_length(identifier), counter.defaults(identifier)
    except LookupError:
        return None
    return PricedModel(identifier, context_tokens, input_price_wei, output_price_wei, defaults)
