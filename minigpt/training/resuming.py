"""Everything beside the weights that a run's next steps depend on: taken out of a trainer, put back, or lost."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from minigpt.config import TrainConfig, require
from minigpt.errors import UserError

if TYPE_CHECKING:
    from minigpt.training.trainer import Trainer

COUNTED = ("step", "seconds", "first_loss", "best_loss", "waited")
NEEDED = ("training", "optimizer", "scaler", "generator", "random_states", "step")


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """Return the settings, the optimizer's averages, what was counted, and the state of everything random.

    All processes of a run have to ask together; dropout draws at random in each of them.
    """
    return {
        "training": trainer.config.to_dict(),
        "optimizer": trainer.parallel.whole_state(trainer.optimizer),
        "scaler": trainer.precision.scaler.state_dict(),
        "generator": trainer.generator.get_state(),
        "random_states": trainer.parallel.gather(trainer.random_state),
        **{name: getattr(trainer, name) for name in COUNTED},
    }


def settings_of(state: dict[str, Any], checkpoint: Path) -> TrainConfig:
    """Return the settings of the training that a state belongs to.

    Raises:
        UserError: the state is not one that `state_of` returned.
    """
    path = checkpoint / "trainer.pt"
    complete = isinstance(state, dict) and all(name in state for name in NEEDED)
    require(complete, f"{path} lacks what a run needs to go on; go back to an earlier checkpoint.")
    return TrainConfig.from_dict(state["training"], str(path))


def put_back(state: dict[str, Any], trainer: "Trainer", checkpoint: Path) -> None:
    """Set a new trainer to a state that `state_of` returned; its settings were given to it when it was made.

    A process that had no part in the run before keeps the random state that it was made with.

    Raises:
        UserError: the state is another model's.
    """
    try:
        trainer.parallel.load_state(trainer.optimizer, state["optimizer"])
        if state["scaler"]:
            trainer.precision.scaler.load_state_dict(state["scaler"])
        trainer.generator.set_state(state["generator"])
        if trainer.parallel.rank < len(state["random_states"]):
            trainer.random_state = state["random_states"][trainer.parallel.rank]
        require_shapes(trainer.optimizer)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        raise UserError(
            f"{checkpoint / 'trainer.pt'} is not the state of the training of the model beside it; copy the whole "
            "folder again, or go back to an earlier checkpoint."
        ) from None
    for name in COUNTED:
        setattr(trainer, name, state.get(name, getattr(trainer, name)))
    trainer.saved_step = trainer.step
    trainer.fresh = False


def require_shapes(optimizer: torch.optim.Optimizer) -> None:
    """Raise `ValueError` unless the optimizer's averages have the shapes of what they are averages for."""
    for parameter, averages in optimizer.state.items():
        for average in averages.values():
            if isinstance(average, torch.Tensor) and average.dim() > 0 and average.shape != parameter.shape:
                raise ValueError("another model's")


def way_out(trainer: "Trainer") -> str:
    """Return what is left of a run whose loss is ruined, and what to change."""
    settings, folder = trainer.config, trainer.folder
    remedy = f"with a lower learning_rate than {settings.learning_rate:g} or clip_norm than {settings.clip_norm:g}"
    if folder and trainer.step > trainer.saved_step:  # the steps taken from there were sound
        return f"the last good checkpoint is {folder.last} (step {trainer.saved_step}), so resume {remedy}"
    if folder and trainer.best_loss < math.inf:
        return f"the last good checkpoint is {folder.best}, so start again {remedy}"
    return f"there is no good checkpoint, so start again {remedy}"
