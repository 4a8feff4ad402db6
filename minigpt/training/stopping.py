"""When a training run is over: all steps are taken, the target is reached, patience is spent, or the loss is ruined."""

import math

from minigpt.config import TrainConfig

RUINED = 3.0  # a loss this many times as high as an untrained model's will not come back by itself


def reasons_to_stop(config: TrainConfig, step: int, best_loss: float, waited: int) -> dict[str, str]:
    """Return the settings whose limits a run has reached after this step, each with the end of a sentence that says so.

    `waited` counts the evaluations since the last new lowest validation loss.
    """
    reasons = {}
    if config.target_loss is not None and best_loss <= config.target_loss:
        reasons["target_loss"] = (
            f"the validation loss of {best_loss:.4f} has reached the target of {config.target_loss:g}"
        )
    if config.patience is not None and waited >= config.patience:
        evaluations = f"{waited} evaluation{'s' if waited > 1 else ''}"
        reasons["patience"] = f"{evaluations} in a row brought no lower validation loss than {best_loss:.4f}"
    if step >= config.max_steps:
        reasons["max_steps"] = f"all {config.max_steps:,} steps are taken"
    return reasons


def is_ruined(loss: float, gradient_norm: float, first_loss: float, vocab_size: int) -> bool:
    """Return whether a step's numbers are no numbers, or its loss is far above that of a model that knows nothing.

    Such a model's loss is ln V for a uniform guess, or what it was on the first step if that was higher.
    """
    if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
        return True
    return loss > RUINED * max(first_loss, math.log(vocab_size))
