"""Execute every chapter on one tier, one at a time, and record how long it takes and how much memory it needs."""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from minigpt.utils.machine import environment_info

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "results" / "chapters.json"
PEAK_MEMORY = "from minigpt.utils.machine import peak_memory_mb\nprint(peak_memory_mb())"


def measure(path: Path) -> dict[str, float]:
    """Return the wall time in seconds and the kernel's peak memory in MB of one notebook."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK_MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}}).execute()
        seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 1), "peak_memory_mb": round(float(notebook.cells[-1].outputs[0].text))}


def machine_name(description: dict[str, str | int]) -> str:
    """Return the machine as a header names it: the accelerator, or the processor and its cores."""
    if description["device"] != "cpu":
        return str(description["device"])
    return f"{description['processor']}, {os.cpu_count()} cores"


def save(tier: str, chapter: str, record: dict) -> None:
    """Add one chapter's record to the file, keeping all the others."""
    records = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    records.setdefault(tier, {})[chapter] = record
    records = {name: dict(sorted(chapters.items())) for name, chapters in sorted(records.items())}
    RECORD.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure the named chapters, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", choices=("smoke", "cpu", "gpu"), default="smoke")
    parser.add_argument("chapters", nargs="*", help="such as 04_attention; all of them when none is named")
    arguments = parser.parse_args()
    os.environ["MINIGPT_TIER"] = arguments.tier
    description = environment_info()
    for path in sorted(ROOT.glob("chapters/[0-9]*.ipynb")):
        if arguments.chapters and path.stem not in arguments.chapters:
            continue
        record = measure(path)
        save(arguments.tier, path.stem, record | {"machine": machine_name(description)} | description)
        print(f"{path.stem}: {record['seconds']} s, {record['peak_memory_mb']} MB", flush=True)


if __name__ == "__main__":
    main()
