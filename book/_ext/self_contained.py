"""A Sphinx extension: the built book asks no other host for anything, so it reads the same without a network."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

SCRIPT = "tex-chtml.js"
FONTS = Path("output/chtml/fonts/woff-v2")
FACES = ("SourceSerifPro-Regular", "SourceSerifPro-It", "SourceSerifPro-Semibold")


def package_folder(package: str) -> Path:
    """Return where an installed package keeps its files."""
    return Path(find_spec(package).submodule_search_locations[0])


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax, which draws the equations, beside the pages that need it."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        source = package_folder("mathjax") / "static" / "mathjax" / "es5"
        shutil.copytree(source / FONTS, target / FONTS, dirs_exist_ok=True)
        shutil.copy(source / SCRIPT, target / SCRIPT)


def copy_typeface(app: Sphinx, error: Exception | None) -> None:
    """Put the typeface of the book, packed for browsers, beside the style sheet, and its licence with it."""
    if error is None and app.builder.format == "html":
        source, target = package_folder("font_source_serif_pro") / "files", Path(app.outdir) / "_static" / "fonts"
        target.mkdir(exist_ok=True)
        shutil.copy(source / "LICENSE.txt", target / "LICENSE.txt")
        for face in FACES:
            font = TTFont(source / f"{face}.ttf")
            font.flavor = "woff"
            font.save(target / f"{face}.woff")


def drop_far_kernels(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Take out the theme's scripts that would run a cell on another host."""
    context["script_files"] = [
        one for one in context["script_files"] if "thebe" not in f"{one.filename} {one.attributes}".lower()
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.setup_extension("sphinx.ext.mathjax")
    app.config.mathjax_path = f"mathjax/{SCRIPT}"
    app.connect("html-page-context", drop_far_kernels, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", copy_typeface)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
