"""So that `python -m minigpt.cli` is the command `minigpt`."""

from minigpt.cli import main

main()
