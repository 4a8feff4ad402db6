"""A panel of sliders for the settings of a sampler, for notebooks with a live kernel; needs ipywidgets 7 or 8."""

import html
import io
from typing import Any

import torch

from minigpt.generation.generate import generate_stream
from minigpt.generation.sampling import Sampler
from minigpt.model.gpt import GPT
from minigpt.notebook import plots
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.errors import UserError

NOTE = "Run this page in a notebook, and a panel of sliders appears here."


class SamplingPanel:
    """Sliders, the next character's probabilities under their settings, and a button that writes a text with them.

    It is shown as the last value of a notebook cell. A page without a kernel shows `NOTE` in its place.

    Raises:
        UserError: ipywidgets is not installed.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer, prompt: str = "ROMEO:", max_new_tokens: int = 150) -> None:
        try:
            import ipywidgets as widgets
        except ModuleNotFoundError:
            raise UserError("The panel needs ipywidgets; pip install ipywidgets and run the cell again.") from None
        self.model = model
        self.tokenizer = tokenizer
        self.max_new_tokens = max_new_tokens
        n = tokenizer.vocab_size
        wide = {"layout": {"width": "min(100%, 420px)"}, "style": {"description_width": "90px"}}
        settled = {"continuous_update": False, **wide}
        self.prompt = widgets.Textarea(value=prompt, description="prompt", rows=2, **settled)
        real, whole = widgets.FloatSlider, widgets.IntSlider
        self.sliders = {
            "temperature": real(value=0.8, min=0, max=2, step=0.05, description="temperature", **settled),
            "top_k": whole(value=n, min=1, max=n, description="top-k", **settled),
            "top_p": real(value=1, min=0.05, max=1, step=0.05, description="top-p", **settled),
            "min_p": real(value=0, min=0, max=1, step=0.01, description="min-p", **settled),
        }
        self.seed = widgets.IntText(value=1, description="seed", **wide)
        self.button = widgets.Button(description="Write", button_style="primary")
        self.bars = widgets.Image(format="png", layout={"max_width": "100%"})
        self.text = widgets.HTML()
        for control in (self.prompt, *self.sliders.values()):
            control.observe(self.draw, names="value")
        self.button.on_click(self.write)
        controls = [self.prompt, *self.sliders.values(), self.seed, self.button]
        self.box = widgets.VBox([*controls, self.bars, self.text])
        self.draw()

    @property
    def settings(self) -> dict[str, Any]:
        """The sampler's settings as the sliders stand; a filter whose slider stands at its end is left out."""
        off = {"top_k": self.tokenizer.vocab_size, "top_p": 1, "min_p": 0}
        values = {name: slider.value for name, slider in self.sliders.items()}
        return {name: value for name, value in values.items() if value != off.get(name)}

    def draw(self, change: object = None) -> None:
        """Draw the probabilities of the character after the prompt anew."""
        try:
            probabilities = self.probabilities()
        except UserError as error:
            self.say(str(error))
            return
        n_kept = int((probabilities > 0).sum())
        title = f"next character: {n_kept} of {len(probabilities)} can be drawn"
        picture = io.BytesIO()
        labels = [self.tokenizer.decode([id]) for id in range(len(probabilities))]
        plots.token_bars(probabilities, labels, title).savefig(picture, format="png", dpi=110)
        self.bars.value = picture.getvalue()
        self.say("")

    def probabilities(self) -> torch.Tensor:
        """Return the probability of each character to be drawn next, (V,).

        Raises:
            UserError: the prompt is empty or holds an unknown character.
        """
        if not self.prompt.value:
            raise UserError("The prompt is empty; write at least one character.")
        ids = torch.tensor(self.tokenizer.encode(self.prompt.value))  # (T,)
        with torch.inference_mode():
            logits = self.model(ids[None, -self.model.config.block_size :])[0, -1]  # (V,)
        return Sampler(**self.settings).process_logits(logits, ids).softmax(dim=-1)

    def write(self, button: object = None) -> None:
        """Continue the prompt with these settings, showing the text while it grows."""
        text = self.prompt.value
        settings = {"max_new_tokens": self.max_new_tokens, "seed": self.seed.value}
        try:
            sampler = Sampler(**self.settings)
            for piece in generate_stream(self.model, self.tokenizer, text, sampler=sampler, **settings):
                text += piece
                self.say(text)
        except UserError as error:
            self.say(str(error))

    def say(self, text: str) -> None:
        """Show a text under the bars, as it is."""
        self.text.value = f'<pre style="white-space:pre-wrap;line-height:1.4">{html.escape(text)}</pre>' if text else ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/html": f"<p><em>{NOTE}</em></p>",
            "text/plain": NOTE,
        }
