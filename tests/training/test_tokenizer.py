"""The vocabulary covers all text, and llama.cpp reads it as it was trained."""

import itertools
import random
from pathlib import Path

import pytest
from llama_cpp import Llama
from tokenizers import Tokenizer

from mining.training.data.corpus import Example, examples
from mining.training.tokenizer import ASSISTANT, END, SPECIAL_TOKENS, encode, train_tokenizer

MODELS = Path(__file__).parents[2] / "mining" / "node" / "models"

_ODD_TEXTS = (
    "", " ", "   two  spaces ", "a\n\nb\r\n\tc", "12345", "3.14 + 2,000", "don't WE'RE I'll",
    "Zürich, naïve, Žižek", "你好，世界", "🦙🚀", "٣٤٥ ½ Ⅷ", "<|end|>", "a<|user|>b", "$COR!!!\n",
    "x = {'a': [1, 2]}", "\u00a0\u200b\ufeff",
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(sample=60_000)


@pytest.fixture(scope="module", params=["mini", "micro"])
def shipped(request: pytest.FixtureRequest) -> Llama:
    path = MODELS / f"cortensor-{request.param}.gguf"
    return Llama(str(path), vocab_only=True, verbose=False)


def _texts() -> list[str]:
    rng = random.Random(11)
    alphabet = "abcXYZ  019'.,?!-\n\té€語🦙"
    noise = ["".join(rng.choices(alphabet, k=rng.randint(1, 30))) for _ in range(1500)]
    asked = [e.question for e in itertools.islice(examples(9, "train"), 1500)]
    return [*_ODD_TEXTS, *noise, *asked]


def _plain_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """A text's tokens with nothing special among them."""
    ids: list[int] = []
    model = tokenizer.model
    for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
        ids += [token.id for token in model.tokenize(piece)]
    return ids


def test_any_text_survives_the_round_trip(tokenizer: Tokenizer) -> None:
    for text in _texts():
        assert tokenizer.decode(_plain_ids(tokenizer, text), skip_special_tokens=False) == text


def test_each_digit_is_a_token_of_its_own(tokenizer: Tokenizer) -> None:
    assert len(_plain_ids(tokenizer, "4071")) == 4


def test_llama_cpp_splits_text_exactly_as_it_was_trained(
    shipped: Llama, tokenizer: Tokenizer
) -> None:
    for text in _texts():
        read = shipped.tokenize(text.encode(), add_bos=False, special=False)
        assert read == _plain_ids(tokenizer, text), text


def test_text_of_a_user_never_becomes_a_special_token(shipped: Llama) -> None:
    special = {shipped.tokenize(t.encode(), add_bos=False, special=True)[0] for t in SPECIAL_TOKENS}
    assert len(special) == len(SPECIAL_TOKENS)
    for text in SPECIAL_TOKENS:
        assert not special & set(shipped.tokenize(text.encode(), add_bos=False, special=False))


def test_only_what_the_assistant_says_is_learnt(tokenizer: Tokenizer) -> None:
    example = Example("x", "Who?", "Me.", "Be brief.", (("Up?", "Down."),))
    ids, learn = encode(tokenizer, example)
    said = tokenizer.decode(list(itertools.compress(ids, learn)), skip_special_tokens=False)
    assert said == f"Down.{END}Me.{END}"
    assert ids.count(tokenizer.token_to_id(ASSISTANT)) == 2
