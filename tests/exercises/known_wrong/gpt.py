"""Wrong answers to the exercises on the block and the whole model."""

from known_wrong import Wrong


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


WRONG = {
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
