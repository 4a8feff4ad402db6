"""Which of several processes this is; read from what `torchrun` sets, without PyTorch, so that it is known at once."""

import os


def is_first_process() -> bool:
    """Return whether this process speaks for all: the only one, or the one of rank 0."""
    return os.environ.get("RANK", "0") == "0"
