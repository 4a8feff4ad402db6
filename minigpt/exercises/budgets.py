"""Exercises of the chapter on counting that are about sizes: parameters, activations, operations."""

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_equal, expect_type

CHAPTER = "10_counting"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Write down the count as a function of the width first: blocks, and both tables.",
        "Blocks have 12·C² parameters each, the token embedding and the head have V·C each.",
        "Try 16, 32, 48 and so on, and stop before the count exceeds the budget. No algebra is needed.",
    ),
)
def widest_model(attempt):
    """Return the largest width, a multiple of 16, for which a GPT stays within a budget of parameters."""
    width = attempt(5_000_000, 6, 5000)
    mistakes = {
        "the token embedding and the head are left out: each of them has V·C parameters": 256,
        "only one of the two tables is counted: the token embedding and the untied head have V·C each": 224,
        "the width is not a multiple of 16": 203,
        "this width exceeds the budget: round down, not up": 208,
        "the blocks are too small: attention has 4·C², the MLP has 8·C²": 288,
        "this counts one block only: there are `n_layer` of them": 336,
    }
    diagnose(width, 192, mistakes)
    expect_type(width, int, "a whole number is asked for: the width itself, as an int")
    exactly = 12 * 2 * 64**2 + 2 * 100 * 64
    expect_equal(attempt(exactly, 2, 100), 64, "a model that meets the budget exactly stays within it")
    expect_equal(attempt(10, 2, 100), 0, "if not even a width of 16 fits, the answer is 0")
    return "and most of what the tables took was not there for the blocks"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Count for one token and one block first, then multiply.",
        "A block keeps 8·C + 2·F numbers for each token; the last norm keeps 2·C more, once.",
        "Naive attention also keeps its weights: for each head, a row of T numbers for each token, in every block.",
    ),
)
def activation_numbers(attempt):
    """Return how many numbers a forward pass with naive attention keeps for the backward pass."""
    B, T, C, F, L, H = 3, 5, 8, 24, 2, 4
    tokens = B * T
    block, weights = 8 * C + 2 * F, B * H * T * T
    correct = L * (tokens * block + weights) + tokens * 2 * C
    mistakes = {
        "the attention weights are missing: naive attention keeps a matrix of T by T for every head": correct
        - L * weights,
        "every head has attention weights of its own": correct - L * weights + L * B * T * T,
        "every sequence of the batch has attention weights of its own": correct - L * weights + L * H * T * T,
        "the attention weights are kept in every block, not once": correct - (L - 1) * weights,
        "the last norm is missing: it keeps its input and its output": correct - tokens * 2 * C,
        "q, k and v are three tensors of width C, not one": correct - L * tokens * 2 * C,
        "the MLP keeps its hidden layer twice: before GELU and after it": correct - L * tokens * F,
        "this is for one token: multiply by B and T": L * (block + H * T) + 2 * C,
        "this is for one block only: there are `n_layer` of them": tokens * block + weights + tokens * 2 * C,
        "these are bytes: numbers are asked for": 4 * correct,
    }
    diagnose(attempt(B, T, C, F, L, H), correct, mistakes)
    one = attempt(1, 1, 2, 3, 1, 1)
    diagnose(one, 8 * 2 + 2 * 3 + 1 + 2 * 2, {})
    return "multiply by 4 bytes, and you know what the backward pass asks of the memory"


@exercise(
    chapter=CHAPTER,
    hints=(
        "A matrix product costs 2 operations for each number of the matrix and each token.",
        "The matrices are 12·C² in each block, and V·C in the head. The token embedding is looked up, not multiplied.",
        "Attention adds 4·T·C for each token and block: the scores, and the weighted sum of the values.",
        "The backward pass costs twice as much as the forward pass, so that training costs three times as much.",
    ),
)
def training_operations(attempt):
    """Return the floating-point operations of training a GPT on a number of tokens, in matrix products."""
    tokens, n_layer, width, vocab_size, time = 1000, 3, 16, 70, 40
    matrices = 12 * n_layer * width**2 + vocab_size * width
    attention = 4 * time * width * n_layer
    correct = tokens * 3 * (2 * matrices + attention)
    mistakes = {
        "this is the forward pass only: the backward pass costs twice as much again": correct // 3,
        "the backward pass costs two forward passes, not one: training is three times forward": correct * 2 // 3,
        "attention is missing: its scores and its weighted sum have no parameters, but they cost operations": tokens
        * 6
        * matrices,
        "the head is missing: every token is multiplied by it": correct - tokens * 6 * vocab_size * width,
        "the token embedding is looked up, not multiplied: it costs no operations": correct
        + tokens * 6 * vocab_size * width,
        "a parameter costs two operations per token: a multiplication and an addition": tokens
        * 3
        * (matrices + attention),
        "attention happens in every block": correct - tokens * 3 * attention * (n_layer - 1) // n_layer,
        "attention multiplies twice: q with k, and the weights with v": correct - tokens * 3 * attention // 2,
        "this is for a single token": correct // tokens,
    }
    diagnose(attempt(tokens, n_layer, width, vocab_size, time), correct, mistakes)
    twice = attempt(2 * tokens, n_layer, width, vocab_size, time)
    expect(abs(twice - 2 * correct) <= 1e-6 * correct, "twice the tokens should cost twice the operations")
    return "divide by the speed of a machine, and you have the time"
