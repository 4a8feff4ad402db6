"""N-gram models with interpolated Kneser–Ney smoothing: what counting alone can predict.

An n-gram of order k is k tokens: a context of k - 1 tokens and the token after it. Every order is a sorted array of
integers, one for each n-gram that the text holds: the index of its context among the n-grams of the order below, times
V, plus its last token. So the n-grams of one context lie beside each other, and a binary search finds any of them.

Shapes: N tokens of the text, V vocabulary, M_k different n-grams of order k.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from minigpt.data.batches import TokenSequence
from minigpt.generation.generate import make_generator
from minigpt.generation.sampling import Sampler
from minigpt.utils.errors import UserError
from minigpt.utils.files import fsync_path, temp_path
from minigpt.utils.ids import as_ids

DISCOUNT = 0.75  # also where counts of counts are too few to estimate one
INT64_MAX = 2**63 - 1

Ids = TokenSequence | Sequence[int] | np.ndarray


class NGram:
    """An n-gram model of some order: it predicts a token from the `order` - 1 tokens before it.

    With c the count of an n-gram, D its discount, and h' the context h without its oldest token,

        p(w | h) = (c(h, w) - D) / c(h) + (what all discounts have taken from h) / c(h) · p(w | h').

    c is the number of occurrences in the highest order and, in all lower ones, the number of different tokens seen
    before the n-gram (Kneser and Ney, 1995; interpolated as by Chen and Goodman, 1999). Below order 1 every token has
    the probability 1 / V. `n_grams` is the number of different n-grams of each order, `discounts` (order, 3) what is
    taken from counts of 1, of 2, and of 3 or more.
    """

    def __init__(
        self, vocab_size: int, keys: list[np.ndarray], counts: list[np.ndarray], discounts: np.ndarray
    ) -> None:
        self.order = len(keys)
        self.vocab_size = vocab_size
        self.keys = keys  # of each order: (M_k,), context's index times V, plus token
        self.counts = counts  # of each order: (M_k,)
        self.discounts = discounts  # (order, 3)
        self.n_grams = tuple(map(len, keys))
        # An n-gram or a context that was never seen has the index -1: the last entry of these arrays is theirs.
        self._kept: list[np.ndarray] = []  # of each order: (M_k + 1,), the discounted share of an n-gram
        self._passed_on: list[np.ndarray] = []  # of each order: (M_{k-1} + 1,), a context's share for the order below
        for k in range(self.order):
            n_contexts = self.n_grams[k - 1] if k > 0 else 1
            contexts: np.ndarray = keys[k] // vocab_size  # (M_k,)
            taken = np.append(0.0, discounts[k])[np.minimum(counts[k], 3)]  # (M_k,)
            totals = np.bincount(contexts, weights=counts[k], minlength=n_contexts)  # (M_{k-1},)
            unseen = totals == 0  # contexts that nothing follows
            totals[unseen] = 1.0
            passed_on = np.bincount(contexts, weights=taken, minlength=n_contexts) / totals
            passed_on[unseen] = 1.0
            self._kept.append(np.append((counts[k] - taken) / totals[contexts], 0.0))
            self._passed_on.append(np.append(passed_on, 1.0))

    @classmethod
    def fit(cls, ids: Ids, order: int, vocab_size: int, discount: float | str = DISCOUNT) -> Self:
        """Count the n-grams of a text, ids (N,), of every order up to `order`.

        `discount` is taken from every count (absolute discounting); "modified" estimates three discounts for each
        order, for counts of 1, of 2, and of 3 or more (Chen and Goodman, 1999).

        Raises:
            UserError: a setting is out of range, an id is outside the vocabulary, or the text is shorter than `order`.
        """
        for name, value in (("order", order), ("vocab_size", vocab_size)):
            if value < 1:
                raise UserError(f"{name} = {value} must be at least 1.")
        if isinstance(discount, str) and discount != "modified":
            raise UserError(f'discount = {discount!r} must be a number above 0 and at most 1, or "modified".')
        if not isinstance(discount, str) and not 0 < discount <= 1:
            raise UserError(f'discount = {discount} must be above 0 and at most 1, or "modified".')
        tokens = _check_ids(ids, vocab_size)
        if len(tokens) < order:
            raise UserError(f"A text of {len(tokens)} tokens has no n-gram of order {order}; use a longer text.")
        if vocab_size > INT64_MAX // len(tokens):
            raise UserError(f"vocab_size = {vocab_size} is out of range; use the number of the tokenizer's tokens.")
        keys, counts = _count(tokens, order, vocab_size)
        discounts = [modified_discounts(each) if isinstance(discount, str) else [discount] * 3 for each in counts]
        return cls(vocab_size, keys, counts, np.array(discounts, dtype=np.float64))

    def predict(self, context_ids: Ids) -> np.ndarray:
        """Return the probability of every token after a context of any length: (V,).

        Only the last `order` - 1 tokens of the context are looked at.

        Raises:
            UserError: one of those is outside the vocabulary.
        """
        length = len(context_ids)
        context = _check_ids(context_ids[max(length - self.order + 1, 0) : length], self.vocab_size)
        probabilities = np.full(self.vocab_size, 1 / self.vocab_size)
        for k, index in enumerate(self._context_indices(context)):
            first = index * self.vocab_size
            start = np.searchsorted(self.keys[k], first)
            end = np.searchsorted(self.keys[k], first + self.vocab_size)
            probabilities *= self._passed_on[k][index]
            probabilities[self.keys[k][start:end] - first] += self._kept[k][start:end]
        return probabilities

    def log_prob(self, ids: Ids) -> np.ndarray:
        """Return the log probability in nats of each token of a text, given those before it: (N,) -> (N,).

        The first `order` - 1 tokens have a shorter context.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        tokens = _check_ids(ids, self.vocab_size)
        probabilities = np.full(len(tokens), 1 / self.vocab_size)
        contexts: np.ndarray = np.zeros(len(tokens), dtype=np.int64)  # the index of the context before each token
        for k in range(self.order):
            grams = self._find(k, contexts, tokens)
            probabilities = self._kept[k][grams] + self._passed_on[k][contexts] * probabilities
            contexts = np.append(-1, grams)[: len(tokens)]
        return np.log(probabilities)

    def loss(self, ids: Ids, skip: int | None = None) -> float:
        """Return the mean cross-entropy in nats per token over a text, ids (N,), without its first `skip` tokens.

        By default these are the first `order` tokens, so that every prediction has its whole context.

        Raises:
            UserError: nothing is left to predict, or an id is outside the vocabulary.
        """
        skip = self.order if skip is None else skip
        if skip < 0:
            raise UserError(f"skip = {skip} must not be negative.")
        if len(ids) <= skip:
            raise UserError(f"A text of {len(ids)} tokens without its first {skip} has nothing to predict; use more.")
        return -float(self.log_prob(ids)[skip:].mean())

    def generate(
        self,
        prompt_ids: Ids,
        max_new_tokens: int = 200,
        sampler: Sampler | None = None,
        seed: int | None = None,
    ) -> list[int]:
        """Return the ids of a prompt, which may be empty, and of its continuation.

        Raises:
            UserError: an id is outside the vocabulary, or a setting is out of range.
        """
        if max_new_tokens < 0:
            raise UserError(f"max_new_tokens = {max_new_tokens} must not be negative.")
        sampler = Sampler() if sampler is None else sampler
        generator = make_generator(seed)
        ids: list[int] = _check_ids(prompt_ids, self.vocab_size).tolist()
        for _ in range(max_new_tokens):
            logits = torch.from_numpy(np.log(self.predict(ids)))  # (V,)
            ids.append(int(sampler.sample(logits, torch.tensor(ids, dtype=torch.long), generator)))
        return ids

    def save(self, path: Path | str) -> None:
        """Write the model into one file of NumPy arrays (.npz), in one step.

        Raises:
            UserError: the file cannot be written.
        """
        path = Path(path)
        arrays = {"vocab_size": np.array(self.vocab_size), "discounts": self.discounts}
        for k in range(self.order):
            arrays |= {f"keys_{k + 1}": self.keys[k], f"counts_{k + 1}": self.counts[k]}
        draft = temp_path(path)
        try:
            with draft.open("wb") as file:
                np.savez(file, **arrays)
            fsync_path(draft)
            draft.replace(path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise UserError(
                f"{path} cannot be written ({error.strerror}); make room or choose another place."
            ) from None

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` has written; no code in the file is run.

        Raises:
            UserError: the file is missing or damaged, or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            vocab_size, discounts = int(arrays["vocab_size"]), arrays["discounts"]
            keys = [arrays[f"keys_{k + 1}"] for k in range(len(discounts))]
            counts = [arrays[f"counts_{k + 1}"] for k in range(len(discounts))]
            _check_arrays(vocab_size, keys, counts, discounts)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; check the path.") from None
        except Exception:  # there is little that a damaged file cannot raise here
            raise UserError(f"{path} is damaged or holds no n-gram model; save the model again.") from None
        return cls(vocab_size, keys, counts, discounts)

    def _find(self, k: int, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Return the index among the n-grams of order k + 1 of contexts with the token after each: (N,); -1 is none."""
        wanted = contexts * self.vocab_size + tokens
        found = np.minimum(np.searchsorted(self.keys[k], wanted), self.n_grams[k] - 1)
        return np.where(self.keys[k][found] == wanted, found, -1)

    def _context_indices(self, context: np.ndarray) -> list[int]:
        """Return the index of the last 0, 1, … `order` - 1 tokens of a context among the n-grams; -1 is none."""
        indices = [0]
        grams: np.ndarray = np.zeros(len(context), dtype=np.int64)
        for k in range(self.order - 1):
            grams = self._find(k, grams, context)
            indices.append(int(grams[-1]) if len(grams) else -1)
            grams = np.append(-1, grams)[: len(context)]
        return indices


def modified_discounts(counts: ArrayLike) -> list[float]:
    """Return what to take from counts of 1, of 2, and of 3 or more (Chen and Goodman, 1999).

    The estimate needs n-grams that occur once, twice, three and four times; without them it is 0.75 for all.
    """
    of_counts = np.bincount(np.minimum(counts, 5), minlength=6)  # [n]: how many n-grams have the count n
    if of_counts[1:5].all():
        y = of_counts[1] / (of_counts[1] + 2 * of_counts[2])
        discounts = [float(n - (n + 1) * y * of_counts[n + 1] / of_counts[n]) for n in (1, 2, 3)]
        if min(discounts) > 0:
            return discounts
    return [DISCOUNT] * 3


def _count(
    tokens: np.ndarray, order: int, vocab_size: int, largest: int = INT64_MAX
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the keys and the counts of every order.

    While a whole n-gram, written in digits below V, is no more than `largest`, one sort over the text finds them all.
    """
    n_packed = 1
    while n_packed < order and vocab_size ** (n_packed + 1) <= largest:
        n_packed += 1
    n_starts = len(tokens) - n_packed + 1
    packed: np.ndarray = np.zeros(n_starts, dtype=np.int64)
    for k in range(n_packed):
        packed *= vocab_size
        packed += tokens[k : k + n_starts]
    if n_packed == order:
        grams, occurrences = np.unique(packed, return_counts=True)
        return _count_shorter(grams, occurrences, int(packed[0]), order, vocab_size)
    grams, indices, occurrences = np.unique(packed, return_inverse=True, return_counts=True)
    keys, counts = _count_shorter(grams, occurrences, int(packed[0]), n_packed, vocab_size)
    _count_longer(keys, counts, indices, tokens, order, vocab_size)
    return keys, counts


def _count_shorter(
    grams: np.ndarray, occurrences: np.ndarray, start: int, order: int, vocab_size: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the keys and the counts of all orders from the packed n-grams of the highest, which the others count.

    `start` is the packed n-gram that the text begins with.
    """
    by_order = [(grams, occurrences)]
    for k in range(order - 1, 0, -1):
        start //= vocab_size  # counted once too often, so that it is there even if nothing precedes it
        grams, counts = np.unique(np.append(grams % vocab_size**k, start), return_counts=True)
        counts[np.searchsorted(grams, start)] -= 1
        by_order.insert(0, (grams, counts))
    keys = [by_order[0][0]]
    for k in range(1, order):
        grams, shorter = by_order[k][0], by_order[k - 1][0]
        keys.append(np.searchsorted(shorter, grams // vocab_size) * vocab_size + grams % vocab_size)
    return keys, [counts for _, counts in by_order]


def _count_longer(
    keys: list[np.ndarray],
    counts: list[np.ndarray],
    indices: np.ndarray,
    tokens: np.ndarray,
    order: int,
    vocab_size: int,
) -> None:
    """Add the keys and the counts of longer n-grams, up to `order`; each takes another sort over the text.

    indices: (N - k + 1,), the index of the n-gram of the highest order so far, k, that begins at each place.
    """
    for k in range(len(keys), order):
        shorter = indices
        wanted = shorter[:-1] * vocab_size + tokens[k:]
        grams, indices, occurrences = np.unique(wanted, return_inverse=True, return_counts=True)
        without_oldest = np.empty_like(grams)
        without_oldest[indices] = shorter[1:]
        counts[-1] = np.bincount(without_oldest, minlength=len(keys[-1]))
        keys.append(grams)
        counts.append(occurrences)


def _check_ids(ids: Ids, vocab_size: int) -> np.ndarray:
    """Return token ids (N,) as 64-bit integers, or raise `UserError` if they are none of the vocabulary."""
    array = as_ids(ids[0 : len(ids)]).numpy()
    if array.ndim != 1:
        raise UserError(f"The token ids have the shape {array.shape}, not (N,); pass those of one text.")
    outside = array[(array < 0) | (array >= vocab_size)]
    if len(outside):
        raise UserError(
            f"Token id {outside[0]} is outside the vocabulary, 0 to {vocab_size - 1}; use the tokenizer of the model."
        )
    return array


def _check_arrays(vocab_size: int, keys: list[np.ndarray], counts: list[np.ndarray], discounts: np.ndarray) -> None:
    """Raise `ValueError` unless these can be the arrays of a model."""
    fits = vocab_size >= 1 and len(keys) >= 1 and discounts.shape == (len(keys), 3) and discounts.dtype.kind == "f"
    fits = fits and bool(((discounts > 0) & (discounts <= [1, 2, 3])).all())
    n_contexts = 1
    for each, count in zip(keys, counts, strict=True):
        fits = fits and each.dtype == count.dtype == np.int64 and each.ndim == 1 and each.shape == count.shape
        fits = fits and len(each) > 0 and each[0] >= 0 and each[-1] < n_contexts * vocab_size
        fits = fits and bool((np.diff(each) > 0).all()) and bool((count >= 0).all())
        n_contexts = len(each)
    if not fits:
        raise ValueError
