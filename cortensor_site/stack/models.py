"""Which models a network on one machine serves, by the numbers that sessions name them by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cortensor_site.stack.chat_model import SMOLLM2, FetchFailed, obtain
from mining.node.config import SHIPPED_MODEL
from mining.node.shelf.model_trial import ModelUnfit, require_sound

CHAT, SHIPPED = 1, 2
"""A number always stands for the same model: the shipped one does not take the other's place."""

Say = Callable[[str], None]
Obtain = Callable[[Say], Path]


@dataclass(frozen=True)
class ServedModels:
    """Sources of models by their numbers; the first is the one that examples ask."""

    sources: dict[int, str]

    @property
    def first(self) -> int:
        return min(self.sources)


def choose(asked: str | None, say: Say, obtain_chat: Obtain | None = None) -> ServedModels:
    """The models to serve: the one that is asked for, else the chat model and the shipped one.

    Where the chat model cannot be had, or does not run on this machine, the shipped one serves
    alone, and `say` is told.

    Args:
        asked: a GGUF file or a Hugging Face repository; None or empty for the usual ones.
        obtain_chat: how the chat model is had.
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
    """The chat model's file, once it has given a token on this machine."""
    path = obtain(SMOLLM2, say)
    require_sound(path, passed=path.parent / "tried")
    return path
