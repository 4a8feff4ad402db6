"""Wrong answers to the exercises on stories and plays."""

import math

from known_wrong import Wrong

# --- shortest_window


def window_by(floor, last=10_000):
    def shortest(n_tokens, first_entropy, target):
        return next(T for T in range(1, last) if floor(n_tokens, first_entropy, T) < target)

    return shortest


def one_short(n_tokens, first_entropy, target):
    right = window_by(lambda n, h, T: (math.log(n - T) - h) / T)
    return max(1, right(n_tokens, first_entropy, target) - 1)


def does_not_round(n_tokens, first_entropy, target):
    return (math.log(n_tokens) - first_entropy) / target


def gives_a_float(n_tokens, first_entropy, target):
    return float(math.ceil((math.log(n_tokens) - first_entropy) / target))


# --- copied_share


def found_at(sample, source, n):
    return [start for start in range(len(sample) - n + 1) if sample[start : start + n] in source]


def match_at(sample, source, start):
    return max(k for k in range(len(sample) - start + 1) if sample[start : start + k] in source)


def places_in(sample, source, n):
    return {place for start in found_at(sample, source, n) for place in range(start, start + n)}


def share_of_ngrams(sample, source, n):
    return len(found_at(sample, source, n)) / max(1, len(sample) - n + 1)


def share_of_starts(sample, source, n):
    return len(found_at(sample, source, n)) / len(sample)


def counts_overlaps(sample, source, n):
    lengths = [match_at(sample, source, start) for start in range(len(sample))]
    return sum(length for length in lengths if length >= n) / len(sample)


def counts_ngrams_n_times(sample, source, n):
    return n * len(found_at(sample, source, n)) / len(sample)


def needs_more_than_n(sample, source, n):
    return len(places_in(sample, source, n + 1)) / len(sample)


def only_the_longest(sample, source, n):
    longest = max(match_at(sample, source, start) for start in range(len(sample)))
    return (longest if longest >= n else 0) / len(sample)


def share_of_the_source(sample, source, n):
    return len(places_in(sample, source, n)) / len(source)


def number_of_places(sample, source, n):
    return len(places_in(sample, source, n))


# --- recites


def stretches_of(next_token, ids, n_prompt, length, whole_text=False, append=True, last=0):
    for place in range(len(ids) - n_prompt - length + 1 - last):
        context = list(ids[0 if whole_text else place : place + n_prompt])
        said = []
        for _ in range(length):
            said.append(next_token(context))
            if append:
                context.append(said[-1])
        yield said, list(ids[place + n_prompt : place + n_prompt + length])


def share(judged):
    judged = list(judged)
    return sum(judged) / len(judged)


def share_of_tokens(next_token, ids, n_prompt, length):
    pairs = stretches_of(next_token, ids, n_prompt, length)
    return share(a == b for said, true in pairs for a, b in zip(said, true, strict=True))


def sees_everything_before(next_token, ids, n_prompt, length):
    return share(said == true for said, true in stretches_of(next_token, ids, n_prompt, length, whole_text=True))


def leaves_out_the_last(next_token, ids, n_prompt, length):
    return share(said == true for said, true in stretches_of(next_token, ids, n_prompt, length, last=1))


def divides_by_all(next_token, ids, n_prompt, length):
    return sum(said == true for said, true in stretches_of(next_token, ids, n_prompt, length)) / len(ids)


def forgets_to_append(next_token, ids, n_prompt, length):
    return share(said == true for said, true in stretches_of(next_token, ids, n_prompt, length, append=False))


def one_token_is_enough(next_token, ids, n_prompt, length):
    pairs = stretches_of(next_token, ids, n_prompt, length)
    return share(any(a == b for a, b in zip(said, true, strict=True)) for said, true in pairs)


def counts_places(next_token, ids, n_prompt, length):
    return sum(said == true for said, true in stretches_of(next_token, ids, n_prompt, length))


# --- settled_step


def mean(losses):
    return sum(losses) / len(losses)


def single_loss(losses, target, width):
    return next((step for step, loss in enumerate(losses, 1) if loss < target), 0)


def from_nought(losses, target, width):
    return next((s - 1 for s in range(width, len(losses) + 1) if mean(losses[s - width : s]) < target), 0)


def where_it_begins(losses, target, width):
    return next((s - width for s in range(width, len(losses) + 1) if mean(losses[s - width : s]) < target), 0)


def averages_all(losses, target, width):
    return next((s for s in range(width, len(losses) + 1) if mean(losses[:s]) < target), 0)


def at_most(losses, target, width):
    return next((s for s in range(width, len(losses) + 1) if mean(losses[s - width : s]) <= target + 1e-9), 0)


def all_below(losses, target, width):
    return next((s for s in range(width, len(losses) + 1) if max(losses[s - width : s]) < target), 0)


def does_not_wait(losses, target, width):
    return next((s for s in range(1, len(losses) + 1) if mean(losses[max(0, s - width) : s]) < target), 0)


def gives_the_end(losses, target, width):
    steps = [s for s in range(width, len(losses) + 1) if mean(losses[s - width : s]) < target]
    return steps[0] if steps else len(losses)


# --- one_pass


def passes(tokens_per_step, round_up=True, share=lambda steps, warmup: min(1.0, steps / warmup)):
    def one_pass(tokens, windows, pieces, block_size, warmup_steps):
        per_step = tokens_per_step(windows, pieces, block_size)
        steps = math.ceil(tokens / per_step) if round_up else tokens // per_step
        return steps, share(steps, warmup_steps)

    return one_pass


def whole_step(windows, pieces, block_size):
    return windows * pieces * block_size


def does_not_round_steps(tokens, windows, pieces, block_size, warmup_steps):
    steps = tokens / whole_step(windows, pieces, block_size)
    return steps, min(1.0, steps / warmup_steps)


def only_the_steps(tokens, windows, pieces, block_size, warmup_steps):
    return math.ceil(tokens / whole_step(windows, pieces, block_size))


WRONG = {
    "shortest_window": [
        Wrong(one_short, says="one short"),
        Wrong(window_by(lambda n, h, T: math.log(n - T) / T), says="subtract its entropy"),
        Wrong(window_by(lambda n, h, T: (math.log2(n - T) - h) / T), says="base 2"),
        Wrong(window_by(lambda n, h, T: (math.log(n - T) + h) / T), says="is added"),
        Wrong(does_not_round, says="round up"),
        Wrong(gives_a_float, says="should be an integer"),
    ],
    "copied_share": [
        Wrong(share_of_ngrams, says="share of n-grams"),
        Wrong(share_of_starts, says="where copied stretches begin"),
        Wrong(counts_overlaps, says="more than once"),
        Wrong(counts_ngrams_n_times, says="counts n"),
        Wrong(needs_more_than_n, says="exactly n"),
        Wrong(only_the_longest, says="only the longest"),
        Wrong(share_of_the_source, says="length of the source"),
        Wrong(number_of_places, says="a number of places"),
    ],
    "recites": [
        Wrong(share_of_tokens, says="single tokens"),
        Wrong(sees_everything_before, says="not everything before it"),
        Wrong(leaves_out_the_last, says="the last place"),
        Wrong(divides_by_all, says="only from 7 places"),
        Wrong(forgets_to_append, says="has to be appended"),
        Wrong(one_token_is_enough, says="not enough"),
        Wrong(counts_places, says="divide by how many"),
    ],
    "settled_step": [
        Wrong(single_loss, says="a single lucky loss"),
        Wrong(from_nought, says="counted from 1"),
        Wrong(where_it_begins, says="where the stretch of losses begins"),
        Wrong(averages_all, says="over all losses so far"),
        Wrong(at_most, says="at most"),
        Wrong(all_below, says="all of the last"),
        Wrong(does_not_wait, says="wait for them"),
        Wrong(gives_the_end, says="should give 0"),
    ],
    "one_pass": [
        Wrong(passes(lambda windows, pieces, block_size: windows * block_size), says="make one step together"),
        Wrong(passes(whole_step, round_up=False), says="round up"),
        Wrong(does_not_round_steps, says="steps are whole"),
        Wrong(passes(lambda windows, pieces, block_size: windows * pieces), says="as if they were tokens"),
        Wrong(passes(whole_step, share=lambda steps, warmup: 1 - steps / warmup), says="not how much of it is left"),
        Wrong(passes(whole_step, share=lambda steps, warmup: warmup / steps), says="turned over"),
        Wrong(passes(whole_step, share=lambda steps, warmup: steps / warmup), says="full height"),
        Wrong(only_the_steps, says="two numbers"),
    ],
}
