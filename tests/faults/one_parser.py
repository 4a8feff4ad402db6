"""Let atheris make files for one parser, until one of them breaks something.

Nothing of ours is imported before atheris can watch it.

python -m tests.faults.one_parser config.json -runs=10000
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["minigpt", "json"]):
    from tests.faults.parsers import targets


def main() -> None:
    """Begin with a file that is whole; atheris ends the process."""
    name = sys.argv.pop(1)
    with targets() as found, tempfile.TemporaryDirectory() as begun:
        (Path(begun) / "whole").write_bytes(found[name].whole)
        atheris.Setup([*sys.argv, begun], found[name].feed)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
