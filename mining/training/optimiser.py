"""Muon, an optimiser for the matrices of the layers: momentum with orthogonalised steps.

For models of this size it needs far fewer steps than AdamW. Embeddings and norms still use AdamW.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon:
    """Optimises the matrices of the layers."""

    def __init__(self, matrices: Iterable[Tensor], momentum: float = 0.95) -> None:
        self._matrices = list(matrices)
        self._momentum = momentum
        self._velocity = [torch.zeros_like(matrix) for matrix in self._matrices]

    @torch.no_grad()
    def step(self, rate: float, decay: float = 0.02) -> None:
        """Move every matrix against its gradient, then clear the gradient.

        Args:
            rate: the learning rate of this step.
            decay: the weight decay, as a share of the rate.
        """
        updates: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for matrix, velocity in zip(self._matrices, self._velocity, strict=True):
            assert matrix.grad is not None
            velocity.lerp_(matrix.grad, 1 - self._momentum)
            update = matrix.grad.lerp(velocity, self._momentum)
            updates.setdefault(matrix.shape, []).append((matrix, update))
            matrix.grad = None
        for shape, group in updates.items():
            directions = orthogonal(torch.stack([update for _, update in group]))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for (matrix, _), direction in zip(group, directions, strict=True):
                matrix.mul_(1 - rate * decay).sub_(direction, alpha=scale)

    def state(self) -> list[Tensor]:
        """Return the state that a checkpoint has to store."""
        return self._velocity

    def restore(self, velocity: list[Tensor]) -> None:
        """Restore the state of a checkpoint."""
        self._velocity = velocity


def orthogonal(batch: Tensor, rounds: int = 5) -> Tensor:
    """Approximate the nearest semi-orthogonal matrices by Newton-Schulz iteration."""
    tall = batch.shape[-2] > batch.shape[-1]
    x = batch.mT if tall else batch
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return torch.as_tensor(x.mT if tall else x)
