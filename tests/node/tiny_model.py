"""A tiny llama with random weights and a byte-level vocabulary, written as a GGUF file.

Its answers make no sense, but they run the same code as those of a real model, within
milliseconds.
"""

from pathlib import Path

import gguf
import numpy as np

CONTEXT_TOKENS = 512
USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_WIDTH, _LAYERS, _HEADS, _FEED_FORWARD = 32, 2, 2, 64


def write(
    path: Path,
    *,
    seed: int = 1,
    chat_template: str | None = CHAT_TEMPLATE,
    quantised: bool = False,
) -> Path:
    """Write the model with float or Q8_0 weights. The same seed gives the same model."""
    tokens = [USER, ASSISTANT, END] + [letter for _, letter in sorted(_byte_letters().items())]
    merged = [" t", " a", "he", "in", " the"]
    merges = ["Ġ t", "Ġ a", "h e", "i n", "Ġt he"]
    tokens += [text.replace(" ", "Ġ") for text in merged]
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3)

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    kind = gguf.GGMLQuantizationType.Q8_0 if quantised else gguf.GGMLQuantizationType.F32
    _add_weights(writer, np.random.default_rng(seed), len(tokens), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_weights(
    writer: gguf.GGUFWriter,
    random: np.random.Generator,
    vocabulary: int,
    kind: gguf.GGMLQuantizationType,
) -> None:
    def add(name: str, *shape: int) -> None:
        matrix = (random.standard_normal(shape) * 2 / np.sqrt(shape[-1])).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)

    one = np.ones(_WIDTH, np.float32)
    add("token_embd.weight", vocabulary, _WIDTH)
    add("output.weight", vocabulary, _WIDTH)
    writer.add_tensor("output_norm.weight", one)
    for layer in range(_LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", _WIDTH, _WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            add(f"blk.{layer}.{name}.weight", _FEED_FORWARD, _WIDTH)
        add(f"blk.{layer}.ffn_down.weight", _WIDTH, _FEED_FORWARD)
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", one)
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", one)


def _byte_letters() -> dict[int, str]:
    """Return GPT-2's printable character for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    letters |= {byte: chr(256 + n) for n, byte in enumerate(others)}
    return letters
