"""Execute with nbmake the notebooks whose outputs are not in the cache yet; the book is then built from the cache.

python -m scripts.execute_notebooks --tier smoke

`scripts.notebook_cache` says what the outputs of a notebook depend on. What has not changed is not executed again, so
`make test` after `make book` finds nothing left to do.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract

from scripts.notebook_cache import CACHE, ROOT, refresh
from scripts.stamp import notebook_paths

CELL_TIMEOUT = 1800  # seconds


def pending(cache: JupyterCacheAbstract) -> list[Path]:
    """Return the notebooks that the cache does not hold, the largest first."""
    notebooks = [path for path in notebook_paths(ROOT) if not is_cached(cache, nbformat.read(path, as_version=4))]
    return sorted(notebooks, key=lambda path: path.stat().st_size, reverse=True)


def is_cached(cache: JupyterCacheAbstract, notebook: nbformat.NotebookNode) -> bool:
    """Return whether the cache holds this notebook with the same code."""
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def run_nbmake(notebooks: list[Path], scratch: Path, workers: int) -> bool:
    """Execute copies of the notebooks, each in a folder of its own below `scratch`; return whether all of them ran."""
    copies = []
    for path in notebooks:
        copy = scratch / path.relative_to(ROOT).with_suffix("") / path.name
        copy.parent.mkdir(parents=True)
        shutil.copy(path, copy)
        copies.append(copy)
    nbmake = ["--nbmake", "--overwrite", f"--nbmake-timeout={CELL_TIMEOUT}", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-v", *nbmake, "-n", str(workers), "--dist", "load"]
    return subprocess.run([*command, "--rootdir", scratch, *copies], cwd=scratch).returncode == 0


def keep(cache: JupyterCacheAbstract, path: Path, executed: Path) -> None:
    """Put a notebook that ran to its end into the cache: as it stands in the repository, with the outputs."""
    notebook, ran = (nbformat.read(each, as_version=4) for each in (path, executed))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [cell for cell in ran.cells if cell.cell_type == "code"]
    if not all(cell.execution_count for cell in outputs if cell.source.strip()):
        return
    for cell, done in zip(code, outputs, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    cache.cache_notebook_bundle(CacheBundleIn(notebook, str(path)), check_validity=False, overwrite=True)


def main() -> None:
    """Execute what is pending; the exit status is 1 if a notebook failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tier", default="smoke")
    parser.add_argument("--workers", type=int, default=2, help="how many notebooks run at a time")
    arguments = parser.parse_args()
    os.environ["MINIGPT_TIER"] = arguments.tier
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // arguments.workers)))
    refresh(arguments.tier)
    cache = get_cache(CACHE)
    notebooks = pending(cache)
    if not notebooks:
        print("Every notebook has been executed already.")
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        all_ran = run_nbmake(notebooks, Path(folder), arguments.workers)
        for path in notebooks:
            keep(cache, path, Path(folder) / path.relative_to(ROOT).with_suffix("") / path.name)
    print(f"Executed {len(notebooks)} notebooks in {time.perf_counter() - started:.0f} s.")
    unknown = [path.name for path in pending(cache)]
    if all_ran and unknown:
        sys.exit(f"The cache does not know {unknown}, though they were executed.")
    sys.exit(0 if all_ran else 1)


if __name__ == "__main__":
    main()
