"""A typed interface to the parts of llama.cpp that the engine and the prompts need.

Many threads may read a `Model`. Only one thread may use a `Context`.
"""

import ctypes
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as c
import numpy as np
import numpy.typing as npt

from mining.node.errors import NodeError

logger = logging.getLogger(__name__)

_ERROR_LEVEL = 4
_NO_OUTPUTS = np.empty((0, 0), np.float32)


class LlamaError(NodeError):
    """Base class: a call of llama.cpp failed."""


class ModelUnreadable(LlamaError):
    """The file is missing, or is not a model that this llama.cpp can load."""


@dataclass(frozen=True)
class Run:
    """Consecutive tokens of one sequence in a batch.

    Args:
        sequence: the number of the sequence.
        position: the position of the first token in the sequence.
        tokens: the tokens.
        outputs: for how many of the last tokens the logits are computed.
    """

    sequence: int
    position: int
    tokens: Sequence[int]
    outputs: int


class Model:
    """A model from a GGUF file.

    Args:
        path: the file.
        vocab_only: whether only the vocabulary is loaded, without the weights.
        gpu_layers: how many layers a GPU holds; -1 for all. Without a GPU they stay on the CPU.
        progress: called with the share of the weights that is read, from 0 to 1.

    Raises:
        ModelUnreadable: there is no such file, or llama.cpp cannot load it.
    """

    def __init__(
        self,
        path: Path,
        *,
        vocab_only: bool = False,
        gpu_layers: int = 0,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        if not path.is_file():
            raise ModelUnreadable(f"model: no file at {path}; set MODEL to a GGUF file")
        c.llama_log_set(_log, None)
        params = c.llama_model_default_params()
        params.vocab_only = vocab_only
        params.n_gpu_layers = gpu_layers
        if progress is not None:
            report = progress
            callback = c.llama_progress_callback(lambda share, _: (report(share), True)[1])
            params.progress_callback = callback
        handle = c.llama_model_load_from_file(str(path).encode(), params)
        if not handle:
            raise ModelUnreadable(
                f"model: llama.cpp cannot read {path}; check that it is a complete GGUF file"
            )
        self.path = path
        self.handle: Any = handle
        self._vocab: Any = c.llama_model_get_vocab(handle)
        self.vocabulary_size = int(c.llama_vocab_n_tokens(self._vocab))
        self.trained_context_tokens = self.hyperparameter("context_length", 0)
        self.chat_template = self.metadata("tokenizer.chat_template")
        bos = int(c.llama_vocab_bos(self._vocab))
        self.bos: int | None = bos if c.llama_vocab_get_add_bos(self._vocab) and bos >= 0 else None
        self.bos_text = self.text_of(bos)
        self.eos = int(c.llama_vocab_eos(self._vocab))
        self.eos_text = self.text_of(self.eos)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def metadata(self, key: str) -> str | None:
        """Return a value of the file's header as text, or None if there is no such key."""
        buffer = ctypes.create_string_buffer(1)
        length = c.llama_model_meta_val_str(self.handle, key.encode(), buffer, 1)
        if length < 0:
            return None
        buffer = ctypes.create_string_buffer(length + 1)
        c.llama_model_meta_val_str(self.handle, key.encode(), buffer, length + 1)
        return buffer.value.decode(errors="replace")

    def hyperparameter(self, name: str, default: int) -> int:
        """Return a whole number that describes the model's architecture, such as "block_count"."""
        architecture = self.metadata("general.architecture") or ""
        text = self.metadata(f"{architecture}.{name}") or ""
        return int(text) if text.isdecimal() else default

    def tokenise(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text, without a start token.

        Args:
            text: the text.
            special: whether the names of control tokens become control tokens.
        """
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
        """Return a token's bytes, which may end within a character. A control token has none."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._piece(token)
        return piece

    def _piece(self, token: int) -> bytes:
        room = 64
        buffer = ctypes.create_string_buffer(room)
        length = c.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        if length < 0:
            room = -length
            buffer = ctypes.create_string_buffer(room)
            length = c.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        return buffer.raw[:length]

    def is_end(self, token: int) -> bool:
        """Tell whether the model ends its answer with this token."""
        ends = self._ends.get(token)
        if ends is None:
            ends = self._ends[token] = bool(c.llama_vocab_is_eog(self._vocab, token))
        return ends

    def is_control(self, token: int) -> bool:
        """Tell whether this is a control token, which plain text cannot contain."""
        return bool(c.llama_vocab_is_control(self._vocab, token))

    def text_of(self, token: int) -> str:
        """Return a token as the vocabulary writes it: its text, or a control token's name.

        A number below 0 stands for no token and gives "".
        """
        if token < 0:
            return ""
        return str(c.llama_vocab_get_text(self._vocab, token).decode(errors="replace"))

    def close(self) -> None:
        """Free the model. Its contexts must be closed first."""
        if self.handle:
            c.llama_model_free(self.handle)
            self.handle = None


class Context:
    """Runs a model over sequences and caches what it has computed for their tokens.

    Each sequence has cells of its own in the cache, so a long sequence does not slow down the
    attention of the others.

    Args:
        model: the model, loaded with its weights.
        sequence_tokens: how many cells each sequence has.
        sequences: how many sequences the cache holds.
        batch_tokens: the most tokens in a batch.
        threads: the number of llama.cpp's threads.
        embeds: whether the context computes embeddings of whole sequences instead of logits. Each
            sequence then has to be in one batch as a whole, and the sequences of a batch share
            `sequence_tokens` cells.

    Raises:
        LlamaError: llama.cpp cannot create the context, as when there is not enough memory.
    """

    def __init__(
        self,
        model: Model,
        *,
        sequence_tokens: int,
        sequences: int,
        batch_tokens: int,
        threads: int,
        embeds: bool = False,
    ) -> None:
        params = c.llama_context_default_params()
        params.n_ctx = sequence_tokens * sequences
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = False
        if embeds:
            params.embeddings = True
            # The sequences share one store. With separate stores, llama.cpp would split a batch
            # whose sequences differ in length, and would pool each part by itself.
            params.kv_unified, params.n_ctx = True, sequence_tokens
            # An embedding model names its pooling. For other models the mean works best.
            if model.hyperparameter("pooling_type", c.LLAMA_POOLING_TYPE_NONE) == 0:
                params.pooling_type = c.LLAMA_POOLING_TYPE_MEAN
        handle = c.llama_init_from_model(model.handle, params)
        if not handle:
            raise LlamaError(
                f"context: there is no memory for a cache of {params.n_ctx} tokens;"
                " lower SLOTS or CONTEXT_TOKENS"
            )
        self._handle: Any = handle
        self._memory: Any = c.llama_get_memory(handle)
        self._batch = c.llama_batch_init(batch_tokens, 0, 1)
        self._vocabulary_size = model.vocabulary_size
        self._embeds, self._width = embeds, int(c.llama_model_n_embd(model.handle))
        self._outputs = _NO_OUTPUTS
        size = (batch_tokens,)
        self._tokens = np.ctypeslib.as_array(self._batch.token, shape=size)
        self._positions = np.ctypeslib.as_array(self._batch.pos, shape=size)
        self._wanted = np.ctypeslib.as_array(self._batch.logits, shape=size)
        for index in range(batch_tokens):
            self._batch.n_seq_id[index] = 1
        # Each token belongs to exactly one sequence. llama.cpp allocates the field for its number.
        self._sequences = [self._batch.seq_id[index] for index in range(batch_tokens)]

    def decode(self, runs: Sequence[Run]) -> None:
        """Run a batch through the model.

        Args:
            runs: at most `batch_tokens` tokens, ordered by sequence.

        Raises:
            LlamaError: llama.cpp fails.
        """
        end = outputs = 0
        for run in runs:
            start, end = end, end + len(run.tokens)
            self._tokens[start:end] = run.tokens
            self._positions[start:end] = range(run.position, run.position + len(run.tokens))
            self._wanted[start:end] = self._embeds
            self._wanted[end - run.outputs : end] = True
            outputs += run.outputs
            for index in range(start, end):
                self._sequences[index][0] = run.sequence
        self._batch.n_tokens = end
        status = c.llama_decode(self._handle, self._batch)
        if status != 0:
            raise LlamaError(f"decode: llama.cpp returned status {status} for {end} tokens")
        self._outputs = self._logits_of(outputs) if outputs else _NO_OUTPUTS

    def use_threads(self, threads: int) -> None:
        """Set the number of threads for later batches."""
        c.llama_set_n_threads(self._handle, threads, threads)

    def logits(self, number: int) -> npt.NDArray[np.float32]:
        """Return the logits of the last batch's output with this index.

        The array is valid until the next batch. It has one float per token of the vocabulary.
        """
        row: npt.NDArray[np.float32] = self._outputs[number]
        return row

    def embedding(self, sequence: int) -> npt.NDArray[np.float32]:
        """Return the embedding of a sequence of the last batch, if the context embeds."""
        pointer = c.llama_get_embeddings_seq(self._handle, sequence)
        vector: npt.NDArray[np.float32] = np.ctypeslib.as_array(pointer, (self._width,)).copy()
        return vector

    def clear(self) -> None:
        """Free all cells."""
        if self._memory:  # encoder models have no cache
            c.llama_memory_clear(self._memory, True)

    def copy(self, source: int, target: int, count: int) -> None:
        """Copy the first `count` cells of one sequence to another, which must be empty."""
        c.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self.cut(target, count)

    def cut(self, sequence: int, count: int) -> None:
        """Keep the first `count` cells of a sequence and free the others."""
        c.llama_memory_seq_rm(self._memory, sequence, count, -1)

    def close(self) -> None:
        """Free the cache."""
        if self._handle:
            c.llama_batch_free(self._batch)
            c.llama_free(self._handle)
            self._handle = None

    def _logits_of(self, outputs: int) -> npt.NDArray[np.float32]:
        pointer = c.llama_get_logits(self._handle)  # in the order of the batch
        size = outputs * self._vocabulary_size
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        assert address is not None
        memory: Any = (ctypes.c_float * size).from_address(address)
        logits: npt.NDArray[np.float32] = np.frombuffer(memory, np.float32)
        return logits.reshape(outputs, self._vocabulary_size)


@c.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: object) -> None:
    """Log llama.cpp's errors. Its other messages, such as one per tensor, are dropped."""
    if level == _ERROR_LEVEL:
        logger.warning("%s", text.decode(errors="replace").strip())
