"""Wrong answers to the exercises on the transformer: layers, the block, the whole model."""

import math

import torch
from torch.nn import functional as F

from known_wrong import Wrong


def centre(x, dims=-1):
    return x - x.mean(dims, keepdim=True)


def takes_the_unbiased_variance(x, weight, bias, epsilon):
    return weight * centre(x) / (x.var(-1, keepdim=True) + epsilon).sqrt() + bias


def averages_over_time(x, weight, bias, epsilon):
    return weight * centre(x, 1) / (x.var(1, unbiased=False, keepdim=True) + epsilon).sqrt() + bias


def averages_over_the_batch(x, weight, bias, epsilon):
    return weight * centre(x, 0) / (x.var(0, unbiased=False, keepdim=True) + epsilon).sqrt() + bias


def averages_over_everything(x, weight, bias, epsilon):
    return weight * (x - x.mean()) / (x.var(unbiased=False) + epsilon).sqrt() + bias


def averages_over_time_and_channels(x, weight, bias, epsilon):
    return weight * centre(x, (1, 2)) / (x.var((1, 2), unbiased=False, keepdim=True) + epsilon).sqrt() + bias


def divides_by_the_variance(x, weight, bias, epsilon):
    return weight * centre(x) / (x.var(-1, unbiased=False, keepdim=True) + epsilon) + bias


def never_centres(x, weight, bias, epsilon):
    return weight * x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() + bias


def forgets_epsilon(x, weight, bias, epsilon):
    return weight * centre(x) / x.std(-1, unbiased=False, keepdim=True) + bias


def adds_epsilon_outside_the_root(x, weight, bias, epsilon):
    return weight * centre(x) / (x.std(-1, unbiased=False, keepdim=True) + epsilon) + bias


def forgets_weight_and_bias(x, weight, bias, epsilon):
    return centre(x) / (x.var(-1, unbiased=False, keepdim=True) + epsilon).sqrt()


def shifts_before_scaling(x, weight, bias, epsilon):
    return weight * (centre(x) / (x.var(-1, unbiased=False, keepdim=True) + epsilon).sqrt() + bias)


def gelu_exactly(x):
    return F.gelu(x)


def gelu_by_sigmoid(x):
    return x * torch.sigmoid(1.702 * x)


def gelu_without_the_half(x):
    return x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_without_the_root(x):
    return 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3)))


def gelu_with_a_square(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**2)))


def gelu_as_a_gate(x):
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_without_brackets(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * x + 0.044715 * x**3))


def gelu_for_two_dimensions(x):
    return F.gelu(x if x.dim() < 3 else x.sort().values, approximate="tanh")


def angles(block_size, width, exponents, first=0):
    return torch.arange(first, first + block_size).unsqueeze(1) * 10_000.0**-exponents


def sines_then_cosines(block_size, width):
    turned = angles(block_size, width, torch.arange(0, width, 2) / width)
    return torch.cat((turned.sin(), turned.cos()), dim=-1)


def cosines_first(block_size, width):
    turned = angles(block_size, width, torch.arange(0, width, 2) / width)
    return torch.stack((turned.cos(), turned.sin()), dim=-1).flatten(1)


def places_from_one(block_size, width):
    turned = angles(block_size, width, torch.arange(0, width, 2) / width, first=1)
    return torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(1)


def a_speed_for_every_channel(block_size, width):
    turned = angles(block_size, width, torch.arange(width) / width)
    table = torch.empty(block_size, width)
    table[:, 0::2], table[:, 1::2] = turned[:, 0::2].sin(), turned[:, 1::2].cos()
    return table


def half_the_exponent(block_size, width):
    turned = angles(block_size, width, torch.arange(width // 2) / width)
    return torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(1)


def twice_the_exponent(block_size, width):
    turned = angles(block_size, width, 2 * torch.arange(0, width, 2) / width)
    return torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(1)


def rising_speeds(block_size, width):
    turned = angles(block_size, width, -torch.arange(0, width, 2) / width)
    return torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(1)


def lying_on_its_side(block_size, width):
    turned = angles(block_size, width, torch.arange(0, width, 2) / width)
    return torch.stack((turned.sin(), turned.cos()), dim=-1).flatten(1).T


def post_norm(x, attention_norm, attention, mlp_norm, mlp):
    x = attention_norm(x + attention(x))
    return mlp_norm(x + mlp(x))


def no_residuals(x, attention_norm, attention, mlp_norm, mlp):
    return mlp(mlp_norm(attention(attention_norm(x))))


def no_residual_around_attention(x, attention_norm, attention, mlp_norm, mlp):
    x = attention(attention_norm(x))
    return x + mlp(mlp_norm(x))


def no_residual_around_the_mlp(x, attention_norm, attention, mlp_norm, mlp):
    x = x + attention(attention_norm(x))
    return mlp(mlp_norm(x))


def both_in_parallel(x, attention_norm, attention, mlp_norm, mlp):
    return x + attention(attention_norm(x)) + mlp(mlp_norm(x))


def adds_to_the_first_x(x, attention_norm, attention, mlp_norm, mlp):
    return x + mlp(mlp_norm(x + attention(attention_norm(x))))


def adds_the_normalised_stream(x, attention_norm, attention, mlp_norm, mlp):
    x = attention_norm(x)
    x = x + attention(x)
    x = mlp_norm(x)
    return x + mlp(x)


def one_norm_for_both(x, attention_norm, attention, mlp_norm, mlp):
    x = x + attention(attention_norm(x))
    return x + mlp(attention_norm(x))


def mlp_first(x, attention_norm, attention, mlp_norm, mlp):
    x = x + mlp(mlp_norm(x))
    return x + attention(attention_norm(x))


def no_norms(x, attention_norm, attention, mlp_norm, mlp):
    x = x + attention(x)
    return x + mlp(x)


def sum_up(config, qkv=3, bias=True, norms=2, last_norm=True, places=True, lm_head_bias=True, layers=None, hidden=None):
    c, f, v = config.n_embd, hidden or config.hidden_dim, config.vocab_size
    bias = bias and config.bias
    attention = (qkv + 1) * c * c + bias * (qkv + 1) * c
    mlp = 2 * c * f + bias * (f + c)
    norm = c + bias * c
    block = attention + mlp + norms * norm
    head = (0 if config.tie_weights else v * c) + lm_head_bias * config.lm_head_bias * v
    tables = v * c + places * config.block_size * c
    return tables + (layers or config.n_layer) * block + last_norm * norm + head


def no_biases(config):
    return sum_up(config, bias=False, lm_head_bias=False)


def one_norm_a_block(config):
    return sum_up(config, norms=1)


def no_last_norm(config):
    return sum_up(config, last_norm=False)


def no_places(config):
    return sum_up(config, places=False)


def no_bias_on_the_head(config):
    return sum_up(config, lm_head_bias=False)


def one_matrix_for_three(config):
    return sum_up(config, qkv=1)


def one_block(config):
    return sum_up(config, layers=1)


def four_times_the_width(config):
    return sum_up(config, hidden=4 * config.n_embd)


def always_biased(config):
    return sum_up(config.replace(bias=True))


def biased_norms(config):
    return sum_up(config) + (not config.bias) * (2 * config.n_layer + 1) * config.n_embd


def counts_the_shared_table_twice(config):
    return sum_up(config) + config.tie_weights * config.vocab_size * config.n_embd


def a_fraction(config):
    return float(sum_up(config))


def the_librarys_norm(x, weight, bias, epsilon):
    return F.layer_norm(x, x.shape[-1:], weight, bias, epsilon)


def the_librarys_gelu(x):
    return F.gelu(x, approximate="tanh")


WRONG = {
    "layer_norm": [
        Wrong(takes_the_unbiased_variance, says="divides by C - 1"),
        Wrong(averages_over_time, says="over the time dimension"),
        Wrong(averages_over_the_batch, says="over the batch"),
        Wrong(averages_over_everything, says="over the whole tensor"),
        Wrong(averages_over_time_and_channels, says="over time and channels at once"),
        Wrong(divides_by_the_variance, says="divide by its square root"),
        Wrong(never_centres, says="never centred"),
        Wrong(forgets_epsilon, says="`epsilon` is not used"),
        Wrong(adds_epsilon_outside_the_root, says="outside the root"),
        Wrong(forgets_weight_and_bias, says="neither `weight` nor `bias`"),
        Wrong(shifts_before_scaling, says="the shift comes before the scale"),
        Wrong(the_librarys_norm, says="do without `layer_norm`"),
    ],
    "gelu": [
        Wrong(gelu_exactly, says="this is the exact GELU"),
        Wrong(gelu_by_sigmoid, says="the form with the sigmoid"),
        Wrong(gelu_without_the_half, says="one half is missing"),
        Wrong(gelu_without_the_root, says="without its root"),
        Wrong(gelu_with_a_square, says="the formula has its cube"),
        Wrong(gelu_as_a_gate, says="the x in front is missing"),
        Wrong(gelu_without_brackets, says="multiplies only x"),
        Wrong(gelu_for_two_dimensions, says="three dimensions"),
        Wrong(torch.relu, says="this is ReLU"),
        Wrong(the_librarys_gelu, says="do without `gelu`"),
    ],
    "sinusoidal_positions": [
        Wrong(sines_then_cosines, says="here they alternate"),
        Wrong(cosines_first, says="changed places"),
        Wrong(places_from_one, says="counted from 1"),
        Wrong(a_speed_for_every_channel, says="they share one"),
        Wrong(half_the_exponent, says="lacks its 2"),
        Wrong(twice_the_exponent, says="a 2 too many"),
        Wrong(rising_speeds, says="the wrong sign"),
        Wrong(lying_on_its_side, says="lies on its side"),
    ],
    "pre_norm_block": [
        Wrong(post_norm, says="this is post-norm"),
        Wrong(no_residuals, says="both layers replace it"),
        Wrong(no_residual_around_attention, says="attention replaces the stream"),
        Wrong(no_residual_around_the_mlp, says="the MLP replaces the stream"),
        Wrong(both_in_parallel, says="as it was before attention"),
        Wrong(adds_to_the_first_x, says="what attention wrote is lost"),
        Wrong(adds_the_normalised_stream, says="the normalised vectors are added"),
        Wrong(one_norm_for_both, says="a norm of its own"),
        Wrong(mlp_first, says="before attention"),
        Wrong(no_norms, says="no norm is used"),
    ],
    "count_gpt": [
        Wrong(no_biases, says="all biases are missing"),
        Wrong(one_norm_a_block, says="only one norm"),
        Wrong(no_last_norm, says="the last norm"),
        Wrong(no_places, says="the table of positions"),
        Wrong(no_bias_on_the_head, says="the bias of the head"),
        Wrong(one_matrix_for_three, says="have a matrix each"),
        Wrong(one_block, says="the block is counted once"),
        Wrong(four_times_the_width, says="`config.hidden_dim`"),
        Wrong(always_biased, says="have no biases"),
        Wrong(biased_norms, says="the norms have no biases either"),
        Wrong(counts_the_shared_table_twice, says="counted once"),
        Wrong(a_fraction, says="should be an integer"),
    ],
}
