"""A Sphinx extension: the built book asks no other host for anything, so it reads the same without a network."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx

SCRIPT = "tex-chtml.js"
FONTS = Path("output/chtml/fonts/woff-v2")


def mathjax_folder() -> Path:
    """Return where the installed copy of MathJax keeps its scripts and fonts."""
    return Path(find_spec("mathjax").submodule_search_locations[0]) / "static" / "mathjax" / "es5"


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax, which draws the equations, beside the pages that need it."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        shutil.copytree(mathjax_folder() / FONTS, target / FONTS, dirs_exist_ok=True)
        shutil.copy(mathjax_folder() / SCRIPT, target / SCRIPT)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.setup_extension("sphinx.ext.mathjax")
    app.config.mathjax_path = f"mathjax/{SCRIPT}"
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
