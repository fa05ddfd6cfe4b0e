"""The Llama architecture, small: RMSNorm, rotary positions, SwiGLU, tied embeddings."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """A model's sizes. Widths are multiples of 32, the block length of Q8_0."""

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
        """How wide one attention head is."""
        return self.width // self.heads


SHAPES = {
    "mini": Shape(),
    "micro": Shape(width=96, layers=2, heads=3, feed_forward=256),
}


class Norm(nn.Module):
    """RMSNorm with a weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self._epsilon = shape.norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """x over its root mean square."""
        return F.rms_norm(x, self.weight.shape, self.weight, self._epsilon)


class Attention(nn.Module):
    """Causal attention whose rotary pairs are neighbours: (0, 1), (2, 3), …

    That is the order llama.cpp expects of this architecture, so that no weight has to be permuted
    on export, as weights in the split-halves order of other implementations must be.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._heads, self._head_width = shape.heads, shape.head_width
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, shape.width, bias=False)
        self.v = nn.Linear(shape.width, shape.width, bias=False)
        self.o = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Every position looks at itself and what is before it."""
        batch, length, width = x.shape
        split = (batch, length, self._heads, self._head_width)
        q = _rotate(self.q(x).view(split), cosine, sine).transpose(1, 2)
        k = _rotate(self.k(x).view(split), cosine, sine).transpose(1, 2)
        v = self.v(x).view(split).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.as_tensor(self.o(mixed.transpose(1, 2).reshape(batch, length, width)))


class Block(nn.Module):
    """Attention, then a gated feed-forward part, each added to what comes in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = Norm(shape)
        self.attention = Attention(shape)
        self.feed_norm = Norm(shape)
        self.gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """One layer."""
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        h = self.feed_norm(x)
        return torch.as_tensor(x + self.down(F.silu(self.gate(h)) * self.up(h)))


class Llama(nn.Module):
    """Embeddings, layers, norm; the embeddings read the answer off as well."""

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
        """The last layer's normed states; `logits` turns those that are wanted into logits."""
        cosine, sine = _rotations(self.shape, tokens.shape[1])
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cosine, sine)
        return torch.as_tensor(self.norm(x))

    def logits(self, states: Tensor) -> Tensor:
        """How likely each token is to come next."""
        return F.linear(states, self.embedding.weight)


def _rotations(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    pairs = torch.arange(0, shape.head_width, 2) / shape.head_width
    angles = torch.outer(torch.arange(length).float(), shape.rope_base**-pairs)
    return angles.cos()[:, None, :], angles.sin()[:, None, :]


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)
