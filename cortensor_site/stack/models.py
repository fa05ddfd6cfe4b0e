"""The models that a network on one machine serves, by the model numbers that sessions use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cortensor_site.stack.chat_model import SMOLLM2, FetchFailed, obtain
from mining.node.config import SHIPPED_MODEL
from mining.node.shelf.model_trial import ModelUnfit, require_sound

CHAT, SHIPPED = 1, 2
"""Model numbers. They are fixed: the shipped model keeps its number even if it serves alone."""

Say = Callable[[str], None]
Obtain = Callable[[Say], Path]


@dataclass(frozen=True)
class ServedModels:
    """The sources of models by their numbers. The examples use the first one."""

    sources: dict[int, str]

    @property
    def first(self) -> int:
        return min(self.sources)


def choose(asked: str | None, say: Say, obtain_chat: Obtain | None = None) -> ServedModels:
    """Return the models to serve: the given one, or by default the chat model and the shipped one.

    If the chat model cannot be fetched or does not run on this machine, the shipped model serves
    alone, and `say` reports it.

    Args:
        asked: a GGUF file or a Hugging Face repository; None or empty for the default.
        obtain_chat: fetches the chat model.
    """
    if asked:
        return ServedModels({CHAT: asked})
    shipped = {SHIPPED: str(SHIPPED_MODEL)}
    try:
        path = (obtain_chat or _obtain)(say)
    except (FetchFailed, ModelUnfit, OSError) as error:
        say(f"the chat model {SMOLLM2.name} cannot be served: {error}")
        say(
            f"the small model that ships with the project ({SHIPPED_MODEL.stem}) serves alone; it"
            " knows little. The next start tries again"
        )
        return ServedModels(shipped)
    return ServedModels({CHAT: str(path)} | shipped)


def _obtain(say: Say) -> Path:
    """Return the chat model's file, after the model has generated a token on this machine."""
    path = obtain(SMOLLM2, say)
    require_sound(path, passed=path.parent / "tried")
    return path
