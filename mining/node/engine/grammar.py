"""What an answer may look like: a grammar in the Lark dialect of the library llguidance.

The grammar says first which tokens may follow; bias, penalties, filters and the draw see only
those. An answer ends when its text is complete. What binds a task is the grammar and the library's
version: a node with another version could allow other tokens, so it refuses.

Nothing here throws what a grammar's author could cause but the two errors below: the library
catches its own panics and bounds its own work, what it lets through is caught here, and it reads
grammars on a stack that none of them fills.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, __version__

from mining.node.engine.deep_stack import call_with_deep_stack
from mining.node.engine.generation import GrammarFailed
from mining.node.engine.grammar_tokens import NoEnd, tokenizer_of
from mining.node.engine.sampling import Scores, Tokens
from mining.node.llm.llama import Model

LIBRARY, VERSION = "llguidance", str(__version__)
MAX_GRAMMAR_BYTES = 256 * 1024
LIMITS = LLParserLimits(
    max_lexer_states=50_000,  # of up to 2 kB each
    verbose_errors=False,  # they would tell the whole grammar, and reach logs
)
"""Everybody who draws has the same ones, since a task may fail by them."""
MAX_REASON = 300
"""Characters of the library's own words that go into an error."""
_NEVER = np.float32(-np.inf)
_WORD = 32
"""Bits of a word of the mask."""


class GrammarInvalid(Exception):
    """The text is no grammar. `code` is what a report says."""

    code = "grammar_invalid"


class GrammarVersionDiffers(GrammarInvalid):
    """The grammar is bound to another library, or to another version of it."""

    code = "grammar_version"


def require_version(library: str, version: str) -> None:
    """Raise GrammarVersionDiffers where this node could mask otherwise than the task says."""
    if (library, version) != (LIBRARY, VERSION):
        raise GrammarVersionDiffers(
            f"grammar: it is bound to {library[:40]} {version[:40]}, and this machine has"
            f" {LIBRARY} {VERSION}; give the job to another"
        )


class Grammar:
    """A grammar, and how far an answer has come in it. It belongs to one answer and thread.

    Raises:
        GrammarInvalid: it cannot be read, is too large, or asks for too much work.
    """

    def __init__(self, model: Model, lark: str) -> None:
        size = len(lark.encode(errors="replace"))
        if size > MAX_GRAMMAR_BYTES or "\0" in lark:
            raise GrammarInvalid(
                f"grammar: it has {size} bytes, or a NUL; give at most {MAX_GRAMMAR_BYTES}"
            )
        try:
            with _fenced():
                tokenizer = tokenizer_of(model)
                self._matcher = call_with_deep_stack(partial(_matcher, tokenizer, lark))
                error = self._matcher.get_error()
        except (GrammarFailed, NoEnd) as failure:
            raise GrammarInvalid(str(failure)) from failure
        if error:
            raise GrammarInvalid(f"grammar: it cannot be read: {_reason(error)}")
        words = -(-model.vocabulary_size // _WORD)
        self._bits = np.zeros(words, np.uint32)
        self._address, self._size_bytes = self._bits.ctypes.data, self._bits.nbytes

    def allowed(self, logits: Scores) -> tuple[Scores, Tokens | None]:
        """What a token is drawn from: scores, and the only tokens that count where these are few.

        Where most tokens may follow, the others have a score of minus infinity instead.

        Raises:
            GrammarFailed: no token may follow, or to find out took too much work.
        """
        with _fenced():
            self._matcher.unsafe_compute_mask_ptr(self._address, self._size_bytes)
            error = self._matcher.get_error()
        if error:
            raise GrammarFailed(f"grammar: the answer cannot go on: {_why(error)}")
        words = np.flatnonzero(self._bits)
        if len(words) > len(self._bits) // 2:
            bits = np.unpackbits(self._bits.view(np.uint8), bitorder="little")
            return np.where(bits[: len(logits)].view(np.bool_), logits, _NEVER), None
        bits = np.unpackbits(self._bits[words].view(np.uint8), bitorder="little")
        places = np.flatnonzero(bits)
        tokens = words[places // _WORD] * _WORD + places % _WORD
        if not len(tokens):
            raise GrammarFailed("grammar: no token of this model may follow; change the grammar")
        return logits, tokens

    def accept(self, token: int) -> None:
        """Go on by a token that was allowed. Raises GrammarFailed if it was not."""
        with _fenced():
            accepted = self._matcher.consume_token(token)
        if not accepted:
            raise GrammarFailed(
                f"grammar: token {token} may not follow: {_reason(self._matcher.get_error())}"
            )


def _matcher(tokenizer: LLTokenizer, lark: str) -> LLMatcher:
    return LLMatcher(tokenizer, LLMatcher.grammar_from_lark(lark), log_level=0, limits=LIMITS)


@contextmanager
def _fenced() -> Iterator[None]:
    """Have whatever the library throws, its panics included, end this answer and nothing else."""
    try:
        yield
    except (NoEnd, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        raise GrammarFailed(
            f"grammar: the library failed ({type(error).__name__}: {_reason(str(error))})"
        ) from error


def _why(error: str) -> str:
    if error.startswith("NoExtension"):
        return "no token of this model says what has to follow; change the grammar"
    return _reason(error)


def _reason(error: str) -> str:
    """The library's own words: the first line, of printable characters only."""
    line: Any = error.strip().partition("\n")[0]
    return "".join(c if c.isprintable() else " " for c in line[:MAX_REASON]).strip()
