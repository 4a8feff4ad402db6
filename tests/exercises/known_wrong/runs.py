"""Wrong answers to the exercises on runs: checkpoints, unequal pieces, logs, loss curves."""

import copy
import json
import math
import statistics
from contextlib import suppress

from torch.nn import functional as F

from known_wrong import Wrong


def right(model, optimizer, generator, step):
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return copy.deepcopy({**state, "generator": generator.get_state(), "step": step})


def shares_the_weights(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"model": model.state_dict()}


def shares_the_averages(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"optimizer": optimizer.state_dict()}


def forgets_the_optimizer(model, optimizer, generator, step):
    found = right(model, optimizer, generator, step)
    del found["optimizer"]
    return found


def keeps_the_seed(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"generator": generator.initial_seed()}


def keeps_the_model(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"model": model}


def keeps_only_the_settings(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"optimizer": optimizer.defaults}


def counts_one_more(model, optimizer, generator, step):
    return right(model, optimizer, generator, step + 1)


def writes_over(disk, name, data):
    disk.write(name, data)
    disk.flush(name)


def forgets_to_flush(disk, name, data):
    disk.write("draft", data)
    disk.rename("draft", name)


def flushes_too_late(disk, name, data):
    disk.write("draft", data)
    disk.rename("draft", name)
    disk.flush(name)


def deletes_first(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")
    if name in disk.files:
        disk.delete(name)
    disk.rename("draft", name)


def keeps_the_draft(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")
    disk.write("again", data)
    disk.flush("again")
    disk.rename("again", name)


def forgets_to_rename(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")


def needs_an_old_file(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")
    disk.rename(name, "previous")
    disk.rename("draft", name)
    disk.delete("previous")


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


def forgets_the_room(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if not low <= loss <= high]


def narrows_the_band(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if not low + room <= loss <= high - room]


def looks_above_only(losses, lowest, highest, room):
    return [place for place, (loss, high) in enumerate(zip(losses, highest, strict=True)) if loss > high + room]


def looks_below_only(losses, lowest, highest, room):
    return [place for place, (loss, low) in enumerate(zip(losses, lowest, strict=True)) if loss < low - room]


def counts_from_one(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True), start=1)
    return [place for place, (loss, low, high) in places if not low - room <= loss <= high + room]


def returns_the_losses(losses, lowest, highest, room):
    triples = zip(losses, lowest, highest, strict=True)
    return [loss for loss, low, high in triples if not low - room <= loss <= high + room]


def returns_the_inside(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if low - room <= loss <= high + room]


def returns_truth_values(losses, lowest, highest, room):
    triples = zip(losses, lowest, highest, strict=True)
    return [not low - room <= loss <= high + room for loss, low, high in triples]


def leaves_out_the_edge(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if not low - room < loss < high + room]


def overlooks_nan(losses, lowest, highest, room):
    places = enumerate(zip(losses, lowest, highest, strict=True))
    return [place for place, (loss, low, high) in places if loss < low - room or loss > high + room]


def spread(losses):
    return statistics.stdev(later - earlier for earlier, later in zip(losses, losses[1:], strict=False))


def turns_it_over(losses, references, batch_size):
    return batch_size * (spread(losses) / spread(references)) ** 2


def forgets_the_square(losses, references, batch_size):
    return batch_size * spread(references) / spread(losses)


def takes_the_root(losses, references, batch_size):
    return batch_size * math.sqrt(spread(references) / spread(losses))


def counts_the_trend(losses, references, batch_size):
    return batch_size * (statistics.stdev(references) / statistics.stdev(losses)) ** 2


def returns_the_ratio(losses, references, batch_size):
    return (spread(references) / spread(losses)) ** 2


WRONG = {
    "snapshot": [
        Wrong(shares_the_weights, says="holds the new weights"),
        Wrong(shares_the_averages, says="the optimizer's new averages"),
        Wrong(forgets_the_optimizer, says="lacks 'optimizer'"),
        Wrong(keeps_the_seed, says="does not say how far it has come"),
        Wrong(keeps_the_model, says="the model itself is kept"),
        Wrong(keeps_only_the_settings, says="lacks its averages"),
        Wrong(counts_one_more, says="`step` says 3"),
    ],
    "save_safely": [
        Wrong(writes_over, says="the old one is written over"),
        Wrong(forgets_to_flush, says="before it was flushed"),
        Wrong(flushes_too_late, says="before it was flushed"),
        Wrong(deletes_first, says="the old file went too early"),
        Wrong(keeps_the_draft, says="a file is left over: draft"),
        Wrong(forgets_to_rename, says="does not hold the new data"),
        Wrong(needs_an_old_file, says="the old file went too early"),
    ],
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
    "outside_band": [
        Wrong(forgets_the_room, says="the room around the band is left out"),
        Wrong(narrows_the_band, says="makes the band narrower"),
        Wrong(looks_above_only, says="only places above"),
        Wrong(looks_below_only, says="only places below"),
        Wrong(counts_from_one, says="count from 0"),
        Wrong(returns_the_losses, says="these are the losses"),
        Wrong(returns_the_inside, says="the places inside the band"),
        Wrong(returns_truth_values, says="give the numbers of the places"),
        Wrong(leaves_out_the_edge, says="exactly on the edge"),
        Wrong(overlooks_nan, says="a loss that is nan"),
    ],
    "estimate_batch_size": [
        Wrong(turns_it_over, says="upside down"),
        Wrong(forgets_the_square, says="the square is missing"),
        Wrong(takes_the_root, says="the root is taken"),
        Wrong(counts_the_trend, says="the trend counts"),
        Wrong(returns_the_ratio, says="the ratio of the batch sizes"),
    ],
}
