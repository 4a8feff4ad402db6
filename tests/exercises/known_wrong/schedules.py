"""Wrong learning-rate schedules."""

import math

from known_wrong import Wrong


def half_cosine(progress):
    return 0.5 * (1 + math.cos(math.pi * progress))


def starts_at_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step < warmup_steps:
        return highest * step / warmup_steps
    progress = max(0.0, (step - (max_steps - decay_steps)) / decay_steps)
    return lowest + half_cosine(progress) * (highest - lowest)


def warms_up_one_late(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step <= warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    progress = max(0.0, (step - (max_steps - decay_steps)) / decay_steps)
    return lowest + half_cosine(progress) * (highest - lowest)


def with_fall(fall):
    def schedule(step, max_steps, warmup_steps, decay_steps, highest, lowest):
        if step < warmup_steps:
            return highest * (step + 1) / warmup_steps
        if step < max_steps - decay_steps:
            return highest
        progress = (step - (max_steps - decay_steps)) / decay_steps
        return lowest + fall(progress) * (highest - lowest)

    return schedule


def has_no_plateau(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return lowest + half_cosine(progress) * (highest - lowest)


def counts_progress_from_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    if step < max_steps - decay_steps:
        return highest
    return lowest + half_cosine(step / max_steps) * (highest - lowest)


def ends_at_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return with_fall(half_cosine)(step, max_steps, warmup_steps, decay_steps, highest, 0.0)


def adds_the_lowest(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return lowest + ends_at_zero(step, max_steps, warmup_steps, decay_steps, highest, lowest)


def skips_the_warmup(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return with_fall(half_cosine)(step, max_steps, 0, decay_steps, highest, lowest)


def is_constant(step, max_steps, warmup_steps, decay_steps, highest, lowest):
    return highest


WRONG = {
    "warmup_plateau_cosine": [
        Wrong(starts_at_zero, says="starts at 0"),
        Wrong(warms_up_one_late, says="one step late"),
        Wrong(skips_the_warmup, says="no warmup"),
        Wrong(with_fall(lambda progress: 0.5 * (1 - math.cos(math.pi * progress))), says="the wrong way"),
        Wrong(with_fall(lambda progress: 0.5 * (1 + math.cos(2 * math.pi * progress))), says="a whole cosine"),
        Wrong(with_fall(lambda progress: math.cos(math.pi * progress / 2)), says="a quarter of a cosine"),
        Wrong(with_fall(lambda progress: 1 - progress), says="a straight line"),
        Wrong(has_no_plateau, says="no plateau"),
        Wrong(counts_progress_from_zero, says="counts from step 0"),
        Wrong(ends_at_zero, says="ends at 0"),
        Wrong(adds_the_lowest, says="added on top"),
        Wrong(is_constant, says="the same at every step"),
    ],
}
