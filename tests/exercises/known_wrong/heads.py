"""Wrong answers to the exercises on heads: splitting, joining, and a head of one's own."""

import math

import torch
from torch import nn

from known_wrong import Wrong


def only_views(x, n_head):
    return x.view(x.size(0), n_head, x.size(1), -1)


def takes_every_other(x, n_head):
    return x.unflatten(-1, (-1, n_head)).permute(0, 3, 1, 2)


def forgets_the_transpose(x, n_head):
    return x.unflatten(-1, (n_head, -1))


def swaps_number_and_width(x, n_head):
    return x.unflatten(-1, (-1, n_head)).transpose(1, 2)


def stacks_the_heads(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1))


def turns_the_heads(x, n_head):
    return x.unflatten(-1, (n_head, -1)).transpose(1, 2).mT


def cuts_the_time(x, n_head):
    return torch.stack(x.chunk(n_head, dim=1), dim=1)


def only_reshapes(y):
    return y.reshape(y.size(0), y.size(2), -1)


def alternates(y):
    return y.permute(0, 2, 3, 1).flatten(2)


def adds_up(y):
    return y.sum(1)


def averages(y):
    return y.mean(1)


def joins_in_time(y):
    return y.flatten(1, 2)


def forgets_to_flatten(y):
    return y.transpose(1, 2)


def views_what_is_transposed(y):
    return y.transpose(1, 2).view(y.size(0), y.size(2), -1)


def channels_first(y):
    return y.transpose(1, 2).flatten(2).mT


class Head(nn.Module):
    """A right head whose parts the wrong ones replace."""

    bias = False

    def __init__(self, width, head_dim):
        super().__init__()
        self.query = nn.Linear(width, head_dim, bias=self.bias)
        self.key = nn.Linear(width, head_dim, bias=self.bias)
        self.value = nn.Linear(width, head_dim, bias=self.bias)

    def divisor(self, x):
        return math.sqrt(self.query.out_features)

    def weights(self, scores):
        return self.mask(scores, 1).softmax(-1)

    def mask(self, scores, diagonal):
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(diagonal)
        return scores.masked_fill(future, -math.inf)

    def forward(self, x):
        return self.weights(self.query(x) @ self.key(x).mT / self.divisor(x)) @ self.value(x)


class WithoutScale(Head):
    def divisor(self, x):
        return 1


class ScaledByInput(Head):
    def divisor(self, x):
        return math.sqrt(x.size(-1))


class ScaledByWidth(Head):
    def divisor(self, x):
        return self.query.out_features


class OverTheQueries(Head):
    def weights(self, scores):
        return self.mask(scores, 1).softmax(-2)


class OverTheBatch(Head):
    def weights(self, scores):
        return self.mask(scores, 1).softmax(0)


class WithoutMask(Head):
    def weights(self, scores):
        return scores.softmax(-1)


class OffByOne(Head):
    def weights(self, scores):
        return self.mask(scores, 2).softmax(-1)


class MasksAfterwards(Head):
    def weights(self, scores):
        return scores.softmax(-1).tril()


class SwapsQueriesAndKeys(Head):
    def forward(self, x):
        return self.weights(self.key(x) @ self.query(x).mT / self.divisor(x)) @ self.value(x)


class MixesTheKeys(Head):
    def forward(self, x):
        return self.weights(self.query(x) @ self.key(x).mT / self.divisor(x)) @ self.key(x)


class MixesTheInput(Head):
    def forward(self, x):
        return self.weights(self.query(x) @ self.key(x).mT / self.divisor(x)) @ x


class WithBias(Head):
    bias = True


class FixedLength(Head):
    def mask(self, scores, diagonal):
        return scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(diagonal), -math.inf)


class OtherNames(nn.Module):
    def __init__(self, width, head_dim):
        super().__init__()
        self.q = nn.Linear(width, head_dim, bias=False)

    def forward(self, x):
        return self.q(x)


class FullWidth(Head):
    def __init__(self, width, head_dim):
        super().__init__(width, width)


WRONG = {
    "split_heads": [
        Wrong(only_views, says="times and channels are mixed up"),
        Wrong(takes_every_other, says="every other channel"),
        Wrong(forgets_the_transpose, says="(B, T, H, D)"),
        Wrong(swaps_number_and_width, says="number of heads and their width"),
        Wrong(stacks_the_heads, says="before the batch"),
        Wrong(turns_the_heads, says="time and width"),
        Wrong(cuts_the_time, says="it is the time that is cut"),
    ],
    "merge_heads": [
        Wrong(only_reshapes, says="positions are mixed up"),
        Wrong(alternates, says="alternate"),
        Wrong(adds_up, says="added up"),
        Wrong(averages, says="averaged"),
        Wrong(joins_in_time, says="one after the other in time"),
        Wrong(forgets_to_flatten, says="not joined yet"),
        Wrong(views_what_is_transposed, says="view size is not compatible"),
        Wrong(channels_first, says="channels stand before the time"),
    ],
    "causal_head": [
        Wrong(WithoutScale, says="the scale is missing"),
        Wrong(ScaledByInput, says="√C"),
        Wrong(ScaledByWidth, says="divided by D itself"),
        Wrong(OverTheQueries, says="over the queries"),
        Wrong(OverTheBatch, says="over the batch"),
        Wrong(WithoutMask, says="there is no mask"),
        Wrong(OffByOne, says="off by one"),
        Wrong(MasksAfterwards, says="comes after the softmax"),
        Wrong(SwapsQueriesAndKeys, says="queries and keys have changed places"),
        Wrong(MixesTheKeys, says="mix the keys"),
        Wrong(MixesTheInput, says="mix the input itself"),
        Wrong(WithBias, says="has a bias"),
        Wrong(FixedLength, says="size"),
        Wrong(OtherNames, says="`query` is missing"),
        Wrong(FullWidth, says="should map 8 channels to 4"),
    ],
}
