"""The panel of sliders: it answers to its controls, and leaves a note where no kernel is live."""

import builtins
import html

import pytest
import torch

from minigpt import GPT, CharTokenizer, GPTConfig, UserError, generate
from minigpt.notebook.sampling_panel import NOTE, SamplingPanel

pytest.importorskip("ipywidgets")


@pytest.fixture
def panel():
    torch.manual_seed(0)
    tokenizer = CharTokenizer("\n :<EMORabc")
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, block_size=8, n_layer=1, n_head=1, n_embd=8)).eval()
    return SamplingPanel(model, tokenizer, max_new_tokens=12)


def test_a_page_without_a_kernel_shows_a_note(panel):
    bundle = panel._repr_mimebundle_()
    assert NOTE in bundle["text/html"]
    assert bundle["text/plain"] == NOTE
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.box.model_id


def test_moving_a_slider_redraws_the_bars(panel):
    before = bytes(panel.bars.value)
    assert before.startswith(b"\x89PNG")
    assert int((panel.probabilities() > 0).sum()) == 11
    panel.sliders["top_k"].value = 2
    assert bytes(panel.bars.value) != before
    assert int((panel.probabilities() > 0).sum()) == 2


def test_writing_gives_the_text_that_generate_gives(panel):
    panel.sliders["temperature"].value = 1.5
    panel.button.click()
    expected = generate(panel.model, panel.tokenizer, "ROMEO:", max_new_tokens=12, seed=1, temperature=1.5)
    assert html.escape(expected) in panel.text.value


def test_the_text_is_escaped(panel):
    panel.say("<b>")
    assert "&lt;b&gt;" in panel.text.value


@pytest.mark.parametrize(("prompt", "sentence"), [("", "The prompt is empty"), ("ROMEO?", "is not among")])
def test_a_bad_prompt_gets_a_sentence(panel, prompt, sentence):
    panel.prompt.value = prompt
    assert sentence in panel.text.value
    panel.write()
    assert sentence in panel.text.value


def test_without_ipywidgets_the_remedy_is_named(panel, monkeypatch):
    real_import = builtins.__import__

    def no_widgets(name, *arguments, **named):
        if name == "ipywidgets":
            raise ModuleNotFoundError(name)
        return real_import(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    with pytest.raises(UserError, match="pip install ipywidgets"):
        SamplingPanel(panel.model, panel.tokenizer)
