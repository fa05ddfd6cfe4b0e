"""Write a checkpoint as a GGUF file: `python -m mining.training.export mini checkpoints OUTPUT`."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mining.training.model import SHAPES, Shape
from mining.training.tokenizer import (
    BEGIN,
    CHAT_TEMPLATE,
    END,
    PRE_TOKENIZER,
    SPECIAL_TOKENS,
)

_BLOCK_NAMES = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.o": "attn_output",
    "feed_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer in the form that GGUF stores."""

    tokens: list[str]
    types: list[int]
    merges: list[str]


def tensor_name(name: str) -> str:
    """Return the name of a parameter in GGUF."""
    if name == "embedding.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{_BLOCK_NAMES[rest.removesuffix('.weight')]}.weight"


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """Return the tokens in the order of their ids.

    Special tokens have the type CONTROL, so that a user's text cannot become one.
    """
    ids: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(ids, key=ids.__getitem__)
    types = [
        int(gguf.TokenType.CONTROL if token in SPECIAL_TOKENS else gguf.TokenType.NORMAL)
        for token in tokens
    ]
    return Vocabulary(tokens, types, _merges(tokenizer))


def write_gguf(
    output: Path, name: str, shape: Shape, weights: dict[str, Tensor], tokenizer: Tokenizer
) -> None:
    """Write the model, with matrices as F16 and norms as F32. The file appears atomically."""
    partial = output.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_name(f"Cortensor {name.capitalize()}")
    writer.add_organization("Cortensor")
    writer.add_license("mit")
    writer.add_description("Trained from scratch on generated questions and answers.")
    writer.add_languages(["en"])
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    _add_tokenizer(writer, tokenizer)
    for parameter, weight in weights.items():
        kind = np.float16 if weight.ndim == 2 else np.float32
        writer.add_tensor(tensor_name(parameter), weight.numpy().astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(output)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    words = vocabulary(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(words.tokens.index(BEGIN))
    writer.add_eos_token_id(words.tokens.index(END))
    writer.add_eot_token_id(words.tokens.index(END))
    writer.add_pad_token_id(words.tokens.index(END))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _merges(tokenizer: Tokenizer) -> list[str]:
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SHAPES))
    parser.add_argument("folder", type=Path, help="folder of the checkpoint and vocabulary")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    state = torch.load(arguments.folder / f"{arguments.name}.pt", weights_only=True)
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    write_gguf(arguments.output, arguments.name, SHAPES[arguments.name], state["model"], tokenizer)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
