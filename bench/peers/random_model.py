"""A Llama model with about 100 million random parameters.

It takes as much work as a real model of that size. Its answers are noise, and it hardly ever ends
one by itself, so every server generates as many tokens as it is asked for.
"""

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

WIDTH, LAYERS, HEADS, FEED_FORWARD, VOCABULARY = 768, 11, 12, 2048, 32_000
CONTEXT_TOKENS = 2048
_END = "<|end|>"


def write(path: Path, *, format_: str = "F16", seed: int = 1) -> Path:
    """Write the model. It takes about 200 MB, or half of that as Q8_0 and a quarter as Q4_0."""
    kind = gguf.GGMLQuantizationType[format_]
    tokens, types = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random-100m")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{format_}"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["Ġ t", "h e"])
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    _add_weights(writer, np.random.default_rng(seed), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> tuple[list[str], list[int]]:
    """Return the tokens with their types: every byte, two merges, and words for the rest."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n, _ in enumerate(others)]
    tokens = [_END, *letters, "Ġt", "he"]
    tokens += [f"Ġw{n}" for n in range(VOCABULARY - len(tokens))]
    types = [int(gguf.TokenType.CONTROL)] + [int(gguf.TokenType.NORMAL)] * (len(tokens) - 1)
    return tokens, types


def _add_weights(
    writer: gguf.GGUFWriter, random: np.random.Generator, kind: gguf.GGMLQuantizationType
) -> None:
    def add(name: str, *shape: int) -> None:
        matrix = random.standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)
        writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)

    one: npt.NDArray[np.float32] = np.ones(WIDTH, np.float32)
    add("token_embd.weight", VOCABULARY, WIDTH)
    writer.add_tensor("output_norm.weight", one)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            add(f"blk.{layer}.{name}.weight", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, FEED_FORWARD)
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", one)
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", one)
