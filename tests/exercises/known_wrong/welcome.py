"""Wrong answers to the exercises on scores, probabilities and the loop that writes."""

import torch

from known_wrong import Wrong


def returns_the_id(logits, characters):
    return logits.argmax().item()


def returns_the_logit(logits, characters):
    return logits.max()


def takes_the_lowest(logits, characters):
    return characters[logits.argmin()]


def takes_the_last(logits, characters):
    return characters[-1]


def draws(logits, characters):
    return characters[torch.multinomial(logits.softmax(dim=-1), 1).item()]


def takes_the_largest_in_size(logits, characters):
    return characters[logits.abs().argmax()]


def does_not_normalise(logits):
    return logits.exp()


def leaves_out_the_exponential(logits):
    return logits / logits.sum()


def uses_a_sigmoid(logits):
    return torch.sigmoid(logits)


def uses_powers_of_two(logits):
    return 2**logits / (2**logits).sum()


def reverses_the_order(logits):
    return torch.softmax(-logits, dim=0)


def returns_logarithms(logits):
    return torch.log_softmax(logits, dim=0)


def overflows(logits):
    return logits.exp() / logits.exp().sum()


def cuts_off(logits):
    weights = logits.clamp(max=80).exp()
    return weights / weights.sum()


def shifts_large_logits_only(logits):
    if logits.max() > 0:
        logits = logits - logits.max()
    return logits.exp() / logits.exp().sum()


def best(next_logits, ids):
    return next_logits(ids).argmax().item()


def returns_the_new_ones(next_logits, ids, steps):
    every = list(ids)
    for _ in range(steps):
        every.append(best(next_logits, every))
    return every[len(ids) :]


def never_feeds_back(next_logits, ids, steps):
    return ids + [best(next_logits, ids) for _ in range(steps)]


def stops_early(next_logits, ids, steps):
    ids = list(ids)
    for _ in range(1, steps):
        ids.append(best(next_logits, ids))
    return ids


def stops_late(next_logits, ids, steps):
    ids = list(ids)
    for _ in range(steps + 1):
        ids.append(best(next_logits, ids))
    return ids


def shows_the_last_id_only(next_logits, ids, steps):
    ids = list(ids)
    for _ in range(steps):
        ids.append(best(next_logits, ids[-1:]))
    return ids


def puts_them_in_front(next_logits, ids, steps):
    for _ in range(steps):
        ids = [best(next_logits, ids), *ids]
    return ids


def drops_old_ids(next_logits, ids, steps):
    for _ in range(steps):
        ids = [*ids[1:], best(next_logits, ids)]
    return ids


def takes_the_unlikeliest(next_logits, ids, steps):
    ids = list(ids)
    for _ in range(steps):
        ids.append(next_logits(ids).argmin().item())
    return ids


def changes_its_input(next_logits, ids, steps):
    for _ in range(steps):
        ids.append(best(next_logits, ids))
    return ids


WRONG = {
    "likeliest_character": [
        Wrong(returns_the_id, says="its id"),
        Wrong(returns_the_logit, says="the highest logit itself"),
        Wrong(takes_the_lowest, says="the lowest logit"),
        Wrong(takes_the_last, says="the last one"),
        Wrong(draws, says="do not draw one"),
        Wrong(takes_the_largest_in_size, says="take no absolute values"),
    ],
    "probabilities_from_logits": [
        Wrong(does_not_normalise, says="their sum is not 1 yet"),
        Wrong(leaves_out_the_exponential, says="cannot be negative"),
        Wrong(uses_a_sigmoid, says="sigmoid"),
        Wrong(uses_powers_of_two, says="the basis of the powers is 2"),
        Wrong(reverses_the_order, says="the order is reversed"),
        Wrong(returns_logarithms, says="logarithms of the probabilities"),
        Wrong(overflows, says="the exponential overflows"),
        Wrong(cuts_off, says="do not cut off"),
        Wrong(shifts_large_logits_only, says="whatever it is"),
    ],
    "continue_greedily": [
        Wrong(returns_the_new_ones, says="only the new ids"),
        Wrong(never_feeds_back, says="as it has grown"),
        Wrong(stops_early, says="one id is missing"),
        Wrong(stops_late, says="one id too many"),
        Wrong(shows_the_last_id_only, says="the last id only"),
        Wrong(puts_them_in_front, says="stand in front"),
        Wrong(drops_old_ids, says="the list should grow"),
        Wrong(takes_the_unlikeliest, says="the lowest logit was chosen"),
        Wrong(changes_its_input, says="in place"),
    ],
}
