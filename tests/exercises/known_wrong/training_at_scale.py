"""Wrong answers to the exercises on shards, numbers of two bytes, and several devices."""

import math

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


def bias_of(exponent_bits):
    return 2 ** (exponent_bits - 1) - 1


def forgets_the_hidden_digit(sign, exponent, fraction, exponent_bits, fraction_bits):
    return (-1) ** sign * 2.0 ** (exponent - bias_of(exponent_bits)) * fraction / 2**fraction_bits


def forgets_the_sign(sign, exponent, fraction, exponent_bits, fraction_bits):
    return 2.0 ** (exponent - bias_of(exponent_bits)) * (1 + fraction / 2**fraction_bits)


def has_a_larger_bias(sign, exponent, fraction, exponent_bits, fraction_bits):
    return (-1) ** sign * 2.0 ** (exponent - 2 ** (exponent_bits - 1)) * (1 + fraction / 2**fraction_bits)


def has_the_bias_of_float32(sign, exponent, fraction, exponent_bits, fraction_bits):
    return (-1) ** sign * 2.0 ** (exponent - 127) * (1 + fraction / 2**fraction_bits)


def has_no_bias(sign, exponent, fraction, exponent_bits, fraction_bits):
    return (-1) ** sign * 2.0**exponent * (1 + fraction / 2**fraction_bits)


def does_not_divide_the_fraction(sign, exponent, fraction, exponent_bits, fraction_bits):
    return (-1) ** sign * 2.0 ** (exponent - bias_of(exponent_bits)) * (1 + fraction)


def knows_float16_only(sign, exponent, fraction, exponent_bits, fraction_bits):
    return (-1) ** sign * 2.0 ** (exponent - 15) * (1 + fraction / 1024)


def knows_normal_numbers_only(sign, exponent, fraction, exponent_bits, fraction_bits):
    if exponent == fraction == 0:
        return 0.0
    return (-1) ** sign * 2.0 ** (exponent - bias_of(exponent_bits)) * (1 + fraction / 2**fraction_bits)


def leaves_a_gap_before_zero(sign, exponent, fraction, exponent_bits, fraction_bits):
    hidden = 0 if exponent == 0 else 1
    return (-1) ** sign * 2.0 ** (exponent - bias_of(exponent_bits)) * (hidden + fraction / 2**fraction_bits)


def flushes_to_zero(sign, exponent, fraction, exponent_bits, fraction_bits):
    if exponent == 0:
        return 0.0
    return (-1) ** sign * 2.0 ** (exponent - bias_of(exponent_bits)) * (1 + fraction / 2**fraction_bits)


def has_no_infinity(sign, exponent, fraction, exponent_bits, fraction_bits):
    hidden = 0 if exponent == 0 else 1
    power = max(exponent, 1) - bias_of(exponent_bits)
    return (-1) ** sign * 2.0**power * (hidden + fraction / 2**fraction_bits)


def has_no_nan(sign, exponent, fraction, exponent_bits, fraction_bits):
    if exponent == 2**exponent_bits - 1:
        return (-1) ** sign * math.inf
    return has_no_infinity(sign, exponent, fraction, exponent_bits, fraction_bits)


def has_one_infinity(sign, exponent, fraction, exponent_bits, fraction_bits):
    if exponent == 2**exponent_bits - 1:
        return math.nan if fraction else math.inf
    return has_no_infinity(sign, exponent, fraction, exponent_bits, fraction_bits)


def norm_of(gradients):
    return math.sqrt(sum(gradient.pow(2).sum().item() for gradient in gradients))


def finite(gradients):
    return all(gradient.isfinite().all() for gradient in gradients)


def clipped(gradients, max_norm):
    factor = min(1.0, max_norm / norm_of(gradients))
    return [gradient * factor for gradient in gradients]


def clips_first(gradients, scale, max_norm):
    if not finite(gradients):
        return "skip"
    return [gradient / scale for gradient in clipped(gradients, max_norm)]


def multiplies(gradients, scale, max_norm):
    if not finite(gradients):
        return "skip"
    return [gradient * scale for gradient in clipped([gradient / scale for gradient in gradients], max_norm)]


def does_nothing(gradients, scale, max_norm):
    return gradients if finite(gradients) else "skip"


def does_not_clip(gradients, scale, max_norm):
    return [gradient / scale for gradient in gradients] if finite(gradients) else "skip"


def clips_each(gradients, scale, max_norm):
    if not finite(gradients):
        return "skip"
    unscaled = [gradient / scale for gradient in gradients]
    return [gradient * min(1.0, max_norm / gradient.norm().item()) for gradient in unscaled]


def scales_up(gradients, scale, max_norm):
    if not finite(gradients):
        return "skip"
    unscaled = [gradient / scale for gradient in gradients]
    return [gradient * max_norm / norm_of(unscaled) for gradient in unscaled]


def never_skips(gradients, scale, max_norm):
    return clipped([gradient / scale for gradient in gradients], max_norm)


def looks_for_nan_only(gradients, scale, max_norm):
    if any(gradient.isnan().any() for gradient in gradients):
        return "skip"
    return never_skips(gradients, scale, max_norm)


def looks_for_infinities_only(gradients, scale, max_norm):
    if any(gradient.isinf().any() for gradient in gradients):
        return "skip"
    return never_skips(gradients, scale, max_norm)


def looks_at_the_largest(gradients, scale, max_norm):
    if not all(math.isfinite(gradient.max().item()) for gradient in gradients):
        return "skip"
    return never_skips(gradients, scale, max_norm)


def always_skips(gradients, scale, max_norm):
    return "skip"


def doubles_on_overflow(scale, good_steps, overflow, growth_interval):
    return (scale * 2, 0) if overflow else (scale, good_steps + 1)


def keeps_counting(scale, good_steps, overflow, growth_interval):
    return (scale / 2, good_steps) if overflow else (scale, good_steps + 1)


def counts_the_skipped_step(scale, good_steps, overflow, growth_interval):
    return (scale / 2 if overflow else scale), good_steps + 1


def never_halves(scale, good_steps, overflow, growth_interval):
    return (scale, 0) if overflow else (scale, good_steps + 1)


def grows_at_once(scale, good_steps, overflow, growth_interval):
    return (scale / 2, 0) if overflow else (scale * 2, 0)


def counts_nothing(scale, good_steps, overflow, growth_interval):
    return (scale / 2, 0) if overflow else (scale, good_steps)


def grows_late(scale, good_steps, overflow, growth_interval):
    if overflow:
        return scale / 2, 0
    return (scale * 2, 0) if good_steps == growth_interval else (scale, good_steps + 1)


def goes_on_counting(scale, good_steps, overflow, growth_interval):
    if overflow:
        return scale / 2, 0
    good_steps += 1
    return (scale * 2 if good_steps == growth_interval else scale), good_steps


def swaps_the_two(scale, good_steps, overflow, growth_interval):
    return (0, scale / 2) if overflow else (good_steps + 1, scale)


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
    "float_value": [
        Wrong(forgets_the_hidden_digit, says="the hidden digit is missing"),
        Wrong(forgets_the_sign, says="the sign is lost"),
        Wrong(has_a_larger_bias, says="one less than half"),
        Wrong(has_the_bias_of_float32, says="the bias of float32"),
        Wrong(has_no_bias, says="the bias is not subtracted"),
        Wrong(does_not_divide_the_fraction, says="divide it by 2^m"),
        Wrong(knows_float16_only, says="right for float16 only"),
        Wrong(knows_normal_numbers_only, says="an exponent of 0 has no hidden 1"),
        Wrong(leaves_a_gap_before_zero, says="there would be a gap"),
        Wrong(flushes_to_zero, says="does not always mean zero"),
        Wrong(has_no_infinity, says="means infinity"),
        Wrong(has_no_nan, says="not a number"),
        Wrong(has_one_infinity, says="infinity has a sign"),
    ],
    "prepare_gradients": [
        Wrong(clips_first, says="clipped before they are unscaled"),
        Wrong(multiplies, says="multiplied by the scale once more"),
        Wrong(does_nothing, says="not divided by the scale"),
        Wrong(does_not_clip, says="they are not clipped"),
        Wrong(clips_each, says="one factor for all"),
        Wrong(scales_up, says="scaled up to the limit"),
        Wrong(never_skips, says="with an infinity or a nan among"),
        Wrong(looks_for_nan_only, says="an infinity slips through"),
        Wrong(looks_for_infinities_only, says="a nan slips through"),
        Wrong(looks_at_the_largest, says="minus infinity slips through"),
        Wrong(always_skips, says="should not be skipped"),
    ],
    "next_scale": [
        Wrong(doubles_on_overflow, says="makes the scale smaller"),
        Wrong(keeps_counting, says="the count begins anew"),
        Wrong(counts_the_skipped_step, says="no good step"),
        Wrong(never_halves, says="the next step overflows too"),
        Wrong(grows_at_once, says="after every good step"),
        Wrong(counts_nothing, says="the good step is not counted"),
        Wrong(grows_late, says="not one step later"),
        Wrong(goes_on_counting, says="when the scale has doubled"),
        Wrong(swaps_the_two, says="swapped"),
    ],
}
