"""So that `python -m minigpt` is the command `minigpt`."""

from minigpt.cli import main

main()
