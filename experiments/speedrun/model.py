"""What the speedrun adds to the package's GPT: n-grams among the inputs, norms without weights, layers that begin at 0.

Shapes: B batch, T time, C width, V vocabulary.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.speedrun.recipe import Recipe
from minigpt import GPT, CausalSelfAttention, GPTConfig, sdpa_attention

MULTIPLIER = 2_654_435_761  # of Knuth's multiplicative hashing: near 2^32 divided by the golden ratio


class PlainNorm(nn.Module):
    """LayerNorm without weights and bias: one kernel forwards and one backwards on a CPU, and nothing to learn."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shape = (width,)

    def forward(self, x: Tensor) -> Tensor:  # (..., C) -> (..., C)
        return F.layer_norm(x, self.shape)


class NGramEmbedding(nn.Module):
    """The token's vector, plus one for the token with its predecessor, one for the last three tokens, and so on.

    Each length has a table of its own, which begins at 0. Where there are more n-grams than rows, a hash says which
    n-grams share a row. A window begins after tokens with the id 0.
    """

    def __init__(self, vocab_size: int, width: int, lengths: tuple[int, ...], rows: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.lengths = lengths
        self.token = nn.Embedding(vocab_size, width)
        sizes = [min(rows, vocab_size**length) for length in lengths]
        self.tables = nn.ModuleList(nn.Embedding.from_pretrained(torch.zeros(size, width)) for size in sizes)
        for table in self.tables:
            table.weight.requires_grad_()
            table.sparse = True  # a gradient for the rows that were read, not for the whole table

    def forward(self, ids: Tensor) -> Tensor:  # (B, T) -> (B, T, C)
        x = self.token(ids)
        for length, table in zip(self.lengths, self.tables, strict=True):
            x = x + table(self.row(ids, length, table.num_embeddings))
        return x

    def row(self, ids: Tensor, length: int, rows: int) -> Tensor:
        """Return the row of the n-gram that ends at each place: (B, T) -> (B, T)."""
        number = sum(F.pad(ids, (back, 0))[:, : ids.size(1)] * self.vocab_size**back for back in range(length))
        return number if self.vocab_size**length <= rows else (number * MULTIPLIER >> 13) % rows


def build(recipe: Recipe, vocab_size: int, seed: int) -> GPT:
    """Return the model of a recipe, drawn with the seed."""
    torch.manual_seed(seed)
    config = GPTConfig(vocab_size=vocab_size, **recipe.model)
    model = GPT(config, **(plain_norms(config) if recipe.plain_norms else {}))
    if recipe.ngrams:
        drawn = model.token_embedding
        model.token_embedding = NGramEmbedding(vocab_size, config.n_embd, tuple(recipe.ngrams), recipe.ngram_rows)
        model.token_embedding.token = drawn
    if recipe.zero_outputs:
        for layer in (
            model.lm_head,
            *(each for block in model.blocks for each in (block.attention.out, block.mlp.down)),
        ):
            nn.init.zeros_(layer.weight)
    return model


def plain_norms(config: GPTConfig) -> dict[str, partial]:
    """Return the factories of a GPT whose norms have no weights, those of queries and keys included."""
    sizes = (config.n_embd, config.n_head, config.bias, config.dropout, sdpa_attention)
    qk_norm = PlainNorm if config.qk_norm else None
    return {
        "norm": lambda config: PlainNorm(config.n_embd),
        "attention": lambda config: CausalSelfAttention(*sizes, qk_norm=qk_norm),
    }
