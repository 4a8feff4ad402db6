"""A Sphinx extension: the playground's scripts beside its page, and the models in the form that these read."""

import json
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from minigpt import checkpoint
from minigpt.checkpoint.web import export_web
from minigpt.utils.files import sha256_file

ROOT = Path(__file__).parents[2]
FOLDER = Path("book", "playground")
RECORD = ROOT / "results" / "rounding.json"
MODELS = ("tiny", "medium")
PRECISION = "int8"
BUILT_IN = ("panel.html", "package.json")  # part of the page already, and for the tests alone


def add_playground(app: Sphinx, error: Exception | None) -> None:
    """Put everything that the playground fetches beside its page."""
    if error is None and app.builder.format == "html":
        write_playground(Path(app.outdir) / FOLDER)


def write_playground(folder: Path) -> None:
    """Write the scripts, the style and the models into a folder, in place of those of an earlier build."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / FOLDER, folder, ignore=shutil.ignore_patterns(*BUILT_IN))
    for name in MODELS:
        source = ROOT / "checkpoints" / name
        model, tokenizer = checkpoint.load(source)
        export_web(model, tokenizer, folder / "models" / name, PRECISION, recorded_rounding(source))


def recorded_rounding(source: Path) -> dict[str, Any] | None:
    """Return what rounding does to a checkpoint's loss, if that was measured of these very weights."""
    record = json.loads(RECORD.read_text("utf-8"))["models"].get(source.name, {})
    same = record.get("sha256") == sha256_file(source / "model.safetensors")
    return record["precisions"].get(PRECISION) if same else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.connect("build-finished", add_playground)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
