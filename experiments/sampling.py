"""Measure texts as the chapter on sampling does, but more and longer ones; writes `results/sampling.json`."""

import argparse
import json
import os
import re
from pathlib import Path

import nbformat

from minigpt import asset_path
from minigpt.utils.files import sha256_file
from minigpt.utils.machine import environment_info

ROOT = Path(__file__).parent.parent
CHAPTER = ROOT / "chapters" / "08_sampling.ipynb"
RECORD = ROOT / "results" / "sampling.json"
LAST_CELL = "show(measured)"


def run_chapter(n_seeds: int, length: int) -> dict:
    """Run the chapter's cells up to its measurement with other sizes, and return their names and values."""
    names: dict = {}
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.cell_type != "code" or "%pip" in cell.source:
            continue
        source = re.sub(r"^N_SEEDS = .*$", f"N_SEEDS = {n_seeds}", cell.source, flags=re.MULTILINE)
        source = re.sub(r"^LENGTH = .*$", f"LENGTH = {length}", source, flags=re.MULTILINE)
        exec(compile(source, CHAPTER.name, "exec"), names)
        if LAST_CELL in source:
            return names
    raise SystemExit(f"{CHAPTER.name} has no cell with `{LAST_CELL}` any more; name its last measuring cell here.")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=16, help="texts for each setting")
    parser.add_argument("--length", type=int, default=240, help="characters of each text")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    os.environ["MINIGPT_TIER"] = "smoke"
    names = run_chapter(arguments.seeds, arguments.length)
    n_real = len(names["samples"]["real text"])
    record = {
        "note": f"{arguments.seeds} texts of {arguments.length} characters for each setting, "
        f"{n_real} of real text from {names['corpus'].name}",
        "machine": environment_info(),
        "checkpoint_sha256": sha256_file(asset_path("checkpoints/tiny") / "model.safetensors"),
        "settings": names["SETTINGS"],
        "measured": {name: [round(value, 4) for value in row] for name, row in names["measured"].items()},
    }
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
