"""Wrong answers to the exercises on unequal pieces and on the log."""

import json
from contextlib import suppress

from torch.nn import functional as F

from known_wrong import Wrong


def mean_loss(model, piece):
    inputs, targets = piece
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def weighted(model, pieces, weights):
    total = 0.0
    for piece, weight in zip(pieces, weights, strict=True):
        loss = mean_loss(model, piece) * weight
        loss.backward()
        total += loss.item()
    return total


def tokens(pieces):
    return [targets.numel() for _, targets in pieces]


def averages_the_means(model, pieces):
    return weighted(model, pieces, [1 / len(pieces)] * len(pieces))


def weights_by_windows(model, pieces):
    rows = [len(targets) for _, targets in pieces]
    return weighted(model, pieces, [count / sum(rows) for count in rows])


def adds_up(model, pieces):
    return weighted(model, pieces, [1.0] * len(pieces))


def sums_over_tokens(model, pieces):
    return weighted(model, pieces, tokens(pieces))


def divides_twice(model, pieces):
    return weighted(model, pieces, [count / sum(tokens(pieces)) / len(pieces) for count in tokens(pieces)])


def clears_on_the_way(model, pieces):
    total, in_all = 0.0, sum(tokens(pieces))
    for piece in pieces:
        model.zero_grad()
        loss = mean_loss(model, piece) * piece[1].numel() / in_all
        loss.backward()
        total += loss.item()
    return total


def returns_the_last(model, pieces):
    weighted(model, pieces, [count / sum(tokens(pieces)) for count in tokens(pieces)])
    return mean_loss(model, pieces[-1]).item()


def returns_a_tensor(model, pieces):
    in_all = sum(tokens(pieces))
    total = sum(mean_loss(model, piece) * piece[1].numel() / in_all for piece in pieces)
    total.backward()
    return total


def forgets_backward(model, pieces):
    in_all = sum(tokens(pieces))
    return sum(mean_loss(model, piece).item() * piece[1].numel() / in_all for piece in pieces)


def whole_lines(lines):
    records = []
    for line in lines:
        with suppress(ValueError):
            records.append(json.loads(line))
    return records


def keeps_both(lines):
    return whole_lines(lines)


def keeps_the_first(lines):
    records = {}
    for record in whole_lines(lines):
        records.setdefault(record["step"], record)
    first = list(records.values())
    last = whole_lines(lines)[-1]["step"]
    return [record for record in first if record["step"] <= last]


def keeps_what_was_taken_back(lines):
    return sorted({record["step"]: record for record in whole_lines(lines)}.values(), key=lambda one: one["step"])


def keeps_the_part_before(lines):
    records = whole_lines(lines)
    last = records[-1]["step"]
    seen = [record["step"] for record in records]
    return records if len(set(seen)) == len(seen) else [one for one in records if one["step"] < last - 1]


def drops_the_last_line(lines):
    try:
        json.loads(lines[-1])
    except ValueError:
        return whole_lines(lines[:-2])
    return whole_lines(lines)


def trips_over_half_a_line(lines):
    return [json.loads(line) for line in lines]


def returns_the_text(lines):
    return list(lines)


WRONG = {
    "add_gradients": [
        Wrong(averages_the_means, says="as if all pieces had the same number of tokens"),
        Wrong(weights_by_windows, says="weighted by their windows"),
        Wrong(adds_up, says="without weights"),
        Wrong(sums_over_tokens, says="divide by the number of all tokens"),
        Wrong(divides_twice, says="divided once more"),
        Wrong(clears_on_the_way, says="only the last piece counts"),
        Wrong(returns_the_last, says="the loss of the last piece"),
        Wrong(returns_a_tensor, says="as a plain number"),
        Wrong(forgets_backward, says="no gradient has arrived"),
    ],
    "tidy_log": [
        Wrong(keeps_both, says="stand there twice"),
        Wrong(keeps_the_first, says="the later record of a step is the one that counts"),
        Wrong(keeps_what_was_taken_back, says="step 5 belongs to the part that was taken back"),
        Wrong(keeps_the_part_before, says="what came after the resumption is lost"),
        Wrong(drops_the_last_line, says="is lost, too"),
        Wrong(trips_over_half_a_line, says=""),
        Wrong(returns_the_text, says="`json.loads`"),
    ],
}
