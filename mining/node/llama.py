"""llama.cpp's C interface, as far as the engine and the prompts need it, with types and errors.

A `Model` may be read by many threads. A `Context` belongs to one thread.
"""

import ctypes
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import llama_cpp as c
import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

_ERROR_LEVEL = 4


class LlamaError(Exception):
    """Base: llama.cpp could not do what it was asked."""


class ModelUnreadable(LlamaError):
    """The file is no model that this llama.cpp can load."""


class Decoded(Enum):
    """What became of a batch."""

    DONE = "done"
    NO_ROOM = "no room"
    """The cache has no cells left; nothing has changed. A smaller batch may fit."""


@dataclass(frozen=True)
class Entry:
    """One token of a batch: where it belongs, and whether its logits are wanted."""

    token: int
    position: int
    sequence: int
    wants_logits: bool


class Model:
    """A GGUF file's vocabulary and, unless `vocab_only`, its weights.

    Raises:
        ModelUnreadable: there is no such file, or llama.cpp refuses it.
    """

    def __init__(self, path: Path, *, vocab_only: bool = False) -> None:
        if not path.is_file():
            raise ModelUnreadable(f"model: no file at {path}; set MODEL to a GGUF file")
        c.llama_log_set(_log, None)
        params = c.llama_model_default_params()
        params.vocab_only = vocab_only
        handle = c.llama_model_load_from_file(str(path).encode(), params)
        if not handle:
            raise ModelUnreadable(f"model: llama.cpp cannot read {path}; is it a complete GGUF?")
        self.path = path
        self.handle: Any = handle
        self._vocab: Any = c.llama_model_get_vocab(handle)
        self.vocabulary_size = int(c.llama_vocab_n_tokens(self._vocab))
        architecture = self.metadata("general.architecture") or ""
        self.trained_context_tokens = int(self.metadata(f"{architecture}.context_length") or 0)
        self.chat_template = self.metadata("tokenizer.chat_template")
        bos = int(c.llama_vocab_bos(self._vocab))
        self.bos: int | None = bos if c.llama_vocab_get_add_bos(self._vocab) and bos >= 0 else None
        self.bos_text = self._text_of(bos)
        self.eos_text = self._text_of(int(c.llama_vocab_eos(self._vocab)))

    def metadata(self, key: str) -> str | None:
        """The value of a key of the file's header, as text."""
        buffer = ctypes.create_string_buffer(1)
        length = c.llama_model_meta_val_str(self.handle, key.encode(), buffer, 1)
        if length < 0:
            return None
        buffer = ctypes.create_string_buffer(length + 1)
        c.llama_model_meta_val_str(self.handle, key.encode(), buffer, length + 1)
        return buffer.value.decode(errors="replace")

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """The tokens of a text, without BOS; special tokens are recognised only if `special`."""
        data = text.encode(errors="replace")
        if not data:
            return []
        room = len(data) + 8
        tokens = (c.llama_token * room)()
        count = c.llama_tokenize(self._vocab, data, len(data), tokens, room, False, special)
        if count < 0:
            room = -count
            tokens = (c.llama_token * room)()
            count = c.llama_tokenize(self._vocab, data, len(data), tokens, room, False, special)
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """A token's bytes, which need not be whole characters; a control token has none."""
        room = 64
        buffer = ctypes.create_string_buffer(room)
        length = c.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        if length < 0:
            room = -length
            buffer = ctypes.create_string_buffer(room)
            length = c.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        return buffer.raw[:length]

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        return bool(c.llama_vocab_is_eog(self._vocab, token))

    def close(self) -> None:
        """Free the model; its contexts must be closed before."""
        if self.handle:
            c.llama_model_free(self.handle)
            self.handle = None

    def _text_of(self, token: int) -> str:
        if token < 0:
            return ""
        return str(c.llama_vocab_get_text(self._vocab, token).decode(errors="replace"))


class Context:
    """A cache of `cache_tokens` cells, shared by `sequences` sequences, and the way to fill it.

    Raises:
        LlamaError: there is not enough memory, say.
    """

    def __init__(
        self, model: Model, *, cache_tokens: int, sequences: int, batch_tokens: int, threads: int
    ) -> None:
        params = c.llama_context_default_params()
        params.n_ctx = cache_tokens
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        # One cache for all: a short answer leaves its room to a long one.
        params.kv_unified = True
        handle = c.llama_init_from_model(model.handle, params)
        if not handle:
            raise LlamaError(
                f"context: no room for a cache of {cache_tokens} tokens;"
                " lower SLOTS or CONTEXT_TOKENS"
            )
        self._handle: Any = handle
        self._memory: Any = c.llama_get_memory(handle)
        self._batch = c.llama_batch_init(batch_tokens, 0, 1)
        self._vocabulary_size = model.vocabulary_size

    def decode(self, entries: Sequence[Entry]) -> Decoded:
        """Run a batch through the model, at most `batch_tokens` entries.

        Raises LlamaError when llama.cpp fails for good.
        """
        batch = self._batch
        batch.n_tokens = len(entries)
        for index, entry in enumerate(entries):
            batch.token[index] = entry.token
            batch.pos[index] = entry.position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = entry.sequence
            batch.logits[index] = entry.wants_logits
        status = c.llama_decode(self._handle, batch)
        if status == 0:
            return Decoded.DONE
        if status == 1:
            return Decoded.NO_ROOM
        raise LlamaError(f"decode: llama.cpp answered {status} to {len(entries)} tokens")

    def logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits after entry `index` of the last batch, valid until the next one."""
        pointer = c.llama_get_logits_ith(self._handle, index)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary_size,))

    def remove(self, sequence: int) -> None:
        """Free a sequence's cells."""
        c.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def close(self) -> None:
        """Free the cache."""
        if self._handle:
            c.llama_batch_free(self._batch)
            c.llama_free(self._handle)
            self._handle = None


@c.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: object) -> None:
    """llama.cpp tells of every tensor; only what went wrong is anyone's business."""
    if level == _ERROR_LEVEL:
        logger.warning("%s", text.decode(errors="replace").strip())
