"""The Space: the page of `minigpt app`, with the shipped models, and with your own if it lies in the folder `model`."""

from pathlib import Path

from minigpt.app.models import ModelRegistry
from minigpt.app.page import build, start

own = Path(__file__).parent / "model"
demo = build(ModelRegistry([own] if own.exists() else []))

if __name__ == "__main__":
    start(demo)
    demo.block_thread()
