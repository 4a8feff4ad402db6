"""Wrong answers to the exercises on attention: averages, the masked softmax, the formula, heads, the test for leaks."""

import math

import torch
from torch import nn

from known_wrong import Wrong


def adds_up(x):
    return torch.ones(len(x), len(x)).tril() @ x


def divides_by_the_length(x):
    return x.cumsum(0) / len(x)


def averages_everything(x):
    return x.mean(0, keepdim=True).repeat(len(x), 1)


def leaves_itself_out(x):
    lower = torch.ones(len(x), len(x)).tril(-1)
    return lower / lower.sum(1, keepdim=True).clamp(min=1) @ x


def averages_the_rest(x):
    upper = torch.ones(len(x), len(x)).triu()
    return upper / upper.sum(1, keepdim=True) @ x


def divides_the_columns(x):
    lower = torch.ones(len(x), len(x)).tril()
    return lower / lower.sum(0) @ x


def averages_the_channels(x):
    return x.mean(1)


def mask(scores, diagonal=1):
    return torch.ones(scores.size(-2), scores.size(-1), dtype=torch.bool).triu(diagonal)


def without_mask(scores):
    return scores.softmax(-1)


def over_the_queries(scores):
    return scores.masked_fill(mask(scores), -math.inf).softmax(-2)


def off_by_one(scores):
    return scores.masked_fill(mask(scores, 2), -math.inf).softmax(-1)


def hides_the_diagonal(scores):
    return scores.masked_fill(mask(scores, 0), -math.inf).softmax(-1)


def hides_the_past(scores):
    return scores.masked_fill(mask(scores).mT, -math.inf).softmax(-1)


def masks_afterwards(scores):
    return scores.softmax(-1).masked_fill(mask(scores), 0.0)


def masks_with_zero(scores):
    return scores.masked_fill(mask(scores), 0.0).softmax(-1)


def masks_every_zero(scores):
    lower = scores.tril()
    return lower.masked_fill(lower == 0, -math.inf).softmax(-1)


def over_the_second_dimension(scores):
    return scores.masked_fill(mask(scores), -math.inf).softmax(1)


def divides_again(scores):
    weights = scores.softmax(-1).tril()
    return weights / weights.sum(-1, keepdim=True)


def formula(q, k, v, divisor=None, diagonal=1, dim=-1):
    scores = q @ k.transpose(-2, -1) / (divisor or math.sqrt(q.size(-1)))
    weights = scores.masked_fill(mask(scores, diagonal), -math.inf).softmax(dim)
    return weights @ v, weights


def without_scale(q, k, v):
    return formula(q, k, v, divisor=1)


def scaled_by_width(q, k, v):
    return formula(q, k, v, divisor=q.size(-1))


def scaled_by_all_heads(q, k, v):
    return formula(q, k, v, divisor=math.sqrt(q.size(1) * q.size(-1)))


def scaled_by_time(q, k, v):
    return formula(q, k, v, divisor=math.sqrt(q.size(-2)))


def scaled_up(q, k, v):
    return formula(q, k, v, divisor=1 / math.sqrt(q.size(-1)))


def scaled_too_late(q, k, v):
    weights = formula(q, k, v, divisor=1)[1] / math.sqrt(q.size(-1))
    return weights @ v, weights


def softmax_over_queries(q, k, v):
    return formula(q, k, v, dim=-2)


def sees_everything(q, k, v):
    return formula(q, k, v, diagonal=q.size(-2))


def sees_the_next(q, k, v):
    return formula(q, k, v, diagonal=2)


def masks_the_weights(q, k, v):
    weights = formula(q, k, v, diagonal=q.size(-2))[1].tril()
    return weights @ v, weights


def swaps_queries_and_keys(q, k, v):
    return formula(k, q, v)


def mixes_the_keys(q, k, v):
    return formula(q, k, k)


def transposes_the_weights(q, k, v):
    weights = formula(q, k, v)[1]
    return weights.mT @ v, weights


def swaps_the_answers(q, k, v):
    return formula(q, k, v)[::-1]


def forgets_the_weights(q, k, v):
    return formula(q, k, v)[0]


def influence(layer, x):
    """How strongly output i depends on input j: (T, T)."""
    jacobian = torch.autograd.functional.jacobian(layer, x)  # (B, T, C, B, T, C)
    return jacobian.abs().sum((0, 2, 3, 5))


def never(layer, x):
    return False


def always(layer, x):
    return True


def looks_at_the_past(layer, x):
    return bool(influence(layer, x).tril(-1).any())


def looks_at_the_diagonal(layer, x):
    return bool(influence(layer, x).triu(0).any())


def only_the_next(layer, x):
    return bool(influence(layer, x).diagonal(1).any())


def only_the_first_output(layer, x):
    return bool(influence(layer, x)[0, 2:].any())


def only_the_last_output(layer, x):
    return bool(influence(layer, x)[:3].triu(1).any())


def with_a_blind_eye(layer, x):
    return bool((influence(layer, x).triu(1) > 0.9).any())


def spoils_the_input(layer, x):
    before = layer(x)
    x[:, -1] += 1
    return not torch.equal(layer(x)[:, :-1], before[:, :-1])


def answers_for_each_place(layer, x):
    return influence(layer, x).triu(1).any(1)


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


def adds_the_heads(y):
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


def exponentiates_alone(scores):
    weights = scores.exp().tril()
    return weights / weights.sum(-1, keepdim=True)


def masks_with_a_number(scores):
    return scores.masked_fill(mask(scores), -100.0).softmax(-1)


def returns_the_scores(q, k, v):
    scores = q @ k.mT / q.size(-1) ** 0.5
    return without_future(scores) @ v, scores


def returns_masked_scores(q, k, v):
    scores = (q @ k.mT / q.size(-1) ** 0.5).masked_fill(mask(q @ k.mT), -math.inf)
    return scores.softmax(-1) @ v, scores


def without_future(scores):
    return scores.masked_fill(mask(scores), -math.inf).softmax(-1)


def changes(layer, x, place):
    other = x.clone()
    other[:, place] += torch.randn(x.shape[0], x.shape[2], generator=torch.Generator().manual_seed(5))
    return layer(other) - layer(x)


def ever(layer, x, look):
    return any(bool(look(changes(layer, x, t)[:, :t]).abs().max() > 1e-6) for t in range(1, x.size(1)))


def last_input_only(layer, x):
    return bool(changes(layer, x, x.size(1) - 1)[:, :-1].abs().max() > 1e-6)


def first_text_only(layer, x):
    return ever(layer, x, lambda change: change[:1])


def first_channel_only(layer, x):
    return ever(layer, x, lambda change: change[..., :1])


def adds_the_changes(layer, x):
    return ever(layer, x, lambda change: change.sum(-1))


def gradient_of_squares(layer, x):
    leaf = x.clone().requires_grad_()
    slopes = [torch.autograd.grad(layer(leaf)[:, t].square().sum(), leaf)[0][:, t + 1 :] for t in range(x.size(1) - 1)]
    return any(bool(slope.abs().max() > 1e-4) for slope in slopes)


WRONG = {
    "causal_average": [
        Wrong(adds_up, says="not divided"),
        Wrong(divides_by_the_length, says="divided by T"),
        Wrong(averages_everything, says="even row 0 sees the future"),
        Wrong(leaves_itself_out, says="leaves itself out"),
        Wrong(averages_the_rest, says="the other triangle"),
        Wrong(divides_the_columns, says="sums of their columns"),
        Wrong(averages_the_channels, says="shape (4,), not (4, 3)"),
    ],
    "masked_softmax": [
        Wrong(without_mask, says="nothing is masked"),
        Wrong(over_the_queries, says="runs over the queries"),
        Wrong(off_by_one, says="off by one"),
        Wrong(hides_the_diagonal, says="hides the diagonal"),
        Wrong(hides_the_past, says="hides the past"),
        Wrong(masks_afterwards, says="comes after the softmax"),
        Wrong(masks_with_zero, says="e to the power 0"),
        Wrong(masks_every_zero, says="happens to be 0"),
        Wrong(over_the_second_dimension, says="wrong dimension"),
        Wrong(divides_again, says="0 / 0"),
        Wrong(exponentiates_alone, says="overflows when it is exponentiated"),
        Wrong(masks_with_a_number, says="scores may be lower still"),
    ],
    "scaled_attention": [
        Wrong(without_scale, says="the scale is missing"),
        Wrong(scaled_by_width, says="divided by D itself"),
        Wrong(scaled_by_all_heads, says="√C"),
        Wrong(scaled_by_time, says="√T"),
        Wrong(scaled_up, says="multiplied by √D"),
        Wrong(scaled_too_late, says="the weights are divided"),
        Wrong(softmax_over_queries, says="runs over the queries"),
        Wrong(sees_everything, says="there is no mask"),
        Wrong(sees_the_next, says="off by one"),
        Wrong(masks_the_weights, says="comes after the softmax"),
        Wrong(swaps_queries_and_keys, says="queries and keys have changed places"),
        Wrong(mixes_the_keys, says="mix the keys"),
        Wrong(transposes_the_weights, says="the weights are transposed"),
        Wrong(swaps_the_answers, says="first y, then the weights"),
        Wrong(forgets_the_weights, says="two things are asked for"),
        Wrong(returns_the_scores, says="but these are the scores"),
        Wrong(returns_masked_scores, says="these are the masked scores"),
    ],
    "sees_the_future": [
        Wrong(never, says="without any mask"),
        Wrong(always, says="depend on nothing at all"),
        Wrong(looks_at_the_past, says="may depend on earlier inputs"),
        Wrong(looks_at_the_diagonal, says="nothing but their own input"),
        Wrong(only_the_next, says="only the first output sees the last"),
        Wrong(only_the_first_output, says="the very next input"),
        Wrong(only_the_last_output, says="the last but one output"),
        Wrong(with_a_blind_eye, says="denominators"),
        Wrong(spoils_the_input, says="in place"),
        Wrong(answers_for_each_place, says="a single True or False"),
        Wrong(first_text_only, says="the last text of the batch"),
        Wrong(last_input_only, says="change every input"),
        Wrong(gradient_of_squares, says="a leak before a LayerNorm"),
        Wrong(first_channel_only, says="the last channel only"),
        Wrong(adds_the_changes, says="add up to 0: compare the outputs one by one, not"),
    ],
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
        Wrong(adds_the_heads, says="added up"),
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
