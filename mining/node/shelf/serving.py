"""Finds and verifies the models that a node's settings name, and prepares them for loading."""

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
    """Return a shelf of the models in a node's settings. Their weights are not loaded yet.

    Args:
        config: the node's settings.
        digests: the SHA-256 (hex) of the network's models, by identifier. It may lack some.
        progress: called with the name of a step and the share of it that is done, from 0 to 1.

    Raises:
        ModelSourceError, LlamaError: a model cannot be found, or is not the expected one.
        NotEnoughMemory: a model takes more than the memory budget.
    """
    shelved = [_shelve(config, model, digests, progress) for model in config.models]
    budget = config.memory_bytes
    if budget is None and not config.gpu_layers:
        budget = memory.available_bytes()
    if budget is not None:
        logger.info("loaded models may take %s of memory together", memory.in_mib(budget))
    return Shelf(shelved, budget)


def load(config: NodeConfig, identifier: int, path: Path, progress: Progress) -> Engine:
    """Load a model and let it generate its first tokens. Raises LlamaError."""
    engine = Engine(
        path,
        slots=config.slots,
        threads=config.threads,
        context_tokens=config.context_tokens,
        gpu_layers=config.gpu_layers,
        progress=partial(progress, f"loading model {identifier}"),
    )
    logger.info("model %d: threads of llama.cpp: %d", identifier, engine.threads)
    # The first tokens read all weights from the disk, and give a first speed to report.
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
    network_digest = digests.get(model.identifier)
    if config.unverified:
        logger.warning(
            "MODEL_UNVERIFIED is set: model %d may differ from the network's file", model.identifier
        )
        network_digest = None
    expected = {model.sha256, network_digest} - {None, ""}
    for digest in expected:
        require_digest(path, str(digest), partial(progress, f"verifying model {model.identifier}"))
    if not expected:
        # Without an expected digest the file is unknown: it could even crash this process.
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
        "model %d is %s and takes about %s",
        model.identifier,
        path.name,
        memory.in_mib(needed),
    )
    return ShelvedModel(
        model.identifier,
        prompts,
        needed,
        partial(load, config, model.identifier, path, progress),
    )
