"""A Sphinx extension: what a cell prints piece by piece stands on the page as one text, not one line for each piece."""

from functools import partial

from jupyter_cache.executors import utils
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    utils.executenb = partial(utils.executenb, coalesce_streams=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
