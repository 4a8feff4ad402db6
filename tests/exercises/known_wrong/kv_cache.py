"""Wrong answers to the exercises on the KV cache."""

import math

import torch

from known_wrong import Wrong

# --- store_keys


def written(store, start, new):
    store[:, :, start : start + new.size(-2)] = new
    return start + new.size(-2)


def grows_by_one(store, length, new):
    end = written(store, length, new)
    return store[:, :, :end], length + 1


def does_not_grow(store, length, new):
    end = written(store, length, new)
    return store[:, :, :end], length


def returns_the_whole_store(store, length, new):
    end = written(store, length, new)
    return store, end


def returns_only_the_new(store, length, new):
    end = written(store, length, new)
    return new, end


def returns_only_the_keys(store, length, new):
    return store[:, :, : written(store, length, new)]


def writes_to_the_front(store, length, new):
    written(store, 0, new)
    end = length + new.size(-2)
    return store[:, :, :end], end


def never_writes(store, length, new):
    end = length + new.size(-2)
    return store[:, :, :end], end


def joins_without_storing(store, length, new):
    keys = torch.cat((store[:, :, :length], new), dim=-2)
    return keys, keys.size(-2)


def puts_new_before_old(store, length, new):
    keys = torch.cat((new, store[:, :, :length]), dim=-2)
    store[:, :, : keys.size(-2)] = keys
    return keys, keys.size(-2)


def fills_to_the_end(store, length, new):
    end = written(store, length, new)
    store[:, :, end:] = 0
    return store[:, :, :end], end


# --- cache_bytes


def forgets_the_values(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return n_layer * n_kv_head * head_dim * length * batch_size * bytes_each


def keeps_queries_too(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return 3 * n_layer * n_kv_head * head_dim * length * batch_size * bytes_each


def one_head(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return 2 * n_layer * head_dim * length * batch_size * bytes_each


def one_layer(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return 2 * n_kv_head * head_dim * length * batch_size * bytes_each


def one_text(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return 2 * n_layer * n_kv_head * head_dim * length * bytes_each


def one_token(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return 2 * n_layer * n_kv_head * head_dim * batch_size * bytes_each


def numbers_only(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return 2 * n_layer * n_kv_head * head_dim * length * batch_size


def squares_of_weights(n_layer, n_kv_head, head_dim, length, batch_size, bytes_each):
    return n_layer * n_kv_head * length * length * batch_size * bytes_each


# --- may_see


def places(start, n_new):
    return torch.arange(start + n_new), torch.arange(n_new).unsqueeze(1)


def square_of_the_chunk(start, n_new):
    return torch.ones(n_new, n_new, dtype=torch.bool).tril()


def square_of_everything(start, n_new):
    return torch.ones(start + n_new, start + n_new, dtype=torch.bool).tril()


def numbers_for_truth(start, n_new):
    keys, rows = places(start, n_new)
    return (keys <= start + rows).float()


def says_what_is_hidden(start, n_new):
    keys, rows = places(start, n_new)
    return keys > start + rows


def begins_in_the_corner(start, n_new):
    return torch.ones(n_new, start + n_new, dtype=torch.bool).tril()


def hides_itself(start, n_new):
    return torch.ones(n_new, start + n_new, dtype=torch.bool).tril(start - 1)


def sees_everything(start, n_new):
    return torch.ones(n_new, start + n_new, dtype=torch.bool)


def sees_one_ahead(start, n_new):
    return torch.ones(n_new, start + n_new, dtype=torch.bool).tril(start + 1)


def sees_the_chunk_only(start, n_new):
    keys, rows = places(start, n_new)
    return (keys <= start + rows) & (keys >= start)


def sees_the_cache_only(start, n_new):
    return (torch.arange(start + n_new) < start).expand(n_new, -1)


# --- grouped_attention


def attended(q, k, v, scale=None, masked=True):
    scores = q @ k.mT * (scale or 1 / math.sqrt(q.size(-1)))
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return (scores.masked_fill(future, -math.inf) if masked else scores).softmax(dim=-1) @ v


def repeated(q, k):
    return k.repeat_interleave(q.size(0) // k.size(0), dim=0)


def tiled(q, k):
    return k.repeat(q.size(0) // k.size(0), 1, 1)


def deals_out_in_turns(q, k, v):
    return attended(q, tiled(q, k), tiled(q, v))


def values_in_turns(q, k, v):
    return attended(q, repeated(q, k), tiled(q, v))


def keys_in_turns(q, k, v):
    return attended(q, tiled(q, k), repeated(q, v))


def first_head_only(q, k, v):
    return attended(q, k[:1], v[:1])


def sees_the_future(q, k, v):
    return attended(q, repeated(q, k), repeated(q, v), masked=False)


def without_scale(q, k, v):
    return attended(q, repeated(q, k), repeated(q, v), scale=1.0)


def averages_the_queries(q, k, v):
    mean = q.unflatten(0, (k.size(0), -1)).mean(dim=1)
    return repeated(q, attended(mean, k, v))


def always_two_groups(q, k, v):
    keys, values = (torch.cat((x[:1].expand(3, -1, -1), x[-1:].expand(3, -1, -1))) for x in (k, v))
    return attended(q, keys, values)


def likeliest(logits):
    return logits[0, -1].argmax().item()


def reads_everything_again(model, ids, n):
    text = list(ids)
    for _ in range(n):
        text.append(likeliest(model(torch.tensor([text]))))
    return text[len(ids) :]


def reads_everything_on_top_of_the_cache(model, ids, n):
    text, cache = list(ids), model.make_kv_cache()
    for _ in range(n):
        text.append(likeliest(model(torch.tensor([text]), cache)))
    return text[len(ids) :]


def loop(model, ids, n, first=None, pick=likeliest):
    cache, new = model.make_kv_cache(), []
    logits = model(torch.tensor([first or ids]), cache)
    for _ in range(n - 1):
        new.append(pick(logits))
        logits = model(torch.tensor([new[-1:]]), cache)
    return [*new, pick(logits)]


def last_of_the_prompt_only(model, ids, n):
    return loop(model, ids, n, first=ids[-1:])


def takes_the_first_logits(model, ids, n):
    return loop(model, ids, n, pick=lambda logits: logits[0, 0].argmax().item())


def takes_the_least_likely(model, ids, n):
    return loop(model, ids, n, pick=lambda logits: logits[0, -1].argmin().item())


def returns_the_prompt_too(model, ids, n):
    return [*ids, *loop(model, ids, n)]


def one_too_many(model, ids, n):
    return loop(model, ids, n + 1)


def one_too_few(model, ids, n):
    return loop(model, ids, n - 1)


def prompt_without_the_cache(model, ids, n):
    cache, new = model.make_kv_cache(), []
    logits = model(torch.tensor([ids]))
    for _ in range(n - 1):
        new.append(likeliest(logits))
        logits = model(torch.tensor([new[-1:]]), cache)
    return [*new, likeliest(logits)]


def reads_the_last_one_too(model, ids, n):
    cache, new = model.make_kv_cache(), []
    logits = model(torch.tensor([ids]), cache)
    for _ in range(n):
        new.append(likeliest(logits))
        logits = model(torch.tensor([new[-1:]]), cache)
    return new


def never_reads_what_it_chose(model, ids, n):
    logits = model(torch.tensor([ids]), model.make_kv_cache())
    return [likeliest(logits)] * n


def answers_without_the_model(model, ids, n):
    return [ids[-1]] * n


def a_fresh_cache_each_time(model, ids, n):
    new = []
    logits = model(torch.tensor([ids]), model.make_kv_cache())
    for _ in range(n - 1):
        new.append(likeliest(logits))
        logits = model(torch.tensor([new[-1:]]), model.make_kv_cache())
    return [*new, likeliest(logits)]


def number_first(store, length, new):
    store[:, :, length : length + new.size(-2)] = new
    return length + new.size(-2), store[:, :, : length + new.size(-2)]


WRONG = {
    "store_keys": [
        Wrong(grows_by_one, says="the length grew by 1"),
        Wrong(does_not_grow, says="still the old one"),
        Wrong(returns_the_whole_store, says="the whole store is returned"),
        Wrong(returns_only_the_new, says="only the new keys are returned"),
        Wrong(returns_only_the_keys, says="return two things"),
        Wrong(writes_to_the_front, says="at the beginning of the store"),
        Wrong(never_writes, says="were not written"),
        Wrong(joins_without_storing, says="the store does not hold the new keys"),
        Wrong(puts_new_before_old, says="in front of the old ones"),
        Wrong(fills_to_the_end, says="behind the new keys"),
        Wrong(number_first, says="the two are swapped"),
    ],
    "cache_bytes": [
        Wrong(forgets_the_values, says="a factor of 2"),
        Wrong(keeps_queries_too, says="queries are not kept"),
        Wrong(one_head, says="one head is counted"),
        Wrong(one_layer, says="one layer is counted"),
        Wrong(one_text, says="one text is counted"),
        Wrong(one_token, says="one token is counted"),
        Wrong(numbers_only, says="numbers, not bytes"),
        Wrong(squares_of_weights, says="square of weights"),
    ],
    "may_see": [
        Wrong(square_of_the_chunk, says="the columns are only the new tokens"),
        Wrong(square_of_everything, says="rows for the tokens in the cache"),
        Wrong(numbers_for_truth, says="True and False"),
        Wrong(says_what_is_hidden, says="this says what is hidden"),
        Wrong(begins_in_the_corner, says="upper left corner"),
        Wrong(hides_itself, says="see itself as well"),
        Wrong(sees_everything, says="everything may be seen"),
        Wrong(sees_one_ahead, says="one place ahead"),
        Wrong(sees_the_chunk_only, says="only the chunk itself"),
        Wrong(sees_the_cache_only, says="only the cache may be seen"),
    ],
    "grouped_attention": [
        Wrong(deals_out_in_turns, says="dealt out in turns"),
        Wrong(values_in_turns, says="the values are in another order"),
        Wrong(keys_in_turns, says="the keys are in another order"),
        Wrong(first_head_only, says="the first head of keys"),
        Wrong(sees_the_future, says="not masked"),
        Wrong(without_scale, says="the scale is missing"),
        Wrong(averages_the_queries, says="are averaged"),
        Wrong(always_two_groups, says="plain attention"),
    ],
    "write_on": [
        Wrong(reads_everything_again, says="without a cache"),
        Wrong(reads_everything_on_top_of_the_cache, says="only what is new"),
        Wrong(last_of_the_prompt_only, says="only the last token of the prompt"),
        Wrong(takes_the_first_logits, says="the logits at the last place"),
        Wrong(takes_the_least_likely, says="take the logits at the last place"),
        Wrong(returns_the_prompt_too, says="stands in front"),
        Wrong(one_too_many, says="one id too many"),
        Wrong(one_too_few, says="one id too few"),
        Wrong(prompt_without_the_cache, says="only some calls"),
        Wrong(reads_the_last_one_too, says="where 9 are enough"),
        Wrong(never_reads_what_it_chose, says="something was never read"),
        Wrong(answers_without_the_model, says="never called"),
        Wrong(a_fresh_cache_each_time, says="likeliest continuation is"),
    ],
}
