"""A small Llama model: RMSNorm, rotary position embeddings, SwiGLU and tied embeddings."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """A model's sizes. Widths are multiples of 32, the block size of the format Q8_0."""

    vocabulary: int = 1024
    width: int = 160
    layers: int = 5
    heads: int = 5
    feed_forward: int = 384
    context: int = 512
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """The width of one attention head."""
        return self.width // self.heads


SHAPES = {
    "mini": Shape(),
    "micro": Shape(width=96, layers=2, heads=3, feed_forward=256),
}


class Norm(nn.Module):
    """RMSNorm with a learnt weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self._epsilon = shape.norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Divide x by its root mean square and multiply it by the weight."""
        return F.rms_norm(x, self.weight.shape, self.weight, self._epsilon)


class Attention(nn.Module):
    """Causal attention. The dimensions of a rotary pair are neighbours: (0, 1), (2, 3), …

    llama.cpp expects this order for the Llama architecture. Other implementations pair the two
    halves of a head, so their weights must be permuted on export. These need not be.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._heads, self._head_width = shape.heads, shape.head_width
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, shape.width, bias=False)
        self.v = nn.Linear(shape.width, shape.width, bias=False)
        self.o = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Let every position attend to itself and to the positions before it."""
        batch, length, width = x.shape
        split = (batch, length, self._heads, self._head_width)
        q = _rotate(self.q(x).view(split), cosine, sine).transpose(1, 2)
        k = _rotate(self.k(x).view(split), cosine, sine).transpose(1, 2)
        v = self.v(x).view(split).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.as_tensor(self.o(mixed.transpose(1, 2).reshape(batch, length, width)))


class Block(nn.Module):
    """A layer: attention, then a gated feed-forward network, each with a residual connection."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = Norm(shape)
        self.attention = Attention(shape)
        self.feed_norm = Norm(shape)
        self.gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Apply the layer."""
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        h = self.feed_norm(x)
        return torch.as_tensor(x + self.down(F.silu(self.gate(h)) * self.up(h)))


class Llama(nn.Module):
    """A Llama model. The embedding matrix also computes the logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=shape.width**-0.5 / 2)
        for block in self.blocks:
            assert isinstance(block, Block)
            nn.init.zeros_(block.attention.o.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normalised states of the last layer, from which `logits` computes logits."""
        cosine, sine = _rotations(self.shape, tokens.shape[1])
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cosine, sine)
        return torch.as_tensor(self.norm(x))

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits of the next token for each state."""
        return F.linear(states, self.embedding.weight)


def _rotations(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    pairs = torch.arange(0, shape.head_width, 2) / shape.head_width
    angles = torch.outer(torch.arange(length).float(), shape.rope_base**-pairs)
    return angles.cos()[:, None, :], angles.sin()[:, None, :]


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)
