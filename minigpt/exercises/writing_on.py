"""The exercise of the chapter on the KV cache that writes: every token is read once."""

import torch

from minigpt.config import GPTConfig
from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import expect, expect_type, random_tensor
from minigpt.model.gpt import GPT

CHAPTER = "25_kv_cache"


class Listening(GPT):
    """A tiny GPT that keeps in mind how many tokens it was given at each call, and whether a cache came along."""

    def __init__(self) -> None:
        super().__init__(GPTConfig(vocab_size=11, block_size=16, n_layer=2, n_head=2, n_embd=8, position="rope"))
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
