"""Wrong answers to the exercises on GPT-2."""

import math

import torch

from known_wrong import Wrong

# --- largest_vocabulary


def spent(block_size, n_layer, width, places=True, last_norm=True, biases=True, layers=True):
    block = 12 * width * width + (13 * width if biases else 0)
    return places * block_size * width + (n_layer if layers else 1) * block + last_norm * 2 * width


def vocabulary_after(**left_out):
    def largest(parameters, block_size, n_layer, width, tied):
        return (parameters - spent(block_size, n_layer, width, **left_out)) // (width if tied else 2 * width)

    return largest


def spends_nothing_else(parameters, block_size, n_layer, width, tied):
    return parameters // (width if tied else 2 * width)


def rounds_up(parameters, block_size, n_layer, width, tied):
    return math.ceil((parameters - spent(block_size, n_layer, width)) / (width if tied else 2 * width))


def does_not_round(parameters, block_size, n_layer, width, tied):
    return (parameters - spent(block_size, n_layer, width)) / (width if tied else 2 * width)


def always_ties(parameters, block_size, n_layer, width, tied):
    return (parameters - spent(block_size, n_layer, width)) // width


def never_ties(parameters, block_size, n_layer, width, tied):
    return (parameters - spent(block_size, n_layer, width)) // (2 * width)


def gives_a_float(parameters, block_size, n_layer, width, tied):
    return float((parameters - spent(block_size, n_layer, width)) // (width if tied else 2 * width))


# --- initial_std


def is_drawn(name):
    return name.endswith("weight") and "norm" not in name


def std_of(scale, writes=("attention.out.weight", "mlp.down.weight")):
    def initial(name, n_layer):
        if not is_drawn(name):
            return 0.0
        return scale(n_layer) if name.endswith(writes) else 0.02

    return initial


def scales_everything(name, n_layer):
    return 0.02 / math.sqrt(2 * n_layer) if is_drawn(name) else 0.0


def draws_biases(name, n_layer):
    if "norm" in name:
        return 0.0
    return 0.02 / math.sqrt(2 * n_layer) if "attention.out" in name or "mlp.down" in name else 0.02


def draws_norms(name, n_layer):
    if name.endswith("bias"):
        return 0.0
    return 0.02 / math.sqrt(2 * n_layer) if "attention.out" in name or "mlp.down" in name else 0.02


def knows_twelve_layers_only(name, n_layer):
    return std_of(lambda layers: 0.02 / math.sqrt(24))(name, n_layer)


# --- tied_gradient


def head_share(vectors, logit_gradients):
    return logit_gradients.T @ vectors


def table_share(ids, embedding_gradients, rows):
    return torch.zeros(rows, embedding_gradients.size(1)).index_add_(0, ids, embedding_gradients)


def only_the_head(ids, embedding_gradients, vectors, logit_gradients):
    return head_share(vectors, logit_gradients)


def only_the_table(ids, embedding_gradients, vectors, logit_gradients):
    return table_share(ids, embedding_gradients, logit_gradients.size(1))


def loses_repeats(ids, embedding_gradients, vectors, logit_gradients):
    table = torch.zeros(logit_gradients.size(1), vectors.size(1))
    for place, id in enumerate(ids.tolist()):
        table[id] = embedding_gradients[place]
    return table + head_share(vectors, logit_gradients)


def averages(ids, embedding_gradients, vectors, logit_gradients):
    table = table_share(ids, embedding_gradients, logit_gradients.size(1))
    return (table + head_share(vectors, logit_gradients)) / 2


def subtracts(ids, embedding_gradients, vectors, logit_gradients):
    return head_share(vectors, logit_gradients) - table_share(ids, embedding_gradients, logit_gradients.size(1))


def overwrites(ids, embedding_gradients, vectors, logit_gradients):
    gradient = head_share(vectors, logit_gradients)
    gradient[ids] = table_share(ids, embedding_gradients, logit_gradients.size(1))[ids]
    return gradient


def on_its_side(ids, embedding_gradients, vectors, logit_gradients):
    table = table_share(ids, embedding_gradients, logit_gradients.size(1))
    return (table + head_share(vectors, logit_gradients)).T


# --- split_c_attn


def pieces(matrix, n_head):
    return [third.unflatten(-1, (n_head, -1)).transpose(0, 1) for third in matrix.chunk(3, dim=-1)]


def swaps_queries_and_keys(matrix, n_head):
    q, k, v = pieces(matrix, n_head)
    return k, q, v


def swaps_keys_and_values(matrix, n_head):
    q, k, v = pieces(matrix, n_head)
    return q, v, k


def heads_before_thirds(matrix, n_head):
    return tuple(matrix.unflatten(-1, (n_head, 3, -1)).permute(2, 1, 0, 3))


def interleaves(matrix, n_head):
    return tuple(third.unflatten(-1, (-1, n_head)).permute(2, 0, 1) for third in matrix.chunk(3, dim=-1))


def transposes(matrix, n_head):
    return tuple(third.T.unflatten(-1, (n_head, -1)).transpose(0, 1) for third in matrix.chunk(3, dim=-1))


def reshapes(matrix, n_head):
    width = matrix.size(0)
    return tuple(third.reshape(n_head, width, width // n_head) for third in matrix.chunk(3, dim=-1))


def leaves_channels_first(matrix, n_head):
    return tuple(third.unflatten(-1, (n_head, -1)) for third in matrix.chunk(3, dim=-1))


def forgets_the_values(matrix, n_head):
    return tuple(pieces(matrix, n_head)[:2])


# --- hub_name

INNER = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}

OUTER = {"token_embedding": "wte", "position.table": "wpe", "final_norm": "ln_f"}


def translated(name, prefix="transformer.", head_prefix="", inner=INNER, outer=OUTER):
    part, _, kind = name.rpartition(".")
    if part == "lm_head":
        return f"{head_prefix}lm_head.{kind}"
    if part in outer:
        return f"{prefix}{outer[part]}.{kind}"
    _, number, part = part.split(".", 2)
    return f"{prefix}h.{number}.{inner[part]}.{kind}"


def does_nothing(name):
    return name


def forgets_the_prefix(name):
    return translated(name, prefix="")


def prefixes_the_head(name):
    return translated(name, head_prefix="transformer.")


def swaps_the_norms(name):
    return translated(name, inner=INNER | {"attention_norm": "ln_2", "mlp_norm": "ln_1"})


def always_block_three(name):
    return "transformer.h.3." + translated(name).split(".", 3)[-1] if name.startswith("blocks") else translated(name)


def always_weight(name):
    return translated(name).rpartition(".")[0] + ".weight"


def swaps_fc_and_proj(name):
    return translated(name, inner=INNER | {"mlp.down": "mlp.c_fc"})


def position_like_gpt2s(name, n_layer):
    if name == "position.table.weight":
        return 0.01
    part, _, kind = name.rpartition(".")
    if kind == "bias" or part.endswith("norm"):
        return 0.0
    return 0.02 / (2 * n_layer) ** 0.5 if part.endswith(("attention.out", "mlp.down")) else 0.02


def tied_by_autograd(ids, embedding_gradients, vectors, logit_gradients):
    matrix = torch.zeros(logit_gradients.size(1), vectors.size(1), requires_grad=True)
    whole = (matrix[ids] * embedding_gradients).sum() + (vectors @ matrix.T * logit_gradients).sum()
    return torch.autograd.grad(whole, matrix)[0]


WRONG = {
    "largest_vocabulary": [
        Wrong(spends_nothing_else, says="want their share of the budget too"),
        Wrong(vocabulary_after(places=False), says="the table of places is missing"),
        Wrong(vocabulary_after(last_norm=False), says="the last norm is missing"),
        Wrong(vocabulary_after(biases=False), says="12C² + 13C"),
        Wrong(vocabulary_after(layers=False), says="the blocks are counted once"),
        Wrong(rounds_up, says="rounded up"),
        Wrong(does_not_round, says="round down"),
        Wrong(always_ties, says="one more token costs two rows"),
        Wrong(never_ties, says="costs one row, not two"),
        Wrong(gives_a_float, says="should be an integer"),
    ],
    "initial_std": [
        Wrong(std_of(lambda n_layer: 0.02), says="divide by √(2L)"),
        Wrong(std_of(lambda n_layer: 0.02 / math.sqrt(n_layer)), says="there are 2L writes under the root"),
        Wrong(std_of(lambda n_layer: 0.02 / (2 * n_layer)), says="the root is missing"),
        Wrong(std_of(lambda n_layer: 0.02 * math.sqrt(2 * n_layer)), says="must become smaller"),
        Wrong(std_of(lambda n_layer: 0.02**2 / (2 * n_layer)), says="this is the variance"),
        Wrong(
            std_of(lambda n_layer: 0.02 / math.sqrt(2 * n_layer), writes=("attention.out.weight",)),
            says="the MLP writes into the stream too",
        ),
        Wrong(scales_everything, says="does not write into the stream"),
        Wrong(draws_biases, says="is a bias: it starts at 0"),
        Wrong(draws_norms, says="belongs to a norm"),
        Wrong(knows_twelve_layers_only, says="with 2 blocks there are 4 writes"),
        Wrong(position_like_gpt2s, says="the table of positions"),
    ],
    "tied_gradient": [
        Wrong(only_the_head, says="this is the head's share alone"),
        Wrong(only_the_table, says="this is the table's share alone"),
        Wrong(loses_repeats, says="token 2 stands at two places"),
        Wrong(averages, says="averaged"),
        Wrong(subtracts, says="subtracted"),
        Wrong(overwrites, says="replaces the rows that were read"),
        Wrong(on_its_side, says="lies on its side"),
        Wrong(tied_by_autograd, says="do without `autograd`"),
    ],
    "split_c_attn": [
        Wrong(swaps_queries_and_keys, says="queries and keys have changed places"),
        Wrong(swaps_keys_and_values, says="keys and values have changed places"),
        Wrong(heads_before_thirds, says="cut into heads first"),
        Wrong(interleaves, says="interleaved"),
        Wrong(transposes, says="each matrix lies on its side"),
        Wrong(reshapes, says="reinterprets the memory"),
        Wrong(leaves_channels_first, says="the heads come first"),
        Wrong(forgets_the_values, says="three tensors are asked for"),
    ],
    "hub_name": [
        Wrong(does_nothing, says="comes back as it was"),
        Wrong(forgets_the_prefix, says="lacks the `transformer.` in front"),
        Wrong(prefixes_the_head, says="the head stands outside"),
        Wrong(swaps_the_norms, says="the two norms have changed places"),
        Wrong(always_block_three, says="loses its block's number"),
        Wrong(always_weight, says="stays as it is"),
        Wrong(swaps_fc_and_proj, says="but there it is `transformer.h.10.mlp.c_proj.bias`"),
    ],
}
