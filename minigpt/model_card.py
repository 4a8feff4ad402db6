"""The card of a model: what its configuration and the record of its training say, as a README.md in the hub's form."""

import math
import re
from typing import Any

from minigpt.bpe.tokenizer import BPETokenizer
from minigpt.config import GPTConfig, require
from minigpt.model import GPT, count_parameters
from minigpt.planning.units import size_text, time_text
from minigpt.tokenizers import CharTokenizer, Tokenizer
from minigpt.training.records import Run

BYTES_A_WEIGHT = 4  # float32
CARD = """---
library_name: minigpt-book
pipeline_tag: text-generation
tags:
- minigpt
---

# {title}

{introduction}

| | |
| --- | --- |
{facts}

```python
from minigpt import generate
from minigpt.hub import from_pretrained

model, tokenizer = from_pretrained({address})
print(generate(model, tokenizer, {prompt!r}, max_new_tokens=200, seed=1))
```
"""


def model_card(model: GPT, tokenizer: Tokenizer, name: str, run: Run | None = None) -> str:
    """Return the text of a card; what only a record knows is left out where there is none.

    Raises:
        UserError: the record is that of a model of another shape.
    """
    require(
        run is None or GPTConfig.from_dict(run.header.get("model"), "The record's header") == model.config,
        "The record describes a model of another shape; give the log.jsonl of the run that this model comes from.",
    )
    rows = facts(model.config, tokenizer, count_parameters(model), run)
    prompt = run.header.get("training", {}).get("sample_prompt") if run else None
    card = CARD.format(
        title=name.rpartition("/")[2],
        introduction=introduction(model),
        facts="\n".join(f"| {fact} | {value} |" for fact, value in rows.items()),
        address=", ".join([repr(name), *(f"{part}=…" for part in model.replaced)]),
        prompt=prompt or "How your text begins",
    )
    sample = last_sample(run)
    return card + (f"\nAt the end of its training it wrote:\n\n{fenced(sample)}\n" if sample else "")


def introduction(model: GPT) -> str:
    """Return what a card says first."""
    first = "A GPT for `minigpt`, the companion package of a book of notebooks that teaches how to build one."
    if not model.replaced:
        return first
    return f"{first}\nIts {', '.join(model.replaced)} is not the package's, and has to be given when it is loaded."


def facts(config: GPTConfig, tokenizer: Tokenizer, parameters: int, run: Run | None) -> dict[str, str]:
    """Return what there is to know of a model, in the order of a card."""
    kind = {CharTokenizer: "characters", BPETokenizer: "subwords"}.get(type(tokenizer), "tokens")
    return {
        "parameters": f"{parameters:,}, {size_text(BYTES_A_WEIGHT * parameters)} in float32",
        "blocks, heads, channels": f"{config.n_layer}, {config.n_head}, {config.n_embd}",
        "vocabulary": f"{config.vocab_size:,} {kind}",
        "context": f"{config.block_size:,} tokens",
    } | (training_facts(run) if run and run.records else {})


def training_facts(run: Run) -> dict[str, str]:
    """Return what a record tells of a run: on what, for how long, and what it led to."""
    header, last = run.header, run.records[-1]
    seen = header["training"]["batch_size"] * header["model"]["block_size"] * last.step
    corpus = header.get("corpus", {}).get("name", "a text of its own")
    found = {"trained on": f"{corpus}, {last.step:,} steps, {seen:,} tokens"}
    if machine := header.get("machine"):
        found["training took"] = f"{time_text(last.seconds)} on {machine['processor']}, {machine['date']}"
    if evaluation := header.get("evaluation"):
        found["loss, whole validation part"] = f"{evaluation['loss']:.4f} nats per token"
        found["bits per character"] = f"{bits_per_character(evaluation):.3f}"
    elif run.evaluations:
        best = run.best
        found["lowest validation loss"] = f"{best.validation_loss:.4f} nats per token, after {best.step:,} steps"
    return found


def bits_per_character(evaluation: dict[str, Any]) -> float:
    """Return the loss of an evaluation in a record's header, in bits per character."""
    return evaluation["loss"] * evaluation["n_tokens"] / evaluation["n_characters"] / math.log(2)


def last_sample(run: Run | None) -> str | None:
    """Return what the model wrote last in its training, if the record has it."""
    samples = [record.sample for record in run.records if record.sample] if run else []
    return samples[-1].strip("\n") if samples else None


def fenced(text: str) -> str:
    """Return a text as a block of Markdown, between more backticks than it holds itself."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
