"""Build the package as others get it, install it alone, and try it where there is no repository.

    python -m scripts.check_wheel
    python -m scripts.check_wheel -q tests/model/test_model.py

The source distribution is built first, and the wheel from what it holds, so that neither can lean on a file that only
the repository has. The wheel is installed into an environment that has the packages of this one, but not the
repository. There, `minigpt selftest` and the tests run, with the arguments that are given here.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
QUICK = ["-q", "-p", "no:cacheprovider", "-m", "not slow and not browser"]


def build(place: Path) -> tuple[Path, Path]:
    """Build both distributions with the backend that is installed; return the unpacked sources, and the wheel."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", place, folder=ROOT)
    [packed] = place.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(place, filter="data")
    sources = place / packed.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place, folder=sources)
    [wheel] = place.glob("*.whl")
    return sources, wheel


def install_alone(wheel: Path, environment: Path) -> Path:
    """Install a wheel into a new environment that sees the packages of this one; return its Python.

    The packages are named in a .pth file, and those that are named so bring no .pth files of their own along: a
    repository that is installed here, to be edited, is not seen there.
    """
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    [site] = environment.rglob("site-packages")
    here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "packages_of_the_other_environment.pth").write_text("\n".join(here) + "\n", encoding="utf-8")
    found = run(python, "-c", "import minigpt; print(minigpt.__file__)", folder=environment, quiet=True)
    if Path(found.strip()).parent.parent != site:
        sys.exit(f"{python} imports minigpt from {found.strip()} rather than from the wheel.")
    return python


def lay_out_tests(sources: Path, folder: Path) -> None:
    """Copy the tests and their settings, but not the package, into a folder of their own."""
    shutil.copytree(sources / "tests", folder / "tests")
    shutil.copy(sources / "pyproject.toml", folder)


def run(*command: object, folder: Path | None = None, quiet: bool = False) -> str:
    """Run a command that knows nothing of the repository; return what it printed, if that is not shown.

    Raises:
        CalledProcessError: it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, check=True, stdout=output, text=True)
    return done.stdout or ""


def main() -> None:
    """Build, install and try, in a folder that is removed afterwards."""
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        sources, wheel = build(place / "dist")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        python = install_alone(wheel, place / "environment")
        (place / "elsewhere").mkdir()
        lay_out_tests(sources, place / "elsewhere")
        try:
            run(python, "-m", "minigpt", "selftest", folder=place / "elsewhere")
            run(python, "-m", "pytest", *(sys.argv[1:] or QUICK), folder=place / "elsewhere")
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)


if __name__ == "__main__":
    main()
