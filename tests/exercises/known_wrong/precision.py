"""Wrong answers to the exercises on numbers of two bytes and on the scale of the loss."""

import math

from known_wrong import Wrong


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
