"""Exercises of the chapter on GPT-2: sizes, starting weights, tying, and another program's layout."""

import math

import torch

from minigpt.exercises.engine import Mistake, diagnose, exercise, expect, expect_close, expect_type, random_tensor

CHAPTER = "14_gpt2"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down (14.1) and ask which of its terms contain V. All the others are spent before the first token.",
        "What is left is divided by what one more token costs: one row of C numbers, or two.",
        "Round down with `//`: a vocabulary that is too large by a fraction of a token does not fit.",
    ),
)
def largest_vocabulary(attempt):
    """Return the largest vocabulary whose GPT stays within a budget of parameters, an integer."""
    sizes = {"block_size": 10, "n_layer": 2, "width": 4}
    fixed = 10 * 4 + 2 * (12 * 16 + 13 * 4) + 2 * 4  # 536
    budget = fixed + 4 * 25 + 3
    mistakes = {
        "the blocks, the places and the last norm want their share of the budget too": budget // 4,
        "the table of places is missing from what is spent": (budget - fixed + 40) // 4,
        "the last norm is missing from what is spent": (budget - fixed + 8) // 4,
        "the blocks have biases and norms as well: 12C² + 13C for each": (budget - fixed + 2 * 52) // 4,
        "the blocks are counted once: there are `n_layer` of them": (budget - fixed + 244) // 4,
        "this is rounded up, so the model exceeds the budget": 26,
        "with tied weights one more token costs one row, not two": 12,
        "the answer is a whole number of tokens: round down": 25.75,
    }
    diagnose(attempt(parameters=budget, tied=True, **sizes), 25, mistakes, atol=0, rtol=0)
    diagnose(
        attempt(parameters=budget, tied=False, **sizes),
        12,
        {
            "without tying, one more token costs two rows: one in the table, one in the head": 25,
            "this is 25 / 2, unrounded": 12.5,
        },
        atol=0,
        rtol=0,
    )
    found = attempt(parameters=124_439_808, block_size=1024, n_layer=12, width=768, tied=True)
    diagnose(found, 50_257, {}, atol=0, rtol=0)
    expect_type(found, int, "the number is right, but it should be an integer")
    return "with GPT-2's own budget it gives GPT-2's own vocabulary, 50,257"


@exercise(
    chapter=CHAPTER,
    hints=(
        "There are three cases: what never was drawn at random, what writes into the stream, and everything else.",
        "Biases and norms are not drawn: their spread is 0. The last part of the name, and the word `norm`, tell them apart.",
        "`attention.out` and `mlp.down` write into the stream. Each of the L blocks has two of them.",
    ),
)
def initial_std(attempt):
    """Return the standard deviation with which a parameter of that name is drawn in a GPT of n_layer blocks."""
    written = 0.02 / math.sqrt(24)
    mistakes = {
        "what writes into the stream is drawn smaller: divide by √(2L)": 0.02,
        "each block writes twice, so there are 2L writes under the root": 0.02 / math.sqrt(12),
        "the root is missing: variances add up, not standard deviations": 0.02 / 24,
        "this multiplies by the root: the writes must become smaller": 0.02 * math.sqrt(24),
        "this is the variance: take the root": written**2,
    }
    diagnose(attempt("blocks.3.attention.out.weight", 12), written, mistakes, atol=1e-7, rtol=1e-4)
    diagnose(
        attempt("blocks.0.mlp.down.weight", 12),
        written,
        {"the MLP writes into the stream too, through `mlp.down`": 0.02},
        atol=1e-7,
        rtol=1e-4,
    )
    for name in (
        "blocks.0.attention.qkv.weight",
        "blocks.11.mlp.up.weight",
        "token_embedding.weight",
        "lm_head.weight",
    ):
        sentence = f"`{name}` does not write into the stream: it keeps 0.02"
        diagnose(attempt(name, 12), 0.02, {sentence: written}, atol=1e-7, rtol=1e-4)
    table = {"the table of positions is drawn like every other table here, with 0.02": 0.01}
    diagnose(attempt("position.table.weight", 12), 0.02, table, atol=1e-7, rtol=1e-4)
    for name in ("blocks.3.attention.out.bias", "blocks.3.mlp.down.bias", "blocks.3.mlp.up.bias"):
        expect_close(attempt(name, 12), 0.0, f"`{name}` is a bias: it starts at 0 and is not drawn", atol=1e-9)
    for name in ("final_norm.weight", "blocks.5.attention_norm.weight", "blocks.5.mlp_norm.weight"):
        sentence = f"`{name}` belongs to a norm: it starts at 1 everywhere, without any spread"
        expect_close(attempt(name, 12), 0.0, sentence, atol=1e-9)
    expect_close(attempt("blocks.0.mlp.down.weight", 2), 0.01, "with 2 blocks there are 4 writes, and √4 is 2")
    return "a fresh GPT of any depth begins with a stream of the same size"


@exercise(
    chapter=CHAPTER,
    without=("autograd",),
    hints=(
        "The matrix acts twice, so its gradient is a sum of two: one as a table that is read, one as a head.",
        "As a head, row v gave logit v by a dot product with each place's vector: `logit_gradients.T @ vectors`.",
        "As a table, row `ids[t]` was copied to place t, so `embedding_gradients[t]` belongs to that row.",
        "A token that stands at two places gets both: `table.index_add_(0, ids, embedding_gradients)` adds, `table[ids] = …` keeps one.",
    ),
)
def tied_gradient(attempt):
    """Return the gradient of a tied matrix, (V, C): what it gets as the table of tokens plus what it gets as the head."""
    ids = torch.tensor([2, 0, 2, 4])  # (T,)
    read, vectors, logits = random_tensor(4, 3), random_tensor(4, 3, seed=1), random_tensor(4, 6, seed=2)
    head = logits.T @ vectors  # (V, C)
    table = torch.zeros(6, 3).index_add_(0, ids, read)  # (V, C)
    last_wins = torch.zeros(6, 3)
    for place, id in enumerate(ids.tolist()):
        last_wins[id] = read[place]
    mistakes = {
        "this is the head's share alone: the matrix was also read as a table": head,
        "this is the table's share alone: the matrix was also used as the head": table,
        "token 2 stands at two places, and only one of them arrives: add them up": head + last_wins,
        "the two shares are averaged: a gradient adds up over all uses": (head + table) / 2,
        "the table's share is subtracted": head - table,
        "the head's share replaces the rows that were read, in place of adding to them": torch.where(
            table.abs().sum(-1, keepdim=True) > 0, table, head
        ),
        "this lies on its side: the matrix has a row for each token": (head + table).T,
    }
    diagnose(attempt(ids, read, vectors, logits), head + table, mistakes)
    once = attempt(torch.tensor([5]), read[:1], vectors[:1], logits[:1])
    expected = logits[:1].T @ vectors[:1]
    expected[5] += read[0]
    expect_close(once, expected, "a text of a single token comes out wrong")
    return "autograd finds the same, without being told that the matrix is used twice"


@exercise(
    chapter=CHAPTER,
    hints=(
        "First cut the columns into three thirds: queries, keys, values. Only then cut each third into heads.",
        "A head is a run of D = C / H neighbouring columns: `.unflatten(-1, (n_head, -1))` gives (C, H, D).",
        "The heads come first in the answer: move that dimension with `.transpose(0, 1)` or `.permute`.",
    ),
)
def split_c_attn(attempt):
    """Cut GPT-2's c_attn matrix, (C, 3C), into the matrices of queries, keys and values by head, each (H, C, D)."""
    matrix, heads = random_tensor(6, 18), 2  # C = 6, D = 3
    thirds = matrix.chunk(3, dim=-1)  # each (C, C)
    right = tuple(third.unflatten(-1, (heads, -1)).transpose(0, 1) for third in thirds)
    mixed = matrix.unflatten(-1, (heads, 3, -1)).permute(2, 1, 0, 3)  # (3, H, C, D)
    on_their_side = tuple(third.T.unflatten(-1, (heads, -1)).transpose(0, 1) for third in thirds)
    answer = attempt(matrix, heads)
    if isinstance(answer, torch.Tensor | list) and len(answer) == 3:
        answer = tuple(answer)
    expect(not isinstance(answer, tuple) or len(answer) == 3, "three tensors are asked for: queries, keys and values")
    if isinstance(answer, tuple) and any(getattr(each, "shape", None) == (6, 2, 3) for each in answer):
        raise Mistake("the shapes are (C, H, D): the heads come first, (H, C, D)")
    mistakes = {
        "queries and keys have changed places": (right[1], right[0], right[2]),
        "keys and values have changed places": (right[0], right[2], right[1]),
        "the columns are cut into heads first: all queries stand in the first third, whatever their head": tuple(mixed),
        "the heads are interleaved: a head is a run of neighbouring columns, not every H-th one": tuple(
            third.unflatten(-1, (-1, heads)).permute(2, 0, 1) for third in thirds
        ),
        "each matrix lies on its side: a row belongs to a channel that comes in": on_their_side,
        "this reinterprets the memory: a reshape to (H, C, D) mixes rows with columns, so unflatten and transpose": tuple(
            third.reshape(heads, 6, 3) for third in thirds
        ),
    }
    diagnose(answer, right, mistakes)
    expect(same_scores(attempt), "with one head, or with many, the pieces come out wrong")
    return "x @ q[h] is what head h asks, straight from the file"


def same_scores(attempt) -> bool:
    """Whether the pieces of matrices with other numbers of heads are right."""
    matrix = random_tensor(8, 24, seed=3)
    for heads in (1, 4, 8):
        right = [third.unflatten(-1, (heads, -1)).transpose(0, 1) for third in matrix.chunk(3, dim=-1)]
        if not all(torch.equal(a, b) for a, b in zip(attempt(matrix, heads), right, strict=True)):
            return False
    return True


@exercise(
    chapter=CHAPTER,
    hints=(
        "Cut the name at its full stops. The last piece, `weight` or `bias`, stays as it is.",
        "A name in a block begins with `blocks.` and a number; what follows the number is one of six parts, so use a dictionary.",
        "The names around the blocks have no number: `token_embedding`, `position.table`, `final_norm` and `lm_head`.",
        "`name.rpartition('.')` cuts off the kind, and `part.split('.', 2)` gives `blocks`, the number, and the part.",
    ),
)
def hub_name(attempt):
    """Return what Hugging Face's GPT-2 calls a parameter of minigpt's."""
    pairs = {
        "blocks.3.mlp.up.weight": "transformer.h.3.mlp.c_fc.weight",
        "blocks.0.attention.qkv.bias": "transformer.h.0.attn.c_attn.bias",
        "blocks.11.attention.out.weight": "transformer.h.11.attn.c_proj.weight",
        "blocks.10.mlp.down.bias": "transformer.h.10.mlp.c_proj.bias",
        "blocks.1.attention_norm.weight": "transformer.h.1.ln_1.weight",
        "blocks.1.mlp_norm.bias": "transformer.h.1.ln_2.bias",
        "token_embedding.weight": "transformer.wte.weight",
        "position.table.weight": "transformer.wpe.weight",
        "final_norm.weight": "transformer.ln_f.weight",
        "final_norm.bias": "transformer.ln_f.bias",
        "lm_head.weight": "lm_head.weight",
    }
    for ours, theirs in pairs.items():
        found = attempt(ours)
        expect_type(found, str)
        expect(found != ours or ours == theirs, f"`{ours}` comes back as it was: there it is `{theirs}`")
        number = theirs.split(".")[2] if ".h." in theirs else None
        expect(
            number is None or f".{number}." in found,
            f"`{ours}` loses its block's number on the way: the result is `{found}`",
        )
        expect(
            found.endswith(theirs.rpartition(".")[2]),
            f"`{ours}` becomes `{found}`: the last piece, `weight` or `bias`, stays as it is",
        )
        expect(
            theirs != f"transformer.{found}",
            f"`{found}` lacks the `transformer.` in front, which all but the head have in today's files",
        )
        expect(found != f"transformer.{theirs}", "the head stands outside: its name has no `transformer.` in front")
        expect(
            {theirs, found} != {"transformer.h.1.ln_1.weight", "transformer.h.1.ln_2.weight"},
            "the two norms have changed places: `ln_1` stands before attention, `ln_2` before the MLP",
        )
        expect(found == theirs, f"`{ours}` becomes `{found}`, but there it is `{theirs}`")
    return "every tensor of a GPT-2 finds its place"
