"""From a node's settings to the models that it serves: found, verified, and ready to be loaded."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from mining.node.config import NodeConfig, ServedModel, Upstream
from mining.node.engine import batching
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationError, GenerationRequest
from mining.node.engine.upstream import UpstreamEngine
from mining.node.llm.llama import Model
from mining.node.llm.prompts import ModelPrompts
from mining.node.shelf import memory
from mining.node.shelf.model_source import locate, require_digest
from mining.node.shelf.model_trial import require_sound
from mining.node.shelf.shelf import Shelf, ShelvedModel

Progress = Callable[[str, float], None]
_WARM_UP_TOKENS = 16

logger = logging.getLogger(__name__)


def open_shelf(config: NodeConfig, digests: Mapping[int, str], progress: Progress) -> Shelf:
    """The models of a node's settings. None of their weights is read yet.

    Args:
        digests: the SHA-256 (hex) that the network knows models by, as far as it tells.

    Raises:
        ModelSourceError, LlamaError: a model cannot be had, or is not the one that it should be.
        NotEnoughMemory: a model takes more than the memory budget.
    """
    shelved = [_shelve(config, model, digests, progress) for model in config.models]
    budget = config.memory_bytes
    if budget is None and not config.gpu_layers:
        budget = memory.available_bytes()
    if budget is not None:
        logger.info("models may take %s of memory together", memory.in_mib(budget))
    return Shelf(shelved, budget)


def load(config: NodeConfig, identifier: int, path: Path, progress: Progress) -> Engine:
    """A model in memory that has made its first tokens; raise LlamaError."""
    engine = Engine(
        path,
        slots=config.slots,
        threads=config.threads,
        context_tokens=config.context_tokens,
        gpu_layers=config.gpu_layers,
        progress=partial(progress, f"loading model {identifier}"),
    )
    logger.info("model %d: threads of llama.cpp: %d", identifier, engine.threads)
    # Reads the weights in, and gives a first figure of the speed to report.
    tokens = min(_WARM_UP_TOKENS, engine.prompts.context_tokens - 1)
    engine.submit(GenerationRequest([0], tokens)).result()
    return engine


def _reach(upstream: Upstream, vocabulary: Model) -> UpstreamEngine:
    engine = UpstreamEngine(upstream, vocabulary)
    try:
        engine.require_model()
    except GenerationError:
        engine.close()
        raise
    return engine


def _shelve(
    config: NodeConfig, model: ServedModel, digests: Mapping[int, str], progress: Progress
) -> ShelvedModel:
    path = locate(model.source)
    meant = digests.get(model.identifier)
    if config.unverified:
        logger.warning(
            "model %d need not be the network's file: MODEL_UNVERIFIED", model.identifier
        )
        meant = None
    vouched_for = {model.sha256, meant} - {None, ""}
    for digest in vouched_for:
        require_digest(path, str(digest), partial(progress, f"verifying model {model.identifier}"))
    if not vouched_for:
        # Of any other file nobody has said that it can be opened: not even that it ends no process.
        progress(f"trying model {model.identifier}", 0.0)
        require_sound(path, config.home / "tried")
    vocabulary = Model(path, vocab_only=True)
    prompts = ModelPrompts(vocabulary)
    upstream = config.upstream
    if config.context_tokens is not None:
        prompts.context_tokens = min(config.context_tokens, prompts.context_tokens)
    if upstream is not None:
        logger.info("model %d is %s at %s", model.identifier, upstream.model, upstream.url)
        reach = partial(_reach, upstream, vocabulary)
        return ShelvedModel(model.identifier, prompts, 0, reach, canonical=False)
    needed = memory.needed_bytes(
        vocabulary,
        slots=config.slots,
        context_tokens=prompts.context_tokens,
        batch_tokens=max(batching.FULL_TOKENS, config.slots),
    )
    logger.info(
        "model %d is %s, and takes about %s",
        *(model.identifier, path.name, memory.in_mib(needed)),
    )
    return ShelvedModel(
        model.identifier,
        prompts,
        needed,
        partial(load, config, model.identifier, path, progress),
    )
