"""A model on disk: checkpoints, the log of a run, and the layouts of other programs."""

from minigpt.checkpoint.save_load import Checkpoint, find_checkpoint, load, read_trainer_state, save

__all__ = ["Checkpoint", "find_checkpoint", "load", "read_trainer_state", "save"]
