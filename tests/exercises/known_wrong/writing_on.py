"""Wrong answers to the exercise on writing with a cache."""

import torch

from known_wrong import Wrong


def likeliest(logits):
    return logits[0, -1].argmax().item()


def reads_everything_again(model, ids, n):
    text = list(ids)
    for _ in range(n):
        text.append(likeliest(model(torch.tensor([text]))))
    return text[len(ids) :]


def reads_everything_on_top_of_the_cache(model, ids, n):
    text, cache = list(ids), model.make_kv_cache(max_seq_len=100)
    model.config = model.config.replace(block_size=100)
    model.position.cosine, model.position.sine = (
        torch.cat((table,) * 7) for table in (model.position.cosine, model.position.sine)
    )
    for _ in range(n):
        text.append(likeliest(model(torch.tensor([text]), cache)))
    return text[len(ids) :]


def runs_over_the_edge(model, ids, n):
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


WRONG = {
    "write_on": [
        Wrong(reads_everything_again, says="without a cache"),
        Wrong(reads_everything_on_top_of_the_cache, says="only what is new"),
        Wrong(runs_over_the_edge, says="block_size"),
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
