"""Exercises of the chapter on the KV cache: what is kept, how much it takes, who may look at it, and writing on."""

import math

import torch

from minigpt.config import GPTConfig
from minigpt.exercises.engine import diagnose, exercise, expect, expect_close, expect_shape, expect_type, random_tensor
from minigpt.model.gpt import GPT

CHAPTER = "25_kv_cache"


@exercise(
    chapter=CHAPTER,
    hints=(
        "The new keys belong at the places `length`, `length + 1`, …: how many are there? `new.size(-2)`.",
        "Assign to a slice of the third dimension: `store[:, :, start:end] = new`.",
        "What is returned are the keys up to the new end, and the new end itself.",
    ),
    in_place=True,
)
def store_keys(attempt):
    """Write further keys into a store that has room for more, and return all keys so far with their number."""
    old, new = random_tensor(2, 3, 4, 5), random_tensor(2, 3, 2, 5, seed=1)
    store = torch.full((2, 3, 8, 5), 7.0)
    store[:, :, :4] = old
    answer = attempt(store, 4, new)
    expect_type(answer, tuple, "return two things: the keys so far, and how many there are")
    expect(len(answer) == 2, f"return two things, the keys so far and their number, not {len(answer)}")
    keys, length = answer
    expect(not isinstance(keys, int), "the two are swapped: the keys come first, then their number")
    expect(length != 5, "the length grew by 1, but two keys came: it grows by `new.size(-2)`")
    expect(length != 4, "the length is still the old one: the next call would write over these keys")
    expect(length != 8, "this is the size of the whole store: only a part of it is filled")
    expect(length == 6, f"with four keys stored and two new ones there are 6, not {length}")
    expect(keys.size(-2) != 8, "the whole store is returned, also the places where nothing has been written yet")
    expect(keys.size(-2) != 2, "only the new keys are returned: attention needs the old ones as well")
    expect_shape(keys, (2, 3, 6, 5))
    correct = torch.cat((old, new), dim=-2)
    first = torch.cat((new, old[:, :, 2:], torch.full((2, 3, 2, 5), 7.0)), dim=-2)
    diagnose(
        keys,
        correct,
        {
            "the new keys stand at the beginning of the store: they go to the place `length`": first,
            "the new keys stand in front of the old ones: time runs forwards": torch.cat((new, old), dim=-2),
            "the places after the old keys are still empty: the new keys were not written": torch.cat(
                (old, torch.full((2, 3, 2, 5), 7.0)), dim=-2
            ),
        },
    )
    expect(
        torch.equal(store[:, :, :6], correct),
        "the result is right, but the store does not hold the new keys: the next call will miss them",
    )
    expect(bool((store[:, :, 6:] == 7).all()), "something was written behind the new keys")
    third = random_tensor(2, 3, 1, 5, seed=2)
    again, length = attempt(store, 6, third)
    expect(length == 7, f"after one more key there are 7, not {length}")
    expect_close(again, torch.cat((correct, third), dim=-2), "after a second call, not all keys are there")
    start, length = attempt(torch.zeros(2, 3, 8, 5), 0, new)
    expect(length == 2, "an empty store that gets two keys holds 2")
    expect_close(start, new, "in an empty store the new keys are all keys")
    return "and nothing was copied except what is new"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Count numbers first: for one token, in one layer, how many does one head keep?",
        "A key and a value, each of `head_dim` numbers. Then every head of keys and values, every layer, every token, every text.",
        "How many heads of queries there are does not matter: queries are not kept.",
    ),
)
def cache_bytes(attempt):
    """Return the bytes that a full cache of keys and values takes."""
    answer = attempt(3, 7, 16, 100, 5, 4)
    correct = 2 * 3 * 7 * 16 * 100 * 5 * 4
    mistakes = {
        "a factor of 2 is missing: keys and values are both kept": correct // 2,
        "queries are not kept: two tensors, not three": correct * 3 // 2,
        "one head is counted: each head of keys and values keeps its own": correct // 7,
        "one layer is counted: each layer has a cache of its own": correct // 3,
        "one text is counted: each text of the batch has its own keys and values": correct // 5,
        "one token is counted: the cache grows with the length": correct // 100,
        "these are numbers, not bytes: each takes `bytes_each`": correct // 4,
        "this is a square of weights for every head: they are not kept": 3 * 7 * 100 * 100 * 5 * 4,
    }
    diagnose(answer, correct, mistakes, atol=0, rtol=0)
    return "linear in everything"


@exercise(
    chapter=CHAPTER,
    hints=(
        "The result has a row for each new token and a column for every token: (n_new, start + n_new).",
        "Row r is the token at place start + r. Which places may it see?",
        "All up to its own: `torch.arange(start + n_new) <= place_of_the_row`, with the rows' places as a column.",
    ),
)
def may_see(attempt):
    """Return which keys each token of a chunk may see, when `start` tokens are in the cache already."""
    start, n = 3, 4
    keys, rows = torch.arange(start + n), torch.arange(n).unsqueeze(1)
    correct = keys <= start + rows
    answer = attempt(start, n)
    expect_type(answer, torch.Tensor)
    expect(
        tuple(answer.shape) != (n, n),
        "the columns are only the new tokens: those in the cache are looked at as well, so there are start + n_new",
    )
    expect(
        tuple(answer.shape) != (start + n, start + n),
        "there are rows for the tokens in the cache too: they have had their turn, and only the new ones ask",
    )
    expect_shape(answer, (n, start + n))
    expect(
        answer.dtype == torch.bool,
        f"the entries should be True and False, but the dtype is {answer.dtype}: compare, or convert with `.bool()`",
    )
    mistakes = {
        "this says what is hidden: True should mean that the key may be seen": ~correct,
        "the triangle begins in the upper left corner: the first new token stands at place `start`, not 0": keys
        <= rows,
        "a token may see itself as well": keys < start + rows,
        "everything may be seen: of the chunk's own tokens, the later ones lie in the future": torch.ones(n, start + n),
        "a token may not see one place ahead": keys <= start + rows + 1,
        "only the chunk itself may be seen: the tokens of the cache are missing": (keys <= start + rows)
        & (keys >= start),
        "only the cache may be seen: the chunk's own earlier tokens are missing": (keys < start).expand(n, -1),
    }
    diagnose(answer.int(), correct.int(), {said: wrong.int() for said, wrong in mistakes.items()})
    sentence = "with an empty cache it should be the usual triangle"
    expect_close(attempt(0, 5).int(), torch.ones(5, 5).tril().int(), sentence)
    expect_close(attempt(9, 1).int(), torch.ones(1, 10).int(), "a single token at the end sees everything")
    return "for one token there is nothing to hide, which is why a wrong mask shows only with chunks"


@exercise(
    chapter=CHAPTER,
    hints=(
        "Which head of keys does query head h use? There are `q.size(0) // k.size(0)` query heads to each.",
        "Neighbours share: with 6 heads of queries and 2 of keys, heads 0, 1, 2 use keys 0, and heads 3, 4, 5 use keys 1.",
        "`k.repeat_interleave(n, dim=0)` repeats every head n times in place; `k.repeat(n, 1, 1)` repeats the whole row of heads.",
        "After that it is attention as ever: scale, mask, softmax, values.",
    ),
)
def grouped_attention(attempt):
    """Return causal attention in which several heads of queries share one head of keys and values."""
    q = 1.5 * random_tensor(6, 5, 4)
    k, v = 1.5 * random_tensor(2, 5, 4, seed=1), random_tensor(2, 5, 4, seed=2)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)

    def attended(q, keys, values, scale=0.5, mask=hidden):
        return (q @ keys.mT * scale).masked_fill(mask, -math.inf).softmax(dim=-1) @ values

    keys, values = (each.repeat_interleave(3, dim=0) for each in (k, v))
    tiled_keys, tiled_values = (each.repeat(3, 1, 1) for each in (k, v))
    mean = q.unflatten(0, (2, 3)).mean(dim=1)  # one query for each group
    mistakes = {
        "the groups are dealt out in turns, 0, 1, 0, 1, …: neighbours share, 0, 0, 0, 1, 1, 1": attended(
            q, tiled_keys, tiled_values
        ),
        "the values are in another order than the keys": attended(q, keys, tiled_values),
        "the keys are in another order than the values": attended(q, tiled_keys, values),
        "all heads use the first head of keys and values": attended(q, keys[:1], values[:1]),
        "the future is not masked": attended(q, keys, values, mask=torch.zeros_like(hidden)),
        "the scale is missing: divide the scores by √D": attended(q, keys, values, scale=1.0),
        "the queries of a group are averaged: each head asks its own question": attended(mean, k, v).repeat_interleave(
            3, dim=0
        ),
    }
    diagnose(attempt(q, k, v), attended(q, keys, values), mistakes)
    one = attempt(q, k[:1], v[:1])
    expect_close(one, attended(q, k[:1], v[:1]), "with a single head of keys and values it should serve all")
    more = random_tensor(6, 5, 4, seed=3)
    sentence = "with as many heads of keys as of queries it should be plain attention"
    expect_close(attempt(q, more, q), attended(q, more, q), sentence)
    return "six questions, and two heads that answer"


class Listening(GPT):
    """A tiny GPT that keeps in mind how many tokens it was given at each call, and whether a cache came along."""

    def __init__(self) -> None:
        super().__init__(GPTConfig(vocab_size=11, block_size=64, n_layer=2, n_head=2, n_embd=8, position="rope"))
        with torch.no_grad():
            for seed, parameter in enumerate(self.parameters(), start=10):
                parameter.copy_(0.7 * random_tensor(*parameter.shape, seed=seed) + (parameter.dim() == 1))
        self.requires_grad_(False)
        self.calls: list[tuple[int, bool]] = []

    def forward(self, ids, cache=None):
        self.calls.append((ids.size(-1), cache is not None))
        return super().forward(ids, cache)


def greedy(model, ids, n):
    """The likeliest continuation, read anew at every step."""
    text = list(ids)
    for _ in range(n):
        text.append(model(torch.tensor([text]))[0, -1].argmax().item())
    return text[len(ids) :]


@exercise(
    chapter=CHAPTER,
    hints=(
        "Begin with `cache = model.make_kv_cache()`, and give the model the whole prompt, once: `model(torch.tensor([ids]), cache)`.",
        "The next token is the argmax of the logits at the *last* place: `logits[0, -1]`.",
        "From then on the model gets only the token that was chosen last, with the same cache.",
        "The last token of all is chosen but need not be read.",
    ),
)
def write_on(attempt):
    """Return the likeliest continuation of a prompt, reading every token only once."""
    prompt, n = [3, 7, 1, 4], 6
    correct = greedy(Listening(), prompt, n)
    model = Listening()
    answer = attempt(model, list(prompt), n)
    expect_type(answer, list, "return a list of ids")
    found = [int(id) for id in answer]
    expect(found != prompt + correct, "the prompt stands in front: return only the new ids")
    expect(len(found) != n + 1, f"there is one id too many: {n} were asked for")
    expect(
        len(found) != n - 1, f"there is one id too few: {n} were asked for; the first comes from the prompt's logits"
    )
    expect(len(found) == n, f"{n} ids were asked for, not {len(found)}")
    sizes = [size for size, _ in model.calls]
    expect(sizes != [], "the model was never called")
    expect(sizes != [1] * n, "the model has seen only the last token of the prompt")
    expect(
        any(cached for _, cached in model.calls), "the model was called without a cache, and read everything each time"
    )
    expect(
        all(cached for _, cached in model.calls),
        "only some calls were given the cache: what is read without it is forgotten",
    )
    expect(
        len(sizes) == 1 or sizes[1:] != [len(prompt) + i for i in range(1, len(sizes))],
        "with a cache, the model is given only what is new: here it reads the whole text each time, on top of the cache",
    )
    read = len(prompt) + n - 1
    expect(
        found == correct or sum(sizes) >= read,
        "something was never read: every chosen id has to be given to the model before the next is chosen",
    )
    expect(found == correct, f"the likeliest continuation is {correct}, not {found}: take the logits at the last place")
    expect(
        sum(sizes) <= read,
        f"the model read {sum(sizes)} tokens where {read} are enough: the prompt once, and each chosen id but the last once",
    )
    other = [5, 2]
    again = attempt(Listening(), list(other), 3)
    expect([int(id) for id in again] == greedy(Listening(), other, 3), "with another prompt and length it goes wrong")
    return f"{read} tokens read, where reading anew takes {sum(len(prompt) + i for i in range(n))}"
