"""The models that a node serves, of which some are loaded.

A model is loaded when a job needs it. If the memory budget does not allow another model, the least
recently used models are unloaded. A model that is in use is never unloaded.
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
    """An engine that generates answers, on this machine or on another server."""

    tokens_per_s: float

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request. Raises GenerationError or PromptError."""

    def close(self) -> None:
        """Stop the engine and free its memory."""


class NoRoom(Exception):
    """Models that are in use leave too little memory for this one. `code` goes into reports."""

    code = "busy"


class ModelUnavailable(GenerationError):
    """The model could not be loaded."""

    code = "model_unavailable"

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


@dataclass(frozen=True)
class ShelvedModel:
    """A model that can be loaded. Its prompts can be tokenised before.

    Args:
        identifier: the number by which sessions ask for the model.
        prompts: tokenises the model's prompts.
        needed_bytes: how much of the budget the model takes while it is loaded.
        load: loads the model.
        canonical: whether the model's tokens are drawn by the protocol's rule, so that others can
            check them.
    """

    identifier: int
    prompts: ModelPrompts
    needed_bytes: int
    load: Callable[[], TextEngine]
    canonical: bool = True


class Place:
    """A model's place on the shelf. A job holds it while it uses the model."""

    def __init__(self, model: ShelvedModel) -> None:
        self.model = model
        self.users = 0
        self.reserved = False
        """Whether the model counts against the budget, because it is loaded or will be."""
        self.used_at = 0.0
        self.loaded: TextEngine | None = None
        self._loading = threading.Lock()

    def engine(self) -> TextEngine:
        """Return the model's engine, and load the model if necessary. Other callers wait meanwhile.

        Raises:
            ModelUnavailable: the model cannot be loaded.
        """
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
                logger.info("model %d was loaded in %.1f s", self.model.identifier, took_s)
            return self.loaded


class Shelf:
    """Models within a memory budget. Threads may share it.

    Args:
        models: the models.
        budget_bytes: the most bytes that loaded models may take together. None means no limit.

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
                    f" {in_mib(model.needed_bytes)}, but the budget is {in_mib(budget_bytes)};"
                    " lower SLOTS or CONTEXT_TOKENS, serve a smaller model, or raise the budget"
                )

    @property
    def identifiers(self) -> list[int]:
        """The identifiers of all models, in ascending order."""
        return sorted(self._places)

    @property
    def canonical(self) -> bool:
        """Whether the tokens of all models are drawn by the protocol's rule."""
        return all(place.model.canonical for place in self._places.values())

    def prompts(self, identifier: int) -> ModelPrompts:
        """Return what tokenises a model's prompts, whether it is loaded or not.

        Raises:
            ModelUnknown: the model is not served.
        """
        return self._place(identifier).model.prompts

    def speeds(self) -> dict[int, float]:
        """Return the recent speed of each loaded model, in tokens per second."""
        with self._changed:
            return {
                number: place.loaded.tokens_per_s
                for number, place in sorted(self._places.items())
                if place.loaded is not None
            }

    @contextmanager
    def take(self, identifier: int, wait_s: float) -> Iterator[Place]:
        """Hold a model's place, so that the model is not unloaded. `Place.engine` loads it.

        Raises:
            ModelUnknown: the model is not served.
            NoRoom: for `wait_s` seconds, models that are in use left too little memory.
        """
        place = self._place(identifier)
        unloaded = self._reserve(place, wait_s)
        try:
            for engine in unloaded:
                engine.close()
            yield place
        finally:
            with self._changed:
                place.users -= 1
                place.used_at = time.monotonic()
                place.reserved = place.users > 0 or place.loaded is not None
                self._changed.notify_all()

    def preload(self) -> None:
        """Load the models, in the order of their identifiers, as far as the budget allows.

        Raises:
            ModelUnavailable: a model cannot be loaded.
        """
        for identifier in self.identifiers:
            needed = self._places[identifier].model.needed_bytes
            if self._budget_bytes is None or self._taken() + needed <= self._budget_bytes:
                with self.take(identifier, 0) as place:
                    place.engine()

    def close(self) -> None:
        """Stop all engines. Unfinished answers end with EngineClosed."""
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
        """Count a model as in use. Return the engines that must be closed to make room for it."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(place), wait_s):
                raise NoRoom(
                    f"node: model {place.model.identifier} needs memory that models in use hold;"
                    " give the job to another node"
                )
            unloaded = []
            while not place.reserved and self._exceeds_with(place):
                idle = min(
                    (p for p in self._places.values() if p.reserved and not p.users),
                    key=lambda p: p.used_at,
                )
                logger.info("model %d is unloaded, as it is not in use", idle.model.identifier)
                if idle.loaded is not None:
                    unloaded.append(idle.loaded)
                idle.loaded, idle.reserved = None, False
            place.users += 1
            place.reserved = True
            return unloaded

    def _has_room(self, place: Place) -> bool:
        if place.reserved or self._budget_bytes is None:
            return True
        in_use = sum(p.model.needed_bytes for p in self._places.values() if p.users)
        return in_use + place.model.needed_bytes <= self._budget_bytes

    def _exceeds_with(self, place: Place) -> bool:
        if self._budget_bytes is None:
            return False
        return self._taken() + place.model.needed_bytes > self._budget_bytes

    def _taken(self) -> int:
        return sum(p.model.needed_bytes for p in self._places.values() if p.reserved)
