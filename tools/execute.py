"""Execute the chapters whose outputs are not in the cache yet, some at a time; the build takes them from there.

Sphinx would execute them too, one after the other. Those that fail here are left to it, since it writes the report.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from cache import CACHE, ROOT
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from stamp import notebook_paths

CELL_TIMEOUT = 1800
QUIETLY = ["--log-level=ERROR"]


def pending(cache: JupyterCacheAbstract) -> dict[Path, nbformat.NotebookNode]:
    """Return the notebooks that the cache does not hold."""
    notebooks = {path: nbformat.read(path, as_version=4) for path in notebook_paths(ROOT)}
    return {path: notebook for path, notebook in notebooks.items() if not is_cached(cache, notebook)}


def is_cached(cache: JupyterCacheAbstract, notebook: nbformat.NotebookNode) -> bool:
    """Return whether the cache holds this notebook with the same code."""
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def execute(notebook: nbformat.NotebookNode) -> ExecutionResult:
    """Run a notebook in a folder of its own; what a cell prints piece by piece becomes one text."""
    with tempfile.TemporaryDirectory() as folder:
        return single_nb_execution(
            notebook, folder, CELL_TIMEOUT, allow_errors=False, coalesce_streams=True, extra_arguments=QUIETLY
        )


def main() -> None:
    """Execute what is pending and say how it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="how many notebooks run at a time")
    workers = parser.parse_args().workers
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    cache = get_cache(CACHE)
    notebooks = pending(cache)
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        runs = {pool.submit(execute, notebook): path for path, notebook in notebooks.items()}
        for number, run in enumerate(as_completed(runs), start=1):
            path, result = runs[run], run.result()
            outcome = "failed after" if result.err else "took"
            print(f"[{number}/{len(runs)}] {path.relative_to(ROOT)} {outcome} {result.time:.0f} s", flush=True)
            if not result.err:
                bundle = CacheBundleIn(result.nb, str(path), data={"execution_seconds": result.time})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    if notebooks:
        print(f"Executed {len(notebooks)} notebooks in {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
