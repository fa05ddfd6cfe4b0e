"""Constrains an answer to a grammar in the Lark dialect of the library llguidance.

Before each draw, the grammar decides which tokens may follow. Bias, penalties, filters and the draw
see only these. An answer ends when its text is complete. A task is bound to a grammar and to the
library's version. A node with another version could allow other tokens, so it refuses the task.

A grammar comes from an untrusted author. It can cause no other errors here than GrammarInvalid and
GrammarFailed: the library catches its own panics and limits its own work, this module catches what
the library lets through, and grammars are read on a stack that is too large for them to fill. A new
grammar is read in a process of its own first (`grammar_trial`), where its time is limited.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llguidance import __version__

from mining.node.engine.generation import GrammarFailed
from mining.node.engine.grammar_tokens import NoEnd, tokenizer_of
from mining.node.engine.grammar_trial import GrammarTrial, TrialFailed, read_grammar
from mining.node.engine.sampling import Scores, Tokens
from mining.node.llm.llama import Model

LIBRARY, VERSION = "llguidance", str(__version__)
MAX_GRAMMAR_BYTES = 256 * 1024
MAX_REASON = 300
"""The most characters of the library's own message that an error quotes."""
_NEVER = np.float32(-np.inf)
_WORD = 32
"""The number of bits in a word of the token mask."""


class GrammarInvalid(Exception):
    """The text is not a usable grammar. `code` goes into reports."""

    code = "grammar_invalid"


class GrammarVersionDiffers(GrammarInvalid):
    """The grammar is bound to another library, or to another version of the library."""

    code = "grammar_version"


def require_version(library: str, version: str) -> None:
    """Raise GrammarVersionDiffers unless this node has the library and version of a task."""
    if (library, version) != (LIBRARY, VERSION):
        raise GrammarVersionDiffers(
            f"grammar: it is bound to {library[:40]} {version[:40]}, but this node has"
            f" {LIBRARY} {VERSION}; give the job to another node"
        )


class Grammar:
    """A grammar and the state of one answer in it. Only one thread may use it.

    Raises:
        GrammarInvalid: the grammar cannot be read, is too large, or needs too much work.
    """

    def __init__(self, model: Model, lark: str) -> None:
        size = len(lark.encode(errors="replace"))
        if size > MAX_GRAMMAR_BYTES or "\0" in lark:
            raise GrammarInvalid(
                f"grammar: it has {size} bytes or a NUL character; send at most"
                f" {MAX_GRAMMAR_BYTES} bytes without NUL"
            )
        try:
            _trial.require_quick(lark)
            with _fenced():
                tokenizer = tokenizer_of(model)
                self._matcher = read_grammar(tokenizer, lark)
                error = self._matcher.get_error()
        except (GrammarFailed, NoEnd, TrialFailed) as failure:
            raise GrammarInvalid(str(failure)) from failure
        if error:
            raise GrammarInvalid(f"grammar: it cannot be read: {_reason(error)}")
        words = -(-model.vocabulary_size // _WORD)
        self._bits = np.zeros(words, np.uint32)
        self._address, self._size_bytes = self._bits.ctypes.data, self._bits.nbytes

    def allowed(self, logits: Scores) -> tuple[Scores, Tokens | None]:
        """Return the scores from which the next token is drawn, and the allowed tokens.

        If few tokens are allowed, the result is the logits and these tokens in ascending order. If
        many are, the result is a copy of the logits in which all other tokens have a score of minus
        infinity, and None.

        Raises:
            GrammarFailed: no token is allowed, or the library reached its limits.
        """
        with _fenced():
            self._matcher.unsafe_compute_mask_ptr(self._address, self._size_bytes)
            error = self._matcher.get_error()
        if error:
            raise GrammarFailed(f"grammar: the answer cannot continue: {_why(error)}")
        words = np.flatnonzero(self._bits)
        if len(words) > len(self._bits) // 2:
            bits = np.unpackbits(self._bits.view(np.uint8), bitorder="little")
            return np.where(bits[: len(logits)].view(np.bool_), logits, _NEVER), None
        bits = np.unpackbits(self._bits[words].view(np.uint8), bitorder="little")
        places = np.flatnonzero(bits)
        tokens = words[places // _WORD] * _WORD + places % _WORD
        if not len(tokens):
            raise GrammarFailed(
                "grammar: it allows no token of this model to follow; change the grammar"
            )
        return logits, tokens

    def accept(self, token: int) -> None:
        """Advance by the token that was drawn. Raises GrammarFailed if it was not allowed."""
        with _fenced():
            accepted = self._matcher.consume_token(token)
        if not accepted:
            raise GrammarFailed(
                f"grammar: token {token} may not follow: {_reason(self._matcher.get_error())}"
            )


_trial = GrammarTrial()


@contextmanager
def _fenced() -> Iterator[None]:
    """Turn every exception of the library, also a panic, into GrammarFailed.

    So a failure ends one answer and nothing else.
    """
    try:
        yield
    except (NoEnd, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # PyO3 raises a panic as a BaseException
        raise GrammarFailed(
            f"grammar: the library failed ({type(error).__name__}: {_reason(str(error))})"
        ) from error


def _why(error: str) -> str:
    if error.startswith("NoExtension"):
        return "no token of this model spells what has to follow; change the grammar"
    return _reason(error)


def _reason(error: str) -> str:
    """Return the first line of the library's message, with printable characters only."""
    line: Any = error.strip().partition("\n")[0]
    return "".join(c if c.isprintable() else " " for c in line[:MAX_REASON]).strip()
