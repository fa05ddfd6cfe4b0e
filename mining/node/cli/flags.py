"""Builds a node's settings from the flags of `run` and `bench`, the environment and the file."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from mining.node import config as settings
from mining.node.config import ConfigError, NodeConfig, ServedModel, Terms
from mining.node.shelf.model_list import ListedModel, ModelList
from mining.node.shelf.model_source import read_sources


def config_from(options: argparse.Namespace) -> NodeConfig:
    """Return a node's settings. Raises ConfigError or ModelSourceError."""
    environment: Mapping[str, str] = options.environment

    def number(name: str, default: int) -> int:
        return settings.number_from(getattr(options, name.lower()), name, default, environment)

    def number_if_set(name: str) -> int | None:
        is_set = getattr(options, name.lower()) is not None or environment.get(name)
        return number(name, 1) if is_set else None

    ca_file = environment.get("REDIS_CA_FILE")
    config = NodeConfig(
        home=options.home,
        redis_url=options.redis_url or environment.get("REDIS_URL") or None,
        router_url=environment.get("ROUTER_URL") or None,
        models=_models(options),
        slots=number("SLOTS", 4),
        threads=number_if_set("THREADS"),
        context_tokens=number_if_set("CONTEXT_TOKENS"),
        gpu_layers=settings.whole_number_from("GPU_LAYERS", environment),
        unverified=environment.get("MODEL_UNVERIFIED") == "1",
        memory_bytes=settings.memory_from(options.memory_budget, environment),
        upstream=settings.upstream_from(options.upstream_url, options.upstream_model, environment),
        allow_plaintext=environment.get("REDIS_PLAINTEXT") == "1",
        redis_ca_file=Path(ca_file).expanduser() if ca_file else None,
        password=settings.password_from(environment),
        rpc_url=environment.get("RPC_URL") or None,
        queue_address=environment.get("QUEUE_ADDRESS") or None,
        cognitive_address=environment.get("COGNITIVE_ADDRESS") or None,
        terms=Terms(
            settings.whole_number_from("MIN_INPUT_PRICE_WEI", environment),
            settings.whole_number_from("MIN_OUTPUT_PRICE_WEI", environment),
        ),
    )
    if config.upstream is not None and len(config.models) > 1:
        raise ConfigError("MODELS: an upstream server serves one model; start a node for each")
    return config


def _models(options: argparse.Namespace) -> tuple[ServedModel, ...]:
    environment: Mapping[str, str] = options.environment
    listed = ModelList(options.home)
    # A flag takes precedence over a variable, and --models over --model.
    several = options.models or (None if options.model else environment.get("MODELS"))
    if several:
        return _several(several, listed)
    model = options.model or environment.get("MODEL") or str(settings.SHIPPED_MODEL)
    if model.isdecimal():
        return (_served(listed.get(int(model))),)
    identifier = settings.number_from(options.model_identifier, "MODEL_IDENTIFIER", 1, environment)
    return (ServedModel(identifier, model, environment.get("MODEL_SHA256") or None),)


def _several(text: str, listed: ModelList) -> tuple[ServedModel, ...]:
    if text == "all":
        models = tuple(map(_served, listed))
        if not models:
            raise ConfigError("MODELS: no model is listed; run `models add NUMBER SOURCE` first")
        return models
    if "=" in text:
        return tuple(ServedModel(*each) for each in sorted(read_sources(text).items()))
    numbers = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in numbers) or len(set(numbers)) < len(numbers):
        raise ConfigError(
            f"MODELS: {text!r} is not a list of models; give numbers from `models list`, as in"
            " 1,2, or numbers with sources, as in 1=model.gguf,2=owner/repo, or all"
        )
    return tuple(_served(listed.get(int(part))) for part in numbers)


def _served(model: ListedModel) -> ServedModel:
    return ServedModel(model.identifier, model.source, model.sha256)
