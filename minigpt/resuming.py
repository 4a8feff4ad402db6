"""Everything beside the weights that a run's next steps depend on: taken out of a trainer, and put back into one."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigpt.train import Trainer

COUNTED = ("step", "seconds", "first_loss", "best_loss", "waited")


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """Return the settings, the optimizer's averages, what was counted, and the state of everything random."""
    return {
        "training": trainer.config.to_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "generator": trainer.generator.get_state(),
        "random_state": trainer.random_state,
        **{name: getattr(trainer, name) for name in COUNTED},
    }


def put_back(state: dict[str, Any], trainer: "Trainer") -> None:
    """Set a new trainer to a state that `state_of` returned; its settings were given to it when it was made."""
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.generator.set_state(state["generator"])
    trainer.random_state = state["random_state"]
    for name in COUNTED:
        setattr(trainer, name, state.get(name, getattr(trainer, name)))
    trainer.saved_step = trainer.step
    trainer.fresh = False
