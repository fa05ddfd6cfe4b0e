"""The network that is trained equals the network that llama.cpp runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from llama_cpp import Llama
from tokenizers import Tokenizer

from mining.training import export
from mining.training.batches import training_batches
from mining.training.model import Llama as Trained
from mining.training.model import Shape
from mining.training.optimiser import orthogonal
from mining.training.tokenizer import train_tokenizer
from mining.training.train import Training, rate_at

# Small tensors: more threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(sample=20_000)


def test_an_exported_model_has_the_logits_of_the_trained_one(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    torch.manual_seed(0)
    shape = Shape(tokenizer.get_vocab_size(), width=64, layers=2, heads=2, feed_forward=96)
    model = Trained(shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    path = tmp_path / "tiny.gguf"
    export.write_gguf(path, "tiny", shape, model.state_dict(), tokenizer)
    ids = list(range(5, 45))
    with torch.no_grad():
        expected = model.logits(model(torch.tensor([ids])))[0].numpy()
    llama = Llama(str(path), n_ctx=64, logits_all=True, n_threads=1, verbose=False)
    llama.eval(ids)
    logits = np.array(llama.scores[: len(ids)])
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()
    assert (logits.argmax(-1) == expected.argmax(-1)).mean() > 0.9


def test_a_few_steps_lower_the_loss(tokenizer: Tokenizer) -> None:
    training = Training("micro", seed=0)
    batches = training_batches(tokenizer, seed=0, tokens=256, pool=256)
    losses = [training.step(next(batches), 1.0, 0.02, 0.004) for _ in range(25)]
    assert np.mean(losses[-5:]) < losses[0] - 1


def test_training_goes_on_from_a_checkpoint(tmp_path: Path, tokenizer: Tokenizer) -> None:
    training = Training("micro", seed=0)
    batch = next(training_batches(tokenizer, seed=0, tokens=256, pool=256))
    training.step(batch, 1.0, 0.02, 0.004)
    training.save(tmp_path / "micro.pt")
    resumed = Training("micro", seed=9)
    resumed.load(tmp_path / "micro.pt")
    assert resumed.progress == training.progress
    losses = [t.step(batch, 1.0, 0.02, 0.004) for t in (training, resumed) for _ in range(2)]
    assert losses[:2] == pytest.approx(losses[2:])


def test_the_rate_warms_up_stays_and_falls_to_nothing() -> None:
    assert rate_at(0.0) < 0.2
    assert rate_at(0.2) == 1.0
    assert rate_at(1.0) == 0.0


def test_a_step_s_direction_is_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((1, 16, 48), (1, 48, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.3
        assert values.max() < 1.5
