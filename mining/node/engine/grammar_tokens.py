"""Presents a model's vocabulary to the grammar library: the bytes that each token spells.

The bytes come from the same table from which answers are spelled, so that a mask allows exactly the
texts that a client sees. Control tokens spell nothing, so no grammar can produce one by accident.
"""

import threading
from weakref import WeakKeyDictionary, proxy

from llguidance import LLTokenizer, TokenizerWrapper

from mining.node.llm.llama import Model

_building = threading.Lock()
_tokenizers: WeakKeyDictionary[Model, LLTokenizer] = WeakKeyDictionary()


class NoEnd(ValueError):
    """The model has no token that ends an answer, so an answer by a grammar could not end."""


def tokenizer_of(model: Model) -> LLTokenizer:
    """Return the model's vocabulary for grammars.

    The first call for a model builds it, which takes up to a second.

    Raises:
        NoEnd: no token ends an answer of this model.
    """
    with _building:
        tokenizer = _tokenizers.get(model)
        if tokenizer is None:
            tokenizer = _tokenizers[model] = _built(model)
        return tokenizer


def _built(model: Model) -> LLTokenizer:
    vocabulary = _Vocabulary(model)
    if not vocabulary.ends:
        raise NoEnd("grammar: this model has no token that ends an answer; send no grammar")
    return LLTokenizer(
        TokenizerWrapper(vocabulary), n_vocab=model.vocabulary_size, eos_token=vocabulary.ends
    )


class _Vocabulary:
    """A tokenizer with the interface that `TokenizerWrapper` expects."""

    bos_token_id = None

    def __init__(self, model: Model) -> None:
        self._model = proxy(model)  # a strong reference would keep the table's weak key alive
        ids = range(model.vocabulary_size)
        self.ends = [token for token in ids if model.is_end(token)]
        spelled = [b"" if model.is_end(token) else model.piece(token) for token in ids]
        self.special_token_ids = [token for token in ids if not spelled[token]]
        self.tokens = [piece or _named(token) for token, piece in enumerate(spelled)]
        if model.eos in self.ends:
            self.ends.remove(model.eos)
            self.ends.insert(0, model.eos)
        self.eos_token_id = self.ends[0] if self.ends else 0

    def __call__(self, text: bytes) -> list[int]:
        """Return tokens that spell a text. The library accepts any such tokens."""
        tokens: list[int] = self._model.tokenise(text.decode(errors="replace"), special=False)
        return tokens


def _named(token: int) -> bytes:
    """Return a unique name for a token that spells nothing."""
    return b"<|%d|>" % token
