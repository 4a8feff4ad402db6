"""Wrong answers to the exercises on bigrams."""

import math

import torch
from torch.nn import functional as F

from known_wrong import Wrong


def count(first, second, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i, j in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True):
        counts[i, j] += 1
    return counts


def exchanges_rows_and_columns(ids, vocab_size):
    return count(ids[:, 1:], ids[:, :-1], vocab_size)


def crosses_borders(ids, vocab_size):
    return count(ids.flatten()[:-1], ids.flatten()[1:], vocab_size)


def does_not_accumulate(ids, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    counts[ids[:, :-1], ids[:, 1:]] += 1
    return counts


def returns_probabilities(ids, vocab_size):
    counts = count(ids[:, :-1], ids[:, 1:], vocab_size)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def goes_round(ids, vocab_size):
    return count(ids, torch.cat((ids[:, 1:], ids[:, :1]), dim=1), vocab_size)


def counts_both_ways(ids, vocab_size):
    counts = count(ids[:, :-1], ids[:, 1:], vocab_size)
    return counts + counts.T


def counts_the_first_row(ids, vocab_size):
    return count(ids[0, :-1], ids[0, 1:], vocab_size)


def sizes_the_table_by_the_ids(ids, vocab_size):
    return count(ids[:, :-1], ids[:, 1:], int(ids.max()) + 1)


def chosen_logs(logits, targets, dim=-1):
    return logits.log_softmax(dim).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def forgets_the_sign(logits, targets):
    return chosen_logs(logits, targets).mean()


def adds_up(logits, targets):
    return -chosen_logs(logits, targets).sum()


def measures_in_bits(logits, targets):
    return -chosen_logs(logits, targets).mean() / math.log(2)


def keeps_every_place(logits, targets):
    return -chosen_logs(logits, targets)


def takes_the_mean_first(logits, targets):
    return -chosen_logs(logits, targets).exp().mean().log()


def forgets_the_logarithm(logits, targets):
    return chosen_logs(logits, targets).exp().mean()


def does_not_normalise(logits, targets):
    return -logits.gather(-1, targets.unsqueeze(-1)).mean()


def normalises_over_time(logits, targets):
    return -chosen_logs(logits, targets, dim=1).mean()


def overflows(logits, targets):
    probabilities = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
    return -probabilities.gather(-1, targets.unsqueeze(-1)).log().mean()


def goes_through_probabilities(logits, targets):
    return -logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).log().mean()


def adds_a_small_number(logits, targets):
    return -(logits.softmax(-1).gather(-1, targets.unsqueeze(-1)) + 1e-9).log().mean()


def shifts_large_logits_only(logits, targets):
    largest = logits.amax(-1, keepdim=True).clamp(min=0)
    log_sum = (logits - largest).exp().sum(-1, keepdim=True).log() + largest
    return (log_sum - logits.gather(-1, targets.unsqueeze(-1))).mean()


def exchanges_the_two(loss, n_tokens, n_characters):
    return loss / math.log(2) * n_tokens / n_characters, math.exp(loss)


def uses_powers_of_two(loss, n_tokens, n_characters):
    return 2**loss, loss / math.log(2) * n_tokens / n_characters


def multiplies_by_ln_2(loss, n_tokens, n_characters):
    return math.exp(loss), loss * math.log(2) * n_tokens / n_characters


def forgets_the_characters(loss, n_tokens, n_characters):
    return math.exp(loss), loss / math.log(2)


def turns_the_share_over(loss, n_tokens, n_characters):
    return math.exp(loss), loss / math.log(2) * n_characters / n_tokens


def stays_in_nats(loss, n_tokens, n_characters):
    return math.exp(loss), loss * n_tokens / n_characters


def spreads_the_perplexity(loss, n_tokens, n_characters):
    return math.exp(loss * n_tokens / n_characters), loss / math.log(2) * n_tokens / n_characters


def converts_twice(loss, n_tokens, n_characters):
    bits = loss / math.log(2)
    return math.exp(bits), bits * n_tokens / n_characters


def returns_one_number(loss, n_tokens, n_characters):
    return math.exp(loss)


def one_hot(logits, targets):
    return F.one_hot(targets, logits.shape[-1]).float()


def forgets_the_mean(logits, targets):
    return logits.softmax(-1) - one_hot(logits, targets)


def reverses_the_sign(logits, targets):
    return (one_hot(logits, targets) - logits.softmax(-1)) / len(logits)


def divides_by_every_entry(logits, targets):
    return (logits.softmax(-1) - one_hot(logits, targets)) / logits.numel()


def forgets_the_target(logits, targets):
    return logits.softmax(-1) / len(logits)


def forgets_the_softmax(logits, targets):
    return (logits - one_hot(logits, targets)) / len(logits)


def moves_the_target_only(logits, targets):
    return (logits.softmax(-1) - 1) * one_hot(logits, targets) / len(logits)


def differentiates_the_probability(logits, targets):
    p = logits.softmax(-1)
    return p * (one_hot(logits, targets) - p) / len(logits)


def runs_down_the_columns(logits, targets):
    return (logits.softmax(0) - one_hot(logits, targets)) / len(logits)


def takes_the_likeliest(probabilities, u):
    return probabilities.argmax().item()


def ignores_the_probabilities(probabilities, u):
    return int(u * len(probabilities))


def draws_by_itself(probabilities, u):
    return torch.multinomial(probabilities, 1).item()


def stops_one_early(probabilities, u):
    return max(0, (probabilities.cumsum(0) <= u).sum().item() - 1)


def returns_the_probability(probabilities, u):
    return probabilities[(probabilities.cumsum(0) <= u).sum()].item()


def includes_the_end(probabilities, u):
    return min((probabilities.cumsum(0) < u).sum().item(), len(probabilities) - 1)


def includes_the_end_but_skips_zero(probabilities, u):
    return (probabilities.cumsum(0) < max(u, 1e-9)).sum().item()


def runs_off_the_end(probabilities, u):
    return (probabilities.cumsum(0) <= u).sum().item()


def sum_overflows(logits, targets):
    return (logits.exp().sum(-1).log() - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)).mean()


def the_librarys(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def whole_columns(logits, targets):
    p = logits.softmax(-1)
    p[:, targets] -= 1
    return p / len(targets)


def by_autograd(logits, targets):
    leaf = logits.clone().requires_grad_()
    F.cross_entropy(leaf, targets).backward()
    return leaf.grad


def compares_one_by_one(probabilities, u):
    return (probabilities > u).int().argmax().item()


WRONG = {
    "bigram_counts": [
        Wrong(exchanges_rows_and_columns, says="rows and columns are exchanged"),
        Wrong(crosses_borders, says="the rows are separate texts"),
        Wrong(does_not_accumulate, says="counted once"),
        Wrong(returns_probabilities, says="these are probabilities"),
        Wrong(goes_round, says="has no successor"),
        Wrong(counts_both_ways, says="both directions"),
        Wrong(counts_the_first_row, says="only the first row"),
        Wrong(sizes_the_table_by_the_ids, says="shape (3, 3)"),
    ],
    "stable_cross_entropy": [
        Wrong(forgets_the_sign, says="the sign is missing"),
        Wrong(adds_up, says="the sum over all places"),
        Wrong(measures_in_bits, says="in bits"),
        Wrong(keeps_every_place, says="one loss for each place"),
        Wrong(takes_the_mean_first, says="the logarithm of the mean"),
        Wrong(forgets_the_logarithm, says="the mean probability of the targets"),
        Wrong(does_not_normalise, says="not log-probabilities yet"),
        Wrong(normalises_over_time, says="over time"),
        Wrong(overflows, says="the exponential overflows"),
        Wrong(goes_through_probabilities, says="rounded to 0"),
        Wrong(adds_a_small_number, says="add no small number"),
        Wrong(shifts_large_logits_only, says="whatever its sign"),
        Wrong(sum_overflows, says="the exponential of 1000 is infinite"),
        Wrong(the_librarys, says="do without `cross_entropy`"),
    ],
    "perplexity_and_bits": [
        Wrong(exchanges_the_two, says="in the wrong order"),
        Wrong(uses_powers_of_two, says="not 2"),
        Wrong(multiplies_by_ln_2, says="divide by ln 2"),
        Wrong(forgets_the_characters, says="bits per token"),
        Wrong(turns_the_share_over, says="tokens and characters are exchanged"),
        Wrong(stays_in_nats, says="nats still"),
        Wrong(spreads_the_perplexity, says="perplexity per character"),
        Wrong(converts_twice, says="do not convert twice"),
        Wrong(returns_one_number, says="two numbers are asked for"),
    ],
    "cross_entropy_gradient": [
        Wrong(forgets_the_mean, says="divide by N"),
        Wrong(reverses_the_sign, says="the sign is reversed"),
        Wrong(divides_by_every_entry, says="all N · V entries"),
        Wrong(forgets_the_target, says="the target is missing"),
        Wrong(forgets_the_softmax, says="subtracted from logits"),
        Wrong(moves_the_target_only, says="only the logit of the target"),
        Wrong(differentiates_the_probability, says="the derivative of the probabilities"),
        Wrong(runs_down_the_columns, says="down the columns"),
        Wrong(whole_columns, says="these columns in every row"),
        Wrong(by_autograd, says="do without `autograd`"),
    ],
    "sample_next": [
        Wrong(takes_the_likeliest, says="the likeliest token"),
        Wrong(ignores_the_probabilities, says="equally likely"),
        Wrong(draws_by_itself, says="draw nothing yourself"),
        Wrong(stops_one_early, says="one token too low"),
        Wrong(returns_the_probability, says="this is a probability"),
        Wrong(includes_the_end, says="probability 0"),
        Wrong(includes_the_end_but_skips_zero, says="the second token's stretch ends"),
        Wrong(runs_off_the_end, says="rounding"),
        Wrong(compares_one_by_one, says="compared with u by itself"),
    ],
}
