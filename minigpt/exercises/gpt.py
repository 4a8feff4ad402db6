"""Exercises of the chapter on the transformer: the block and the whole model."""

from minigpt.config import GPTConfig
from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_close, random_tensor

CHAPTER = "05_transformer"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Draw the left side of the picture: the stream goes straight down, and two layers each read it and add to it.",
        "A layer reads the *normalised* stream, but what it says is added to the stream as it was.",
        "The second half works on the result of the first, not on the x that came in.",
    ),
)
def pre_norm_block(attempt):
    """Apply attention and then the MLP, each to the normalised stream, and add what they say to the stream."""
    x = random_tensor(2, 3, 4)
    parts = (
        lambda x: (x - 1) / 2,  # attention_norm
        lambda x: x.cumsum(dim=1) + 0.1,  # attention
        lambda x: 3 * x + 2,  # mlp_norm
        lambda x: x.square() / 10,  # mlp
    )
    norm_1, attend, norm_2, think = parts
    middle = x + attend(norm_1(x))
    mistakes = {
        "this is post-norm: each norm stands after the sum, where it squeezes the stream": norm_2(
            norm_1(x + attend(x)) + think(norm_1(x + attend(x)))
        ),
        "nothing is added to the stream: both layers replace it": think(norm_2(attend(norm_1(x)))),
        "attention replaces the stream, where it should be added to it": attend(norm_1(x))
        + think(norm_2(attend(norm_1(x)))),
        "the MLP replaces the stream, where it should be added to it": think(norm_2(middle)),
        "the MLP reads the stream as it was before attention": middle + think(norm_2(x)),
        "the MLP's result is added to the x that came in, so what attention wrote is lost": x + think(norm_2(middle)),
        "the normalised vectors are added: only the layers read them, the stream stays as it is": (
            norm_2(norm_1(x) + attend(norm_1(x))) + think(norm_2(norm_1(x) + attend(norm_1(x))))
        ),
        "both halves use `attention_norm`: the second has a norm of its own": middle + think(norm_1(middle)),
        "the MLP comes before attention": x + think(norm_2(x)) + attend(norm_1(x + think(norm_2(x)))),
        "no norm is used": x + attend(x) + think(x + attend(x)),
        "attention reads the stream without its norm": x + attend(x) + think(norm_2(x + attend(x))),
        "the MLP reads the stream without its norm": middle + think(middle),
        "the MLP is missing": middle,
        "attention is missing": x + think(norm_2(x)),
    }
    diagnose(attempt(x, *parts), middle + think(norm_2(middle)), mistakes)
    return "Block.forward says the same in two lines"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Start from (5.13), which has all biases, and compare your parts with the rows of the parameter table.",
        "Without biases a linear layer has only its matrix, and a norm only its weight. How many of each are in a block?",
        "The head: its matrix is counted unless it is the token table, and its bias only where `lm_head_bias` says so.",
        "`config.bias` is True or False, and Python multiplies with it: `config.bias * 3 * C` is 3C or 0.",
    ),
)
def count_gpt(attempt):
    """Return the number of parameters of a GPT with learned positions, an integer, from its configuration alone."""
    # All sizes differ here, so that every mistake gives another number.
    config = GPTConfig(vocab_size=11, block_size=13, n_layer=3, n_head=2, n_embd=4, mlp_dim=10, lm_head_bias=True)
    right, (v, t, layers, c, f) = count(config), (11, 13, 3, 4, 10)
    biases = layers * (3 * c + c + f + c + 2 * c) + c
    mistakes = {
        "all biases are missing": right - biases - v,
        "the biases of the blocks' linear layers are missing": right - layers * (3 * c + c + f + c),
        "the biases of the norms are missing": right - layers * 2 * c - c,
        "the bias of the head is missing": right - v,
        "the norms are missing": right - layers * 4 * c - 2 * c,
        "only one norm is counted in a block: there are two": right - layers * 2 * c,
        "the last norm, before the head, is missing": right - 2 * c,
        "the table of positions is missing": right - t * c,
        "a table of V × C is missing: the tokens have one, and an untied head has another": right - v * c,
        "the head is missing": right - v * c - v,
        "the way out of attention is missing: after queries, keys and values there is a fourth matrix": right
        - layers * (c * c + c),
        "queries, keys and values have a matrix each: C² for one of them is not enough": right
        - layers * (2 * c * c + 2 * c),
        "only one of the MLP's two layers is counted": right - layers * (f * c + c),
        "the MLP is taken to be 4C wide: its width is `config.hidden_dim`": right + layers * (2 * c + 1) * (4 * c - f),
        "the block is counted once: there are `n_layer` of them": right - (layers - 1) * block_count(c, f),
        "attention is counted once for every head: heads share out the width, they do not add to it": right
        + layers * (4 * c * c + 4 * c),
    }
    diagnose(attempt(config), right, mistakes)
    expect_close(
        attempt(config.replace(n_head=4)),
        right,
        "the number of heads changes the answer, but it should not",
        atol=0,
        rtol=0,
    )
    plain = config.replace(bias=False)
    mistakes = {
        "with `bias=False` the linear layers and the norms have no biases": right,
        "with `bias=False` the norms have no biases either": count(plain) + layers * 2 * c + c,
        "with `bias=False` the linear layers have no biases either": count(plain) + layers * (5 * c + f),
        "the head's bias hangs on `lm_head_bias`, not on `bias`": count(plain) - v,
    }
    diagnose(attempt(plain), count(plain), mistakes)
    diagnose(
        attempt(config.replace(lm_head_bias=False)),
        right - v,
        {"with `lm_head_bias=False` the head has no bias": right},
    )
    gpt2 = GPTConfig(vocab_size=50_257, block_size=1024, n_layer=12, n_head=12, n_embd=768, tie_weights=True)
    mistakes = {"GPT-2's head shares the token table, which is counted once": count(gpt2) + 50_257 * 768}
    diagnose(attempt(gpt2), count(gpt2), mistakes, atol=0.5, rtol=0)
    expect(isinstance(attempt(gpt2), int), "the number is right, but it should be an integer")
    return f"GPT-2 has {count(gpt2):,} parameters, and you counted every one"


def block_count(c: int, f: int) -> int:
    """The parameters of a block with all its biases."""
    return 4 * c * c + 4 * c + 2 * c * f + f + c + 4 * c


def count(config: GPTConfig) -> int:
    """The parameters of a GPT with learned positions."""
    v, c, f = config.vocab_size, config.n_embd, config.hidden_dim
    biases = config.n_layer * (5 * c + f + 2 * c) + c
    with_biases = v * c + config.block_size * c + config.n_layer * block_count(c, f) + 2 * c
    head = v * config.lm_head_bias + (0 if config.tie_weights else v * c)
    return with_biases - (0 if config.bias else biases) + head
