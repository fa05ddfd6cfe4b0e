"""What an answer may look like: a grammar in llama.cpp's GBNF, or a JSON schema.

The grammar says first which tokens may follow; bias, penalties, filters and the draw see only
those. An answer ends when its text is complete.
"""

import json
import re
from itertools import accumulate
from typing import Any

import llama_cpp as c
import numpy as np
import numpy.typing as npt
from llama_cpp.llama_grammar import json_schema_to_gbnf

from mining.node.llama import Model

MAX_GRAMMAR_BYTES = 64 * 1024
MAX_NESTING = 512
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#.*')
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class GrammarInvalid(Exception):
    """The text is no grammar. `code` is what a report says."""

    code = "grammar_invalid"


class Grammar:
    """A grammar, and how far an answer has come in it. It belongs to one answer and thread.

    Raises:
        GrammarInvalid: llama.cpp cannot read it, or it has more than MAX_GRAMMAR_BYTES.
    """

    def __init__(self, model: Model, gbnf: str) -> None:
        text = gbnf.encode()
        if len(text) > MAX_GRAMMAR_BYTES or b"\0" in text:
            raise GrammarInvalid(
                f"grammar: it has {len(text)} bytes, or a NUL; give at most {MAX_GRAMMAR_BYTES}"
            )
        if _nesting(gbnf) > MAX_NESTING:
            raise GrammarInvalid(f"grammar: it is nested more than {MAX_NESTING} deep; simplify it")
        vocabulary = c.llama_model_get_vocab(model.handle)
        self._sampler: Any = c.llama_sampler_init_grammar(vocabulary, text, b"root")
        if not self._sampler:
            raise GrammarInvalid("grammar: llama.cpp cannot read it; give GBNF with a rule 'root'")
        self._candidates = np.zeros(model.vocabulary_size, _CANDIDATE)
        self._array = c.llama_token_data_array(
            data=self._candidates.ctypes.data_as(c.llama_token_data_p),
            size=model.vocabulary_size,
            selected=-1,
            sorted=False,
        )

    def allowed(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits, with minus infinity for every token that may not follow."""
        self._candidates["id"] = np.arange(len(logits), dtype=np.int32)
        self._candidates["logit"] = logits
        c.llama_sampler_apply(self._sampler, self._array)
        return np.ascontiguousarray(self._candidates["logit"])

    def accept(self, token: int) -> None:
        """Go on by a token that was allowed."""
        c.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        """Free it. Harmless when it is freed."""
        if self._sampler:
            c.llama_sampler_free(self._sampler)
            self._sampler = None


def _nesting(gbnf: str) -> int:
    """How deep parentheses are: llama.cpp reads them by recursion, and would overflow its stack."""
    bare = _QUOTED.sub("", gbnf)
    return max(accumulate((sign == "(") - (sign == ")") for sign in bare), default=0)


def from_json_schema(schema: object) -> str:
    """The GBNF of the JSON texts that fit a schema; raise GrammarInvalid."""
    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as error:  # llama-cpp-python's converter raises whatever comes to hand
        raise GrammarInvalid(f"json_schema: it cannot be made a grammar ({error})") from error
