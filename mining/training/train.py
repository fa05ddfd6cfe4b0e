"""Train a model: `python -m mining.training.train mini checkpoints`.

The same command resumes a run that was stopped.
"""

import argparse
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from mining.training.batches import Batch, evaluation_batch, training_batches
from mining.training.data.corpus import LATE_WEIGHTS, Example, examples
from mining.training.model import SHAPES, Llama
from mining.training.optimiser import Muon
from mining.training.tokenizer import train_tokenizer

_WARM_UP, _DECAY_FROM, _LATE_FROM = 0.01, 0.35, 0.65
_POOL = 8192
_EVALUATION_SEED = 1


@dataclass
class Progress:
    """How far a training has come."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def rate_at(done: float) -> float:
    """Return the factor of the learning rate when the share `done` of the training is done.

    The factor rises at first, stays at 1, and then falls to 0.
    """
    if done < _WARM_UP:
        return (done + 0.001) / (_WARM_UP + 0.001)
    return min(1.0, (1.0 - done) / (1.0 - _DECAY_FROM))


class Training:
    """A model with its optimisers and its progress."""

    def __init__(self, name: str, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = Llama(SHAPES[name])
        self.progress = Progress()
        self._muon = Muon(p for p in self.model.blocks.parameters() if p.ndim == 2)
        others = [p for p in self.model.parameters() if p.ndim == 1]
        self._adam = torch.optim.AdamW(
            [self.model.embedding.weight, *others], betas=(0.9, 0.98), weight_decay=0.0
        )

    def step(self, batch: Batch, rate: float, muon_rate: float, adam_rate: float) -> float:
        """Train on one batch and return its loss."""
        states = self.model(batch.tokens)[batch.learn]
        loss = F.cross_entropy(self.model.logits(states), batch.targets[batch.learn])
        torch.autograd.backward(loss)
        self._muon.step(rate * muon_rate)
        for group in self._adam.param_groups:
            group["lr"] = rate * adam_rate
        self._adam.step()
        self._adam.zero_grad()
        self.progress.step += 1
        self.progress.tokens += batch.tokens.numel()
        return loss.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint. The file appears atomically."""
        partial = path.with_suffix(".partial")
        state = {
            "model": self.model.state_dict(),
            "adam": self._adam.state_dict(),
            "muon": self._muon.state(),
            "progress": asdict(self.progress),
        }
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Restore a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self._adam.load_state_dict(state["adam"])
        self._muon.restore(state["muon"])
        self.progress = Progress(**state["progress"])


@torch.no_grad()
def evaluate(model: Llama, questions: list[Example], batch: Batch) -> dict[str, float]:
    """Return the share of questions, by family, for which every token of the answer is likeliest.

    For these questions, decoding at temperature 0 gives exactly the answer.
    """
    said = model.logits(model(batch.tokens)).argmax(-1)
    right = ((said == batch.targets) | ~batch.learn).all(1).tolist()
    families: dict[str, list[bool]] = defaultdict(list)
    for question, is_right in zip(questions, right, strict=True):
        families[question.family].append(is_right)
    scores = {family: sum(hits) / len(hits) for family, hits in families.items()}
    return {"overall": sum(right) / len(right), **scores}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SHAPES))
    parser.add_argument("folder", type=Path, help="folder for checkpoints and the vocabulary")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--batch-tokens", type=int, default=2560)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--adam-rate", type=float, default=0.004)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate-every", type=float, default=120, help="seconds")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.folder.mkdir(parents=True, exist_ok=True)

    vocabulary = arguments.folder / "tokenizer.json"
    if not vocabulary.exists():
        train_tokenizer().save(str(vocabulary))
    tokenizer = Tokenizer.from_file(str(vocabulary))
    training = Training(arguments.name, arguments.seed)
    checkpoint = arguments.folder / f"{arguments.name}.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    progress = training.progress
    parameters = sum(p.numel() for p in training.model.parameters())
    print(f"{arguments.name}: {parameters:,} parameters, step {progress.step}", flush=True)

    questions = list(islice(examples(_EVALUATION_SEED, "held_out"), 340))
    evaluation = evaluation_batch(tokenizer, questions)
    # The seed depends on the step, so that a resumed run draws new examples.
    seed, size = arguments.seed + progress.step, arguments.batch_tokens
    early = training_batches(tokenizer, seed, size, _POOL)
    late = training_batches(tokenizer, seed, size, _POOL, LATE_WEIGHTS)
    started = time.monotonic() - progress.seconds
    evaluated = reported = time.monotonic()
    while True:
        done = max(progress.step / arguments.steps, progress.seconds / 60 / arguments.minutes)
        finished = done >= 1
        now = time.monotonic()
        if finished or now - evaluated > arguments.evaluate_every:
            evaluated = now
            training.save(checkpoint)
            scores = evaluate(training.model, questions, evaluation)
            print(json.dumps({k: round(v, 2) for k, v in scores.items()}), flush=True)
        if finished:
            break
        batch = next(early if done < _LATE_FROM else late)
        loss = training.step(batch, rate_at(done), arguments.muon_rate, arguments.adam_rate)
        progress.seconds = time.monotonic() - started
        if now - reported > 10:
            reported = now
            speed = progress.tokens / progress.seconds
            print(
                f"step {progress.step} loss {loss:.4f} {speed:.0f} tokens/s {done:.1%}", flush=True
            )


if __name__ == "__main__":
    main()
