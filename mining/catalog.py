"""The models of this router's settings, by their identifiers in sessions."""

import threading
from functools import cache
from pathlib import Path

from django.conf import settings

from chain.protocol.params import LlmParams
from mining.node.engine.grammar import Grammar, GrammarInvalid
from mining.node.llm.llama import LlamaError, Model
from mining.node.llm.prompts import ModelPrompts, PromptError, TemplateUnusable
from mining.node.shelf.model_source import ModelSourceError, locate, sha256_of
from sessions.ports import PromptUnfit

_loading = threading.Lock()


def model_path(model_identifier: int) -> Path:
    """Return the path of a model's file.

    Raises:
        LookupError: the settings do not have the model, or its file is missing.
    """
    source = settings.MODELS.get(model_identifier)
    if source is None:
        known = ", ".join(map(str, sorted(settings.MODELS))) or "none"
        raise LookupError(f"model {model_identifier} is not served here; use {known}")
    try:
        return locate(source)
    except ModelSourceError as error:
        raise LookupError(f"model {model_identifier}: {error}") from error


def model_digest(model_identifier: int) -> str:
    """Return the SHA-256 of a model's file, in hex. Raises LookupError, as `model_path`."""
    path = model_path(model_identifier)
    return _digest(path, path.stat().st_mtime_ns)


def vocabulary(model_identifier: int) -> Model:
    """Return a model without its weights.

    Raises:
        LookupError: the model is missing (see `model_path`) or cannot be read.
    """
    with _loading:
        return _vocabulary(model_identifier)


class PromptCounter:
    """Reads prompts as miners read them. Threads may share it.

    All methods raise LookupError if the model is missing.
    """

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        """Return the number of input tokens of a prompt in its template.

        Raises:
            LookupError: the model is missing, or its chat template cannot be used.
            PromptUnfit: the prompt is empty, has an unknown type, or is not a conversation that
                this model can read.
        """
        prompts = _prompts(model_identifier)
        try:
            return len(prompts.tokenise(prompt, prompt_type, prompt_template))
        except TemplateUnusable as error:
            raise LookupError(f"model {model_identifier}: {error}") from error
        except PromptError as error:
            raise PromptUnfit(str(error)) from error

    def token_bytes(self, model_identifier: int, token: int) -> bytes:
        """Return a token's bytes, or b"" if the model has no such token."""
        model = vocabulary(model_identifier)
        return model.piece(token) if 0 <= token < model.vocabulary_size else b""

    def require_grammar(self, model_identifier: int, grammar: str) -> None:
        """Read a grammar in llguidance's Lark syntax as a miner does.

        Raises:
            LookupError: the model is missing.
            PromptUnfit: the grammar is invalid.
        """
        try:
            Grammar(vocabulary(model_identifier), grammar)
        except GrammarInvalid as error:
            raise PromptUnfit(str(error)) from error

    def context_length(self, model_identifier: int) -> int:
        """Return the most tokens that input and output may have together."""
        return _prompts(model_identifier).context_tokens

    def defaults(self, model_identifier: int) -> LlmParams:
        """Return the model's default parameters, for requests that do not set them."""
        return _prompts(model_identifier).defaults


prompt_counter = PromptCounter()


@cache
def _digest(path: Path, _changed_at_ns: int) -> str:
    return sha256_of(path)


@cache
def _vocabulary(model_identifier: int) -> Model:
    try:
        return Model(model_path(model_identifier), vocab_only=True)
    except LlamaError as error:
        raise LookupError(f"model {model_identifier}: {error}") from error


@cache
def _prompts(model_identifier: int) -> ModelPrompts:
    return ModelPrompts(vocabulary(model_identifier))


def forget() -> None:
    """Forget the loaded models, so that changed settings take effect."""
    _vocabulary.cache_clear()
    _prompts.cache_clear()
