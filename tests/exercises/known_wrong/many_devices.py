"""Wrong answers to the exercises on shards, several devices, and how busy they are."""

import torch

from known_wrong import Wrong


def reads_everything(shards, start, stop):
    return torch.cat([shard[:] for shard in shards])[start:stop]


def looks_in_the_first_shard(shards, start, stop):
    return shards[0][start:stop]


def stops_at_the_border(shards, start, stop):
    begin = 0
    for shard in shards:
        if start < begin + len(shard):
            return shard[start - begin : stop - begin]
        begin += len(shard)


def uses_negative_indices(shards, start, stop):
    pieces, begin = [], 0
    for shard in shards:
        pieces.append(shard[start - begin : stop - begin])
        begin += len(shard)
    return torch.cat(pieces)


def leaves_the_middle_out(shards, start, stop):
    pieces, begin = [], 0
    for shard in shards:
        end = begin + len(shard)
        if begin <= start < end or begin < stop <= end:
            pieces.append(shard[max(0, start - begin) : stop - begin])
        begin = end
    return torch.cat(pieces)


def takes_one_too_many(shards, start, stop):
    pieces, begin = [], 0
    for shard in shards:
        pieces.append(shard[max(0, start - begin) : max(0, stop + 1 - begin)])
        begin += len(shard)
    return torch.cat(pieces)


def joins_backwards(shards, start, stop):
    pieces, begin = [], 0
    for shard in shards:
        pieces.insert(0, shard[max(0, start - begin) : max(0, stop - begin)])
        begin += len(shard)
    return torch.cat(pieces)


def reads_one_by_one(shards, start, stop):
    ids = [shard[i] for shard in shards for i in range(len(shard))]
    return torch.stack(ids[start:stop])


def begins_at_the_shard(shards, start, stop):
    begin, pieces = 0, []
    for shard in shards:
        end = begin + len(shard)
        if start < end and stop > begin:
            offset = start - begin if begin == 0 else 0
            pieces.append(shard[offset : offset + min(stop, end) - max(start, begin)])
        begin = end
    return torch.cat(pieces)


def sums(gradients):
    return list(torch.stack(gradients).sum(0).chunk(len(gradients)))


def keeps_its_own(gradients):
    return [gradient.chunk(len(gradients))[rank] for rank, gradient in enumerate(gradients)]


def gives_everybody_all(gradients):
    return [torch.stack(gradients).mean(0) for _ in gradients]


def gives_everybody_the_first(gradients):
    return [torch.stack(gradients).mean(0).chunk(len(gradients))[0] for _ in gradients]


def deals_like_cards(gradients):
    mean = torch.stack(gradients).mean(0)
    return [mean[rank :: len(gradients)] for rank in range(len(gradients))]


def divides_twice(gradients):
    return [piece / len(gradients) for piece in torch.stack(gradients).mean(0).chunk(len(gradients))]


def shifts_by_one(gradients):
    pieces = torch.stack(gradients).mean(0).chunk(len(gradients))
    return [*pieces[1:], pieces[0]]


def turns_round(gradients):
    return list(torch.stack(gradients).mean(0).chunk(len(gradients)))[::-1]


def operations(n_layer, width, vocab_size, block_size):
    return 3 * (2 * (12 * n_layer * width**2 + vocab_size * width) + 4 * n_layer * block_size * width)


def forgets_the_devices(tokens_per_second, devices, peak, **sizes):
    return tokens_per_second * operations(**sizes) / peak


def counts_the_forward_pass(tokens_per_second, devices, peak, **sizes):
    return tokens_per_second * operations(**sizes) / 3 / (devices * peak)


def forgets_attention(tokens_per_second, devices, peak, n_layer, width, vocab_size, block_size):
    return tokens_per_second * 6 * (12 * n_layer * width**2 + vocab_size * width) / (devices * peak)


def forgets_the_head(tokens_per_second, devices, peak, n_layer, width, vocab_size, block_size):
    return tokens_per_second * operations(n_layer, width, 0, block_size) / (devices * peak)


def forgets_the_addition(tokens_per_second, devices, peak, n_layer, width, vocab_size, block_size):
    token = 3 * (12 * n_layer * width**2 + vocab_size * width + 4 * n_layer * block_size * width)
    return tokens_per_second * token / (devices * peak)


def gives_a_percentage(tokens_per_second, devices, peak, **sizes):
    return 100 * tokens_per_second * operations(**sizes) / (devices * peak)


def divides_the_wrong_way(tokens_per_second, devices, peak, **sizes):
    return devices * peak / (tokens_per_second * operations(**sizes))


def multiplies_the_table(tokens_per_second, devices, peak, n_layer, width, vocab_size, block_size):
    return tokens_per_second * operations(n_layer, width, 2 * vocab_size, block_size) / (devices * peak)


WRONG = {
    "cut_window": [
        Wrong(reads_everything, says="40 ids were read"),
        Wrong(looks_in_the_first_shard, says="subtract where the shard begins"),
        Wrong(stops_at_the_border, says="go on with the next one"),
        Wrong(uses_negative_indices, says="a negative index"),
        Wrong(leaves_the_middle_out, says="the shard in the middle"),
        Wrong(takes_one_too_many, says="does not belong to the window"),
        Wrong(joins_backwards, says="in the wrong order"),
        Wrong(reads_one_by_one, says="id by id"),
        Wrong(begins_at_the_shard, says="the beginning of the shard"),
    ],
    "reduce_scatter": [
        Wrong(sums, says="these are sums"),
        Wrong(keeps_its_own, says="nobody has added anything"),
        Wrong(gives_everybody_all, says="an all-reduce"),
        Wrong(gives_everybody_the_first, says="the same piece"),
        Wrong(deals_like_cards, says="like cards"),
        Wrong(divides_twice, says="once more"),
        Wrong(shifts_by_one, says="its neighbour's"),
        Wrong(turns_round, says="the opposite order"),
    ],
    "flops_utilisation": [
        Wrong(forgets_the_devices, says="there are `devices` of them"),
        Wrong(counts_the_forward_pass, says="the forward pass only"),
        Wrong(forgets_attention, says="attention itself"),
        Wrong(forgets_the_head, says="the head is a matrix product"),
        Wrong(forgets_the_addition, says="multiplied and added"),
        Wrong(gives_a_percentage, says="a percentage"),
        Wrong(divides_the_wrong_way, says="upside down"),
        Wrong(multiplies_the_table, says="looked up"),
    ],
}
