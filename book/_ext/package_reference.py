"""A Sphinx extension: the package's own docstrings as pages of the book.

A page lists names of the package, one a line, in a code block of the language `{package}`:

    ```{package}
    GPT
    minigpt.notebook.plots
    ```

Each becomes an entry: a class with its methods, a function, or a module with all that its docstring speaks for.
Docstrings write code between single backticks, as Markdown does; Sphinx reads reStructuredText.
"""

import inspect
import re
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import ModuleType

from docutils.nodes import Node, reference
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

BLOCK = re.compile(r"^```\{package\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
SPECIAL = re.compile(r"[\\*|]|(?<=\w)_(?!\w)")  # what reStructuredText would take for markup
SETTINGS = {
    "autodoc_default_options": {"member-order": "bysource"},
    "autodoc_inherit_docstrings": False,  # a method of ours is not explained in PyTorch's words
    "autodoc_preserve_defaults": True,
    "autodoc_typehints_format": "short",
    "python_use_unqualified_type_names": True,
    "python_maximum_signature_line_length": 88,
    "napoleon_numpy_docstring": False,
}


def full_name(name: str) -> str:
    """Return where a name is imported from: `minigpt.GPT` for `GPT`."""
    return name if name.startswith("minigpt.") else f"minigpt.{name}"


def find(name: str) -> object:
    """Return what a name stands for: something that the package or one of its modules has, or a module."""
    owner, _, last = full_name(name).rpartition(".")
    module = import_module(owner)
    return getattr(module, last) if hasattr(module, last) else import_module(full_name(name))


def entry(name: str) -> str:
    """Return the directive that documents a name."""
    thing = find(name)
    if isinstance(thing, ModuleType):
        return f".. automodule:: {full_name(name)}\n   :members:\n"
    if inspect.isclass(thing):
        return f".. autoclass:: {full_name(name)}\n   :members:\n"
    if callable(thing):
        return f".. autofunction:: {full_name(name)}\n"
    return f".. autodata:: {full_name(name)}\n   :no-value:\n"


def expand(source: str) -> str:
    """Return a page's source with its lists of names replaced by directives, a table of contents before them."""

    def directives(found: re.Match) -> str:
        names = found[1].split()
        entries = [entry(name) for name in names]
        listed = [name for name in names if not isinstance(find(name), ModuleType)]
        table = "\n".join([".. autosummary::", "   :nosignatures:", "", *(f"   ~{full_name(n)}" for n in listed), ""])
        return "\n".join(["```{eval-rst}", *([table] if listed else []), *entries, "```"])

    return BLOCK.sub(directives, source)


def to_restructured_text(text: str) -> str:
    """Return a docstring with its code between double backticks, and nothing else taken for markup."""
    pieces = CODE.split(text)
    prose = [SPECIAL.sub(r"\\\g<0>", piece) for piece in pieces[::2]]
    code = [f"``{' '.join(piece.split())}``" for piece in pieces[1::2]]
    joined = prose[0]
    for before, (span, after) in enumerate(zip(code, prose[1:], strict=True)):
        glue_left = r"\ " if prose[before][-1:].isalnum() else ""
        glue_right = r"\ " if after[:1].isalnum() else ""
        joined += glue_left + span + glue_right + after
    return joined


def rewrite_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Rewrite a docstring in place, with the help of a configuration's fields at its end.

    What stands before a colon in the first line of a property's docstring would be taken for its type.
    """
    if what == "class" and is_dataclass(thing):
        helped = [f"    {each.name}: {each.metadata['help']}" for each in fields(thing) if "help" in each.metadata]
        lines += ["Args:", *helped, ""] if helped else []
    lines[:] = to_restructured_text("\n".join(lines)).split("\n")
    if what in {"attribute", "data", "property"}:
        lines.insert(0, "\\")  # shows nothing


def skip_foreign(app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object) -> bool | None:
    """Leave out what a class of ours merely takes over from another library."""
    return None if (getattr(thing, "__module__", None) or "minigpt").startswith("minigpt") else True


def link_or_leave(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Node) -> reference | Node | None:
    """Link a type in a signature to its entry where there is one, and leave other libraries' types as they are."""
    if node.get("refdomain") != "py":
        return None
    last = node["reftarget"].rpartition(".")[2]
    entries = {name: found for name, found in env.domains["py"].objects.items() if name.endswith(f".{last}")}
    if not entries:
        return content
    name, found = min(entries.items(), key=lambda item: len(item[0]))
    target = app.builder.get_relative_uri(node.get("refdoc", env.docname), found.docname)
    return reference("", "", content, internal=True, refuri=f"{target}#{found.node_id}", reftitle=name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    for name in ("sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"):
        app.setup_extension(name)
    for name, setting in SETTINGS.items():
        app.config[name] = setting
    app.config.autosummary_generate = False
    app.connect("source-read", lambda app, docname, source: source.__setitem__(0, expand(source[0])))
    app.connect("autodoc-process-docstring", rewrite_docstring, priority=400)  # before sections are read
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("missing-reference", link_or_leave)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
