"""The models that this router knows, by the identifiers that sessions name them by."""

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
    """Where a model's file is. Raises LookupError: no such model, or no file of it."""
    source = settings.MODELS.get(model_identifier)
    if source is None:
        known = ", ".join(map(str, sorted(settings.MODELS))) or "none"
        raise LookupError(f"model {model_identifier} is not served here; use {known}")
    try:
        return locate(source)
    except ModelSourceError as error:
        raise LookupError(f"model {model_identifier}: {error}") from error


def model_digest(model_identifier: int) -> str:
    """The SHA-256 of a model's file, in hex. Raises LookupError."""
    path = model_path(model_identifier)
    return _digest(path, path.stat().st_mtime_ns)


def vocabulary(model_identifier: int) -> Model:
    """A model's tokens, without its weights. Raises LookupError."""
    with _loading:
        return _vocabulary(model_identifier)


class PromptCounter:
    """Reads what miners read, as they do. Threads may share it."""

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        """Input tokens of a prompt in its template.

        Raises:
            LookupError: no such model.
            PromptUnfit: the prompt is empty, of an unknown type, or no conversation for this model.
        """
        prompts = _prompts(model_identifier)
        try:
            return len(prompts.tokenise(prompt, prompt_type, prompt_template))
        except TemplateUnusable as error:
            raise LookupError(f"model {model_identifier}: {error}") from error
        except PromptError as error:
            raise PromptUnfit(str(error)) from error

    def token_bytes(self, model_identifier: int, token: int) -> bytes:
        """What a token spells; nothing, if it is none. Raises LookupError: no such model."""
        model = vocabulary(model_identifier)
        return model.piece(token) if 0 <= token < model.vocabulary_size else b""

    def require_grammar(self, model_identifier: int, grammar: str) -> None:
        """Have a grammar (llguidance's Lark) read as a miner would.

        Raises:
            LookupError: no such model.
            PromptUnfit: it is none.
        """
        try:
            Grammar(vocabulary(model_identifier), grammar)
        except GrammarInvalid as error:
            raise PromptUnfit(str(error)) from error

    def context_length(self, model_identifier: int) -> int:
        """Tokens that input and output have together. Raises LookupError: no such model."""
        return _prompts(model_identifier).context_tokens

    def defaults(self, model_identifier: int) -> LlmParams:
        """What a client gets that does not say. Raises LookupError: no such model."""
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
    """Let go of the models that are loaded, after the settings name others."""
    _vocabulary.cache_clear()
    _prompts.cache_clear()
