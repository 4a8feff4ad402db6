"""Wrong answers to the exercises on sampling."""

import math

import torch

from known_wrong import Wrong


def one_hot(logits):
    return (torch.arange(len(logits)) == logits.argmax()).float()


def multiplies(logits, temperature):
    return torch.softmax(logits * temperature, dim=-1)


def divides_probabilities(logits, temperature):
    return torch.softmax(logits, dim=-1) / temperature


def divides_it_away(logits, temperature):
    p = torch.softmax(logits, dim=-1) / temperature
    return p / p.sum()


def returns_divided_logits(logits, temperature):
    return logits / temperature


def divides_by_zero(logits, temperature):
    return torch.softmax(logits / temperature, dim=-1)


def uniform_at_zero(logits, temperature):
    return torch.ones(len(logits)) / len(logits) if temperature == 0 else torch.softmax(logits / temperature, dim=-1)


def plain_at_zero(logits, temperature):
    return torch.softmax(logits / (temperature or 1), dim=-1)


def overflows(logits, temperature):
    if temperature == 0:
        return one_hot(logits)
    weights = (logits / temperature).exp()
    return weights / weights.sum()


def in_place(logits, temperature):
    logits /= temperature
    return torch.softmax(logits, dim=-1)


def keep(logits, ids):
    kept = torch.full_like(logits, -math.inf)
    kept[ids] = logits[ids]
    return kept.softmax(dim=-1)


def top(logits, k):
    return logits.topk(min(k, len(logits))).indices


def does_not_renormalise(logits, k):
    p = logits.softmax(dim=-1)
    return torch.zeros_like(p).scatter(0, top(logits, k), p[top(logits, k)])


def fills_with_zero_logits(logits, k):
    return torch.zeros_like(logits).scatter(0, top(logits, k), logits[top(logits, k)]).softmax(dim=-1)


def returns_sorted(logits, k):
    return keep(logits, top(logits, k)).sort(descending=True).values


def returns_k_values(logits, k):
    return logits.topk(k).values.softmax(dim=-1)


def keeps_one_more(logits, k):
    return keep(logits, top(logits, k + 1))


def keeps_one_less(logits, k):
    return keep(logits, logits > logits.topk(k).values[-1])


def keeps_the_smallest(logits, k):
    return keep(logits, logits.topk(k, largest=False).indices)


def keeps_ties(logits, k):
    smallest = logits.topk(min(k, len(logits))).values[-1]
    return keep(logits, logits >= smallest)


def fails_above_the_vocabulary(logits, k):
    return keep(logits, logits.topk(k).indices)


def ranked(logits):
    return logits.softmax(dim=-1).sort(descending=True)


def excludes_the_crossing(logits, p):
    values, order = ranked(logits)
    return order[values.cumsum(0) <= p].tolist()


def one_too_many(logits, p):
    values, order = ranked(logits)
    n = int((values.cumsum(0) < p).sum()) + 2
    return order[:n].tolist()


def sorts_by_id(logits, p):
    values, order = ranked(logits)
    return sorted(order[values.cumsum(0) - values < p].tolist())


def returns_ranks(logits, p):
    values, _ = ranked(logits)
    return list(range(int((values.cumsum(0) - values < p).sum())))


def forgets_to_sort(logits, p):
    values = logits.softmax(dim=-1)
    return (values.cumsum(0) - values < p).nonzero().flatten().tolist()


def sorts_ascending(logits, p):
    values, order = logits.softmax(dim=-1).sort()
    return order[values.cumsum(0) - values < p].tolist()


def compares_each(logits, p):
    values, order = ranked(logits)
    return order[values >= p].tolist()


def empties_the_nucleus(logits, p):
    values, order = ranked(logits)
    n = int((values.cumsum(0) < p).sum())
    return order[: n + 1 if n else 0].tolist()


def forgets_the_softmax(logits, p):
    values, order = logits.exp().sort(descending=True)
    return order[values.cumsum(0) - values < p].tolist()


def above(logits, threshold):
    return logits.masked_fill(logits < threshold, -math.inf)


def band_too_narrow(logits, temperature, m):
    return above(logits, logits.max() - math.log(1 / m)) / temperature


def band_too_wide(logits, temperature, m):
    scaled = logits / temperature
    return above(scaled, scaled.max() - temperature * math.log(1 / m))


def scales_the_largest_logit(logits, temperature, m):
    scaled = logits / temperature
    return above(scaled, m * scaled.max())


def compares_with_m(logits, temperature, m):
    scaled = logits / temperature
    return scaled.masked_fill(scaled.softmax(dim=-1) < m, -math.inf)


def does_not_divide(logits, temperature, m):
    return above(logits, logits.max() - temperature * math.log(1 / m))


def fills_with_zeros(logits, temperature, m):
    scaled = logits / temperature
    return scaled.masked_fill(scaled < scaled.max() - math.log(1 / m), 0.0)


def wrong_sign(logits, temperature, m):
    scaled = logits / temperature
    return above(scaled, scaled.max() - math.log(m))


def rules_out_nothing(logits, temperature, m):
    return logits / temperature


def strictly_above(logits, temperature, m):
    scaled = logits / temperature
    return scaled.masked_fill(scaled <= scaled.max() - math.log(1 / m), -math.inf)


def waiting(text, stop):
    return next(n for n in range(len(stop) - 1, -1, -1) if text.endswith(stop[:n]))


def looks_at_single_pieces(pieces, stop):
    for piece in pieces:
        if stop in piece:
            yield piece[: piece.index(stop)]
            return
        yield piece


def lets_the_stop_string_out(pieces, stop):
    text = ""
    for piece in pieces:
        text += piece
        if stop in text:
            break
    yield text[: text.index(stop) + len(stop)] if stop in text else text


def goes_on(pieces, stop):
    yield from pieces


def cuts_it_out(pieces, stop):
    yield "".join(pieces).replace(stop, "")


def loses_the_beginning_of_the_piece(pieces, stop):
    for piece in pieces:
        if stop in piece:
            return
        yield piece


def notices_too_late(pieces, stop):
    text = ""
    for piece in pieces:
        shown = len(text)
        text += piece
        if stop in text:
            yield text[shown : max(shown, text.index(stop))]
            return
        yield piece


def loses_the_end(pieces, stop):
    held = ""
    for piece in pieces:
        held += piece
        if stop in held:
            yield held[: held.index(stop)]
            return
        n = waiting(held, stop)
        yield held[: len(held) - n]
        held = held[len(held) - n :]
    if not waiting(held, stop):
        yield held


def loses_false_alarms(pieces, stop):
    held = ""
    for character in "".join(pieces):
        if stop.startswith(held + character):
            held += character
            if held == stop:
                return
        else:
            held = ""
            yield character
    yield held


def overlooks_a_second_start(pieces, stop):
    held = ""
    for character in "".join(pieces):
        if stop.startswith(held + character):
            held += character
            if held == stop:
                return
        else:
            yield held + character
            held = ""
    yield held


def waits_for_everything(pieces, stop):
    yield "".join(pieces).split(stop)[0]


def always_holds_back(pieces, stop):
    held = ""
    for piece in pieces:
        held += piece
        if stop in held:
            yield held[: held.index(stop)]
            return
        n = min(len(held), len(stop) - 1)
        yield held[: len(held) - n]
        held = held[len(held) - n :]
    yield held


def reads_on(pieces, stop):
    held, over = "", False
    for piece in pieces:
        if over:
            continue
        held += piece
        if stop in held:
            held, over = held[: held.index(stop)], True
        n = 0 if over else waiting(held, stop)
        yield held[: len(held) - n]
        held = held[len(held) - n :]
    yield held


def from_the_least_likely(logits, p):
    ranked, order = logits.softmax(-1).sort(descending=True)
    return order[ranked.cumsum(-1) - ranked < p].flip(0).tolist()


def keeps_both_halves(logits, p):
    ranked, order = logits.softmax(-1).sort(descending=True)
    return order[ranked.cumsum(-1) - ranked <= p].tolist()


def decimal_band(logits, temperature, m):
    scaled = logits / temperature
    return scaled.masked_fill(scaled < scaled.max() - math.log10(1 / m), -math.inf)


def min_p_by_probabilities(logits, temperature, m):
    scaled = logits / temperature
    p = scaled.softmax(-1)
    return scaled.masked_fill(p < m * p.max() * (1 - 1e-6), -math.inf)


def argsort_for_rank(logits, k):
    ranks = logits.argsort(descending=True)
    return logits.masked_fill(ranks >= k, -math.inf).softmax(-1)


def last_stop(pieces, stop):
    held = "".join(pieces)
    yield held[: held.rindex(stop)] if stop in held else held


WRONG = {
    "temperature_probabilities": [
        Wrong(multiplies, says="multiplied by the temperature"),
        Wrong(divides_probabilities, says="the probabilities were divided"),
        Wrong(divides_it_away, says="divided away again"),
        Wrong(returns_divided_logits, says="not probabilities yet"),
        Wrong(divides_by_zero, says="at temperature 0 the division"),
        Wrong(uniform_at_zero, says="an infinite temperature"),
        Wrong(plain_at_zero, says="the probabilities of temperature 1: the limit"),
        Wrong(overflows, says="the exponentials overflow"),
        Wrong(in_place, says="in place"),
    ],
    "top_k_probabilities": [
        Wrong(does_not_renormalise, says="does not add up to 1"),
        Wrong(fills_with_zero_logits, says="a logit of 0 is not ruled out"),
        Wrong(returns_sorted, says="sorted"),
        Wrong(returns_k_values, says="a place for every token"),
        Wrong(keeps_one_more, says="k + 1 tokens"),
        Wrong(keeps_one_less, says="k - 1 tokens"),
        Wrong(keeps_the_smallest, says="least likely"),
        Wrong(keeps_ties, says="by rank, not by value"),
        Wrong(fails_above_the_vocabulary, says="RuntimeError"),
        Wrong(argsort_for_rank, says="who stands at each rank"),
    ],
    "nucleus": [
        Wrong(excludes_the_crossing, says="still belongs to the nucleus"),
        Wrong(one_too_many, says="one token too many"),
        Wrong(sorts_by_id, says="in the order of their ids"),
        Wrong(returns_ranks, says="ranks, not ids"),
        Wrong(forgets_to_sort, says="sort by probability first"),
        Wrong(sorts_ascending, says="descending order"),
        Wrong(compares_each, says="it is the sum that counts"),
        Wrong(empties_the_nucleus, says="it should always stay"),
        Wrong(forgets_the_softmax, says="adding the same number"),
        Wrong(from_the_least_likely, says="from the least likely on"),
        Wrong(keeps_both_halves, says="one reaches p = 0.5"),
    ],
    "min_p_band": [
        Wrong(band_too_narrow, says="too narrow"),
        Wrong(band_too_wide, says="too wide"),
        Wrong(scales_the_largest_logit, says="m times the largest logit"),
        Wrong(compares_with_m, says="compared with m itself"),
        Wrong(does_not_divide, says="not divided"),
        Wrong(fills_with_zeros, says="a logit of 0"),
        Wrong(wrong_sign, says="nothing is left"),
        Wrong(rules_out_nothing, says="nothing was ruled out"),
        Wrong(strictly_above, says="with m = 1"),
        Wrong(decimal_band, says="the basis 10"),
        Wrong(min_p_by_probabilities, says="do without `softmax`"),
    ],
    "stream_until": [
        Wrong(lets_the_stop_string_out, says="the stop string itself came out"),
        Wrong(goes_on, says="went on after"),
        Wrong(cuts_it_out, says="cut out"),
        Wrong(loses_the_beginning_of_the_piece, says="in the same piece got lost"),
        Wrong(looks_at_single_pieces, says="in several pieces"),
        Wrong(notices_too_late, says="before it was complete"),
        Wrong(loses_the_end, says="at the end got lost"),
        Wrong(loses_false_alarms, says="turned out to be harmless"),
        Wrong(overlooks_a_second_start, says="after a false start"),
        Wrong(waits_for_everything, says="before all is read"),
        Wrong(always_holds_back, says="no more than you must"),
        Wrong(reads_on, says="read on after"),
        Wrong(last_stop, says="not before the last"),
    ],
}
