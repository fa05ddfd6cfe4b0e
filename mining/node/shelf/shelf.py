"""The models that a node serves, and which of them are in memory.

A model is loaded when a job needs it. Where the memory budget has no room for one more, those go
that nobody uses, the least recently used first; one that is at work is never taken away.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from mining.node.engine.generation import Generation, GenerationError, GenerationRequest
from mining.node.errors import NodeError
from mining.node.llm.llama import LlamaError
from mining.node.llm.prompts import ModelPrompts, ModelUnknown
from mining.node.shelf.memory import NotEnoughMemory, in_mib

logger = logging.getLogger(__name__)


class TextEngine(Protocol):
    """What makes text of prompts, here or on another server."""

    tokens_per_s: float

    def submit(self, request: GenerationRequest) -> Generation:
        """Put a request in line; raise GenerationError or PromptError."""

    def close(self) -> None:
        """Stop, and free what it holds."""


class NoRoom(Exception):
    """Other models are at work in the memory that this one needs. `code` is for reports."""

    code = "busy"


class ModelUnavailable(GenerationError):
    """The model could not be loaded."""

    code = "model_unavailable"

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


@dataclass(frozen=True)
class ShelvedModel:
    """A model that can be loaded, its prompts readable before.

    Args:
        needed_bytes: what it takes of the budget while it is loaded.
        canonical: whether it draws tokens by the protocol's rule, so that others can check them.
    """

    identifier: int
    prompts: ModelPrompts
    needed_bytes: int
    load: Callable[[], TextEngine]
    canonical: bool = True


class Place:
    """A model's place on the shelf, held by whoever works with it."""

    def __init__(self, model: ShelvedModel) -> None:
        self.model = model
        self.users = 0
        self.reserved = False
        """Whether the budget counts it: it is in memory, or will be."""
        self.used_at = 0.0
        self.loaded: TextEngine | None = None
        self._loading = threading.Lock()

    def engine(self) -> TextEngine:
        """The model, loaded; raise ModelUnavailable. Whoever asks meanwhile waits for it."""
        with self._loading:
            if self.loaded is None:
                started = time.monotonic()
                try:
                    self.loaded = self.model.load()
                except (LlamaError, GenerationError, OSError) as error:
                    temporary = isinstance(error, NodeError) and error.temporary
                    raise ModelUnavailable(
                        f"model {self.model.identifier}: {error}", temporary=temporary
                    ) from error
                took_s = time.monotonic() - started
                logger.info("model %d is loaded, in %.1f s", self.model.identifier, took_s)
            return self.loaded


class Shelf:
    """Models within a memory budget. Threads may share it.

    Args:
        budget_bytes: what the loaded models may take together; all that they want if None.

    Raises:
        NotEnoughMemory: a model takes more than the whole budget.
    """

    def __init__(self, models: Iterable[ShelvedModel], budget_bytes: int | None = None) -> None:
        self._places = {model.identifier: Place(model) for model in models}
        self._budget_bytes = budget_bytes
        self._changed = threading.Condition()
        for model in (place.model for place in self._places.values()):
            if budget_bytes is not None and model.needed_bytes > budget_bytes:
                raise NotEnoughMemory(
                    f"MEMORY_BUDGET: model {model.identifier} takes about"
                    f" {in_mib(model.needed_bytes)}, and {in_mib(budget_bytes)} are there; lower"
                    " SLOTS or CONTEXT_TOKENS, serve a smaller model, or raise the budget"
                )

    @property
    def identifiers(self) -> list[int]:
        """The numbers of all models, in order."""
        return sorted(self._places)

    @property
    def canonical(self) -> bool:
        """Whether all models draw tokens by the protocol's rule."""
        return all(place.model.canonical for place in self._places.values())

    def prompts(self, identifier: int) -> ModelPrompts:
        """How a model reads prompts, loaded or not; raise ModelUnknown."""
        return self._place(identifier).model.prompts

    def speeds(self) -> dict[int, float]:
        """The models in memory, each with the tokens a second that it has lately made."""
        with self._changed:
            return {
                number: place.loaded.tokens_per_s
                for number, place in sorted(self._places.items())
                if place.loaded is not None
            }

    @contextmanager
    def take(self, identifier: int, wait_s: float) -> Iterator[Place]:
        """Hold a model's place, so that it stays; its `engine` loads it where needed.

        Raises:
            ModelUnknown: it is not served here.
            NoRoom: for `wait_s`, other models at work have left too little memory for it.
        """
        place = self._place(identifier)
        gone = self._reserve(place, wait_s)
        try:
            for engine in gone:
                engine.close()
            yield place
        finally:
            with self._changed:
                place.users -= 1
                place.used_at = time.monotonic()
                place.reserved = place.users > 0 or place.loaded is not None
                self._changed.notify_all()

    def preload(self) -> None:
        """Load the models, in the order of their numbers, as far as they have room together.

        Raises ModelUnavailable.
        """
        for identifier in self.identifiers:
            needed = self._places[identifier].model.needed_bytes
            if self._budget_bytes is None or self._taken() + needed <= self._budget_bytes:
                with self.take(identifier, 0) as place:
                    place.engine()

    def close(self) -> None:
        """Stop all engines; what they have not finished ends with EngineClosed."""
        for place in self._places.values():
            if place.loaded is not None:
                place.loaded.close()
                place.loaded = None

    def _place(self, identifier: int) -> Place:
        if identifier not in self._places:
            raise ModelUnknown(
                f"model_identifier: {identifier} is not served; this miner has"
                f" {', '.join(map(str, self.identifiers))}"
            )
        return self._places[identifier]

    def _reserve(self, place: Place, wait_s: float) -> list[TextEngine]:
        """Count a model as one at work; the engines that have to go for it."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(place), wait_s):
                raise NoRoom(
                    f"node: model {place.model.identifier} needs memory in which others are at"
                    " work; give the job to another"
                )
            gone = []
            while not place.reserved and self._exceeds_with(place):
                idle = min(
                    (p for p in self._places.values() if p.reserved and not p.users),
                    key=lambda p: p.used_at,
                )
                logger.info("model %d is unloaded: it was not in use", idle.model.identifier)
                if idle.loaded is not None:
                    gone.append(idle.loaded)
                idle.loaded, idle.reserved = None, False
            place.users += 1
            place.reserved = True
            return gone

    def _has_room(self, place: Place) -> bool:
        if place.reserved or self._budget_bytes is None:
            return True
        at_work = sum(p.model.needed_bytes for p in self._places.values() if p.users)
        return at_work + place.model.needed_bytes <= self._budget_bytes

    def _exceeds_with(self, place: Place) -> bool:
        if self._budget_bytes is None:
            return False
        return self._taken() + place.model.needed_bytes > self._budget_bytes

    def _taken(self) -> int:
        return sum(p.model.needed_bytes for p in self._places.values() if p.reserved)
