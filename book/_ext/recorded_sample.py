"""A Sphinx extension: a directive that quotes what a model wrote at one step of a recorded training run."""

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from minigpt import read_run


class RecordedSample(SphinxDirective):
    """Show the sample that the run `results/NAME.jsonl` wrote at a step, under its step and its validation loss."""

    required_arguments = 1
    option_spec: ClassVar = {"step": directives.positive_int, "class": directives.class_option}

    def run(self) -> list[nodes.Node]:
        """Return the sample as a box of text with a heading."""
        path = Path(self.env.srcdir) / "results" / f"{self.arguments[0]}.jsonl"
        self.env.note_dependency(str(path))
        samples = {record.step: record for record in read_run(path).records if record.sample}
        if (step := self.options["step"]) not in samples:
            raise self.error(f"{path.name} has no sample at step {step}; it has {', '.join(map(str, samples))}.")
        heading = nodes.paragraph(classes=["sample-heading"])
        heading += nodes.strong(text=f"After {step:,} steps")
        heading += nodes.Text(f" · loss {samples[step].validation_loss:.2f}")
        text = nodes.literal_block(text=samples[step].sample, language="none", force=True)
        return [nodes.container("", heading, text, classes=["sample", *self.options.get("class", [])])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; Sphinx calls this."""
    app.add_directive("recorded-sample", RecordedSample)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
