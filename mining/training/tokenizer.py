"""Trains the byte-level BPE vocabulary so that llama.cpp splits text in exactly the same way.

llama.cpp selects a pre-tokeniser by its name in the file. `qwen2` gives each digit a token of its
own, which arithmetic needs. The pattern below is that of `qwen2`.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from mining.training.data.corpus import SYSTEM_MESSAGES, Example, examples

PRE_TOKENIZER = "qwen2"
BEGIN, END = "<|begin|>", "<|end|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (BEGIN, END, SYSTEM, USER, ASSISTANT)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
VOCABULARY = 1024

_PATTERN = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(seed: int = 0, sample: int = 60_000) -> Tokenizer:
    """Train the vocabulary on the training split's questions and answers.

    Args:
        seed: the seed of the examples.
        sample: how many examples are used.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    tokenizer.train_from_iterator(
        _texts(seed, sample),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """Return a conversation's tokens, with a 1 for each token that the model has to learn, else 0.

    The model learns the assistant's messages.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = {token: vocabulary[token] for token in SPECIAL_TOKENS}
    ids, learn = [special[BEGIN]], [0]

    def say(role: str, text: str) -> None:
        words = tokenizer.encode(text, add_special_tokens=False).ids
        ids.extend([special[role], *words, special[END]])
        learn.extend([0] + [int(role == ASSISTANT)] * (len(words) + 1))

    if example.system:
        say(SYSTEM, example.system)
    for question, answer in (*example.history, (example.question, example.answer)):
        say(USER, question)
        say(ASSISTANT, answer)
    return ids, learn


def _texts(seed: int, sample: int) -> Iterator[str]:
    yield from SYSTEM_MESSAGES
    for example in itertools.islice(examples(seed, "train"), sample):
        yield example.question
        yield example.answer


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the vocabulary and write it as JSON.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tokenizer = train_tokenizer(arguments.seed)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(arguments.output))
    print(f"{tokenizer.get_vocab_size()} tokens in {arguments.output}")


if __name__ == "__main__":
    main()
