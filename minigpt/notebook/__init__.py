"""What the book's notebooks show: plots, records, ablations, models, tokens, panels, and whether a run is normal."""

from minigpt.notebook import plots
from minigpt.notebook.ablations import ablation_card, ablation_table, paired_differences
from minigpt.notebook.check_run.check import RunReport, check_run
from minigpt.notebook.check_run.reference import read_reference_band
from minigpt.notebook.download import offer_download
from minigpt.notebook.models import shipped_model, shipped_models
from minigpt.notebook.plots import live_plot
from minigpt.notebook.published import facts
from minigpt.notebook.results import Results, markdown_table, read_record, record_names, results, sources
from minigpt.notebook.sampling_panel import SamplingPanel
from minigpt.notebook.tokens import CopyView, copied_spans, show_tokens

__all__ = [
    "CopyView",
    "Results",
    "RunReport",
    "SamplingPanel",
    "ablation_card",
    "ablation_table",
    "check_run",
    "copied_spans",
    "facts",
    "live_plot",
    "markdown_table",
    "offer_download",
    "paired_differences",
    "plots",
    "read_record",
    "read_reference_band",
    "record_names",
    "results",
    "shipped_model",
    "shipped_models",
    "show_tokens",
    "sources",
]
