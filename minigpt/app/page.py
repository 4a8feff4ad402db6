"""The page itself: Gradio's components, and which of them does what. Needs the package `gradio`."""

import html
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigpt.app.jobs import run_request
from minigpt.app.middleware import RequestFilter
from minigpt.app.models import ModelRegistry
from minigpt.app.rendering import render_samples, render_status
from minigpt.app.requests import LARGEST_SEED, Limits, read_prompt, read_request
from minigpt.notebook.tokens import TokenView
from minigpt.utils.errors import UserError

try:
    import gradio as gr
    from starlette.middleware import Middleware
except ModuleNotFoundError as error:
    raise UserError(f"The app needs Gradio ({error.name} is not installed); run pip install gradio.") from None


TITLE = "minigpt"


BOOK = "https://minigpt-book.github.io/minigpt"


ABOUT = f"""# {TITLE}

Small language models that [a book]({BOOK}) trains from nothing. Give one of them a beginning, and it writes on.
They imitate how their texts look, and know nothing of the world: what they say is made up.
"""


EMPTY = "What the model writes appears here."


EXAMPLES = [  # model, prompt, temperature, top-k
    ["tiny", "ROMEO:", 0.8, 50],
    ["tiny", "To be, or not to b", 0.5, 20],
    ["medium", "JULIET:", 1.5, 100],
    ["medium", "def ", 0.5, 20],
    ["medium", "Return the ", 0.8, 50],
    ["plays-bpe", "Enter the King", 0.8, 50],
]


QUEUE = 100  # visitors who wait; whoever comes after them is told to come back


MAX_KEPT = 200  # the end of the slider for top-k


CONCURRENCY = 2  # requests that are written at the same time


COLORS = {  # so that everyone can read them
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_800",
}


STYLE = "#written { min-height: 8em; padding: 1em; border: 1px solid var(--border-color-primary); border-radius: 4px }"


FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # the reader's own


def build(models: ModelRegistry, limits: Limits | None = None) -> gr.Blocks:
    """Return the page on which these models write, not yet served."""
    limits = limits or Limits()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # for what no argument reaches

    def answer(model: Any, prompt: Any, *settings: Any) -> Iterator[tuple[str, str]]:
        *others, seed, fresh = settings
        with _show_user_errors():
            request = read_request(limits, prompt, *others, seed=None if fresh else seed)  # type: ignore[misc]
            for progress in run_request(*models.get(model), request, limits.seconds):
                yield render_samples(request.prompt, progress.texts, request.seeds), render_status(progress.status)

    def look(model: Any, prompt: Any) -> tuple[Any, Any]:
        facts = view = gr.skip()
        try:
            facts = render_status(models.facts(model))
            view = TokenView(models.get(model).tokenizer, read_prompt(prompt, limits.prompt))._repr_html_()
        except UserError as error:
            view = render_status(str(error))
        return facts, view

    first, n_most = models.names[0], limits.max_new_tokens
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(ABOUT)
        with gr.Row(equal_height=False):
            with gr.Column():
                model = gr.Radio(models.names, value=first, label="Model")
                facts = gr.HTML(js_on_load=None, elem_id="facts")
                prompt = gr.Textbox(
                    models.default_prompt(first), label="Prompt", lines=3, max_lines=8, max_length=limits.prompt
                )
                with gr.Row():
                    go = gr.Button("Write", variant="primary", elem_id="write")
                    stop = gr.Button("Stop", elem_id="stop")
            with gr.Column():
                written = gr.HTML(render_status(EMPTY), js_on_load=None, elem_id="written")
                status = gr.HTML(js_on_load=None, elem_id="status")
        with gr.Row(equal_height=False):
            with gr.Accordion("Settings"):
                temperature = gr.Slider(0, limits.temperature, 0.8, step=0.05, label="Temperature")
                top_k = gr.Slider(0, MAX_KEPT, 0, step=1, label="Top-k", info="0 keeps every token")
                top_p = gr.Slider(0.05, 1, 1, step=0.05, label="Top-p")
                length = gr.Slider(1, n_most, min(200, n_most), step=1, label="Length, in tokens")
                samples = gr.Slider(1, limits.samples, 1, step=1, label="Samples")
                with gr.Row():
                    seed = gr.Number(1, label="Seed", precision=0, minimum=0, maximum=LARGEST_SEED, min_width=120)
                    fresh = gr.Checkbox(True, label="A new seed each time", min_width=120)
            with gr.Accordion("What the tokenizer makes of the prompt"):
                tokens = gr.HTML(js_on_load=None, elem_id="tokens")
        known = [row for row in EXAMPLES if row[0] in models.names]
        gr.Examples(known, [model, prompt, temperature, top_k], cache_examples=False)

        settings = [temperature, top_k, top_p, length, samples, seed, fresh]
        asked = {"fn": answer, "inputs": [model, prompt, *settings], "outputs": [written, status], "preprocess": False}
        asked |= {"concurrency_limit": CONCURRENCY, "concurrency_id": "write", "show_progress_on": status}
        writing = gr.on([go.click, prompt.submit], **asked, api_name="write", api_visibility="undocumented")
        stop.click(None, cancels=[writing], api_visibility="private")
        looked = {"fn": look, "inputs": [model, prompt], "outputs": [facts, tokens], "preprocess": False}
        looked |= {"trigger_mode": "always_last", "show_progress": "hidden"}
        gr.on([page.load, model.change, prompt.change], **looked, api_name="tokens", api_visibility="undocumented")
    return page.queue(max_size=QUEUE, api_open=False)


@contextmanager
def _show_user_errors() -> Iterator[None]:
    """Show what a `UserError` in the block says on the page, as text."""
    try:
        yield
    except UserError as error:
        raise gr.Error(html.escape(str(error)), print_exception=False) from None


def start(page: gr.Blocks, host: str | None = None, port: int | None = None) -> None:
    """Serve a page, and return at once; without a host and a port, they are Gradio's or the Space's.

    Nothing is shared, nobody is told, and no file passes in either direction.

    Raises:
        UserError: the port is taken.
    """
    try:
        page.launch(
            server_name=host,
            server_port=port,
            app_kwargs={"middleware": [Middleware(RequestFilter)]},
            theme=gr.themes.Base(primary_hue="teal", neutral_hue="stone", **FONTS).set(**COLORS),
            css=STYLE,
            footer_links=[],
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            state_session_capacity=1000,
        )
    except OSError:
        raise UserError(f"Port {port} of {host} cannot be served at; choose another one with --port.") from None
