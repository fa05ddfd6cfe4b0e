"""A model's vocabulary as the grammar library reads it: what each token spells, byte by byte.

Tokens are told from the same table that answers are spelled by, so that a mask allows exactly the
texts that a client sees. Control tokens spell nothing, and no grammar can say them by accident.
"""

import threading
from weakref import WeakKeyDictionary, proxy

from llguidance import LLTokenizer, TokenizerWrapper

from mining.node.llm.llama import Model

_building = threading.Lock()
_tokenizers: WeakKeyDictionary[Model, LLTokenizer] = WeakKeyDictionary()


class NoEnd(ValueError):
    """The model has no token that ends an answer, so a complete answer could not end."""


def tokenizer_of(model: Model) -> LLTokenizer:
    """The vocabulary for grammars. It is built once per model, which takes up to a second.

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
        raise NoEnd("grammar: this model has no token that ends an answer; ask without a grammar")
    return LLTokenizer(
        TokenizerWrapper(vocabulary), n_vocab=model.vocabulary_size, eos_token=vocabulary.ends
    )


class _Vocabulary:
    """What `TokenizerWrapper` asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, model: Model) -> None:
        self._model = proxy(model)  # else the table would keep its own key alive
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
        """The tokens that a model would write a text with; any others that spell it would do."""
        tokens: list[int] = self._model.tokenise(text.decode(errors="replace"), special=False)
        return tokens


def _named(token: int) -> bytes:
    """A name for a token that spells nothing: unlike any other, and no text."""
    return b"<|%d|>" % token
