"""Measure texts as the chapter on sampling does, but more and longer ones; writes `results/sampling.json`.

python -m experiments.sampling
"""

import os
import re

import nbformat

from experiments.common import ROOT, output_of, parser_of, write_record
from minigpt import asset_path
from minigpt.utils.files import sha256_file
from minigpt.utils.machine import environment_info

CHAPTER = ROOT / "chapters" / "08_sampling.ipynb"
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
    parser = parser_of(__doc__)
    parser.add_argument("--texts", type=int, default=16, help="texts for each setting, each with a seed of its own")
    parser.add_argument("--length", type=int, default=240, help="characters of each text")
    arguments = parser.parse_args()
    n_texts, length = (1, 20) if arguments.tiny else (arguments.texts, arguments.length)
    os.environ["MINIGPT_TIER"] = "smoke"
    names = run_chapter(n_texts, length)
    n_real = len(names["samples"]["real text"])
    record = {
        "note": f"{n_texts} texts of {length} characters for each setting, "
        f"{n_real} of real text from {names['corpus'].name}",
        "machine": environment_info(),
        "checkpoint_sha256": sha256_file(asset_path("checkpoints/tiny") / "model.safetensors"),
        "settings": names["SETTINGS"],
        "measured": {name: [round(value, 4) for value in row] for name, row in names["measured"].items()},
    }
    write_record(output_of(arguments, "sampling.json"), record)


if __name__ == "__main__":
    main()
