"""Models on the Hugging Face Hub: a checkpoint with a model card, written to a folder, sent there, and fetched.

A model on the hub is a checkpoint folder like any other, so what is fetched can be read without the hub.
Only files of known names are fetched, and none of them can hold code: JSON, safetensors, checksums, and a card.
"""

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from minigpt import checkpoint
from minigpt.checkpoint.run_log import RunLog
from minigpt.checkpoint.save_load import Checkpoint, refuse_hf_layout
from minigpt.checkpoint.shipped import locate_shipped
from minigpt.config import GPTConfig, validate_components
from minigpt.model.gpt import GPT, Factory, count_parameters
from minigpt.model.structure import unwrap_model
from minigpt.planning.counting import num_parameters
from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.bpe import BPETokenizer
from minigpt.tokenizer.char import CharTokenizer
from minigpt.utils.errors import UserError
from minigpt.utils.files import CHECKSUM_FILE as CHECKSUMS
from minigpt.utils.files import read_json
from minigpt.utils.units import format_bytes, format_duration

BYTES_PER_WEIGHT = 4  # float32


CARD_TEMPLATE = """---
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
from minigpt.checkpoint.hub import from_pretrained

model, tokenizer = from_pretrained({address})
print(generate(model, tokenizer, {prompt!r}, max_new_tokens=200, seed=1))
```
"""


def model_card(model: GPT, tokenizer: Tokenizer, name: str, run: RunLog | None = None) -> str:
    """Return the text of a card; what only a record knows is left out where there is none.

    Raises:
        UserError: the record is that of a model of another shape.
    """
    if run is not None and GPTConfig.from_dict(run.header.get("model"), "The record's header") != model.config:
        raise UserError(
            "The record describes a model of another shape; give the log.jsonl of the run that this model comes from."
        )
    rows = model_facts(model.config, tokenizer, count_parameters(model), run)
    prompt = run.header.get("training", {}).get("sample_prompt") if run else None
    card = CARD_TEMPLATE.format(
        title=name.rpartition("/")[2],
        introduction=_introduction(model),
        facts="\n".join(f"| {fact} | {value} |" for fact, value in rows.items()),
        address=", ".join([repr(name), *(f"{part}=…" for part in model.custom_components)]),
        prompt=prompt or "How your text begins",
    )
    sample = last_sample(run)
    return card + (f"\nAt the end of its training it wrote:\n\n{_fenced(sample)}\n" if sample else "")


def _introduction(model: GPT) -> str:
    """Return what a card says first."""
    first = "A GPT for `minigpt`, the companion package of a book of notebooks that teaches how to build one."
    if not model.custom_components:
        return first
    own = ", ".join(model.custom_components)
    return f"{first}\nIts {own} is not the package's, and has to be given when it is loaded."


def model_facts(config: GPTConfig, tokenizer: Tokenizer, parameters: int, run: RunLog | None) -> dict[str, str]:
    """Return what there is to know of a model, in the order of a card."""
    kind = {CharTokenizer: "characters", BPETokenizer: "subwords"}.get(type(tokenizer), "tokens")
    return {
        "parameters": f"{parameters:,}, {format_bytes(BYTES_PER_WEIGHT * parameters)} in float32",
        "blocks, heads, channels": f"{config.n_layer}, {config.n_head}, {config.n_embd}",
        "vocabulary": f"{config.vocab_size:,} {kind}",
        "context": f"{config.block_size:,} tokens",
    } | (_training_facts(run) if run and run.records else {})


def _training_facts(run: RunLog) -> dict[str, str]:
    """Return what a record tells of a run: on what, for how long, and what it led to."""
    header, last = run.header, run.records[-1]
    seen = header["training"]["batch_size"] * header["model"]["block_size"] * last.step
    corpus = header.get("corpus", {}).get("name", "a text of its own")
    found = {"trained on": f"{corpus}, {last.step:,} steps, {seen:,} tokens"}
    if machine := header.get("machine"):
        found["training took"] = f"{format_duration(last.seconds)} on {machine['processor']}, {machine['date']}"
    if evaluation := header.get("evaluation"):
        found["loss, whole validation part"] = f"{evaluation['loss']:.4f} nats per token"
        found["bits per character"] = f"{recorded_bits_per_character(evaluation):.3f}"
    elif run.evaluations:
        best = run.best
        found["lowest validation loss"] = f"{best.validation_loss:.4f} nats per token, after {best.step:,} steps"
    return found


def recorded_bits_per_character(evaluation: dict[str, Any]) -> float:
    """Return the loss of an evaluation in a record's header, in bits per character."""
    return evaluation["loss"] * evaluation["n_tokens"] / evaluation["n_characters"] / math.log(2)


def last_sample(run: RunLog | None) -> str | None:
    """Return what the model wrote last in its training, if the record has it."""
    samples = [record.sample for record in run.records if record.sample] if run else []
    return samples[-1].strip("\n") if samples else None


def _fenced(text: str) -> str:
    """Return a text as a block of Markdown, between more backticks than it holds itself."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


HUB_FILES = (CONFIG, WEIGHTS, "tokenizer.json", CHECKSUMS, CARD)


_REPO_ID = re.compile(r"[A-Za-z0-9](?:[\w.-]*\w)?/[A-Za-z0-9_](?:[\w.-]*\w)?", re.ASCII)  # owner/model


def save_pretrained(
    model: GPT, tokenizer: Tokenizer, folder: Path | str, *, run: RunLog | None = None, name: str | None = None
) -> None:
    """Write a checkpoint with a model card, as it can be uploaded to the hub; an earlier checkpoint is replaced.

    `run` is the record of the training, from `read_run`; what it knows goes into the card. `name` is what the card
    calls the model, if that is not the folder.

    Raises:
        UserError: the folder cannot be written or holds something else, or the record is another model's.
    """
    folder, model = Path(folder), unwrap_model(model)
    card = model_card(model, tokenizer, name or folder.resolve().name, run)
    checkpoint.save(folder, model, tokenizer)
    (folder / CARD).write_text(card, encoding="utf-8")


def push_to_hub(
    model: GPT,
    tokenizer: Tokenizer,
    name: str,
    *,
    run: RunLog | None = None,
    private: bool = True,
    revision: str | None = None,
) -> str:
    """Upload a model with its card to `owner/model` on the hub, and return the address of its page.

    A repository that is not there yet is made; it is private unless you say otherwise. `revision` is the branch to
    write to. Log in first, with `hf auth login`.

    Raises:
        UserError: huggingface_hub is not installed, the name is no name, or the hub refuses.
    """
    if not is_repo_id(name):
        raise UserError(f"{name!r} cannot be the name of a model on the hub; write it as owner/model.")
    library = huggingface_hub()
    with TemporaryDirectory() as place:
        folder = Path(place) / name.rpartition("/")[2]
        save_pretrained(model, tokenizer, folder, run=run, name=name)
        try:
            api = library.HfApi(library_name="minigpt-book")
            address = api.create_repo(name, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=name,
                folder_path=folder,
                allow_patterns=list(HUB_FILES),
                revision=revision,
                commit_message="Upload a model of minigpt",
            )
        except Exception as error:  # whatever can go wrong on the way
            raise UserError(
                f"{name} could not be uploaded ({_short_error(error)}); log in with `hf auth login`, and check "
                "that the name "
                "begins with your own."
            ) from None
    return str(address)


def from_pretrained(place: Path | str, *, revision: str | None = None, **factories: Factory) -> Checkpoint:
    """Read a model and its tokenizer from a folder, from `owner/model` on the hub, or a shipped one by its name.

    `revision` pins a branch, a tag or a commit of the hub's; a commit always gives the same files. Components that
    were replaced when the model was built have to be given again, as for `checkpoint.load`.

    Raises:
        UserError: it is neither a folder nor a model on the hub that is available, or no checkpoint of this package.
    """
    folder = resolve_model(place, HUB_FILES, revision)
    if (folder / CONFIG).exists():
        refuse_hf_layout(place, read_json(folder / CONFIG))
    _check_weights_size(folder)
    return checkpoint.load(folder, **factories)


def resolve_model(
    place: Path | str,
    files: tuple[str, ...],
    revision: str | None = None,
    required: tuple[str, ...] = (CONFIG, WEIGHTS),
) -> Path:
    """Return a folder as it is, a shipped model's by its name, or that to which a model on the hub was downloaded.

    Raises:
        UserError: there is no such folder and no such model, it lacks a required file, or the hub cannot be reached.
    """
    folder = locate_shipped(place)
    if folder.exists():
        if revision is not None:
            raise UserError(f"{place} is a folder, which has no revisions; leave revision out.")
        return folder
    name = str(place)
    if not is_repo_id(name):
        raise UserError(f"{name!r} does not exist; name a folder, or a model on the hub as owner/model.")
    library = huggingface_hub()
    try:
        found = library.snapshot_download(name, revision=revision, allow_patterns=list(files))
    except Exception as error:  # whatever can go wrong on the way
        at = f" at revision {revision!r}" if revision else ""
        raise UserError(
            f"There is no folder {name}, and no model of that name{at} could be had from the hub "
            f"({_short_error(error)}); "
            "check the name and the connection, and log in with `hf auth login` if the model is private."
        ) from None
    folder = Path(found)
    for file in required:
        if not (folder / file).is_file():
            raise UserError(
                f"{name} on the hub has no {file}, and no other form of it is read; choose another model or revision."
            )
    return folder


def _check_weights_size(folder: Path) -> None:
    """Raise `UserError` if a configuration asks for far more memory than the file of weights beside it could fill."""
    values = read_json(folder / CONFIG) if (folder / WEIGHTS).exists() and (folder / CONFIG).exists() else {}
    if values.get("custom_components") != [] or "model" not in values:
        return  # a component of one's own has any size; what is no checkpoint is told by `checkpoint.load`
    config = GPTConfig.from_dict(values["model"], str(folder / CONFIG))
    validate_components(config)
    size = (folder / WEIGHTS).stat().st_size
    if num_parameters(config) > size:
        raise UserError(
            f"{folder / CONFIG} describes a model of {num_parameters(config):,} parameters, which the "
            f"{size:,} bytes of {WEIGHTS} "
            "cannot hold; the files are truncated, or do not belong together."
        )


def is_repo_id(name: str) -> bool:
    """Return whether this can be the name of a model on the hub."""
    return _REPO_ID.fullmatch(name) is not None and ".." not in name


def _short_error(error: Exception) -> str:
    """Return what went wrong, in the first line that the library has for it."""
    first = next(iter(str(error).strip().splitlines()), "").rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def huggingface_hub() -> ModuleType:
    """Return the library that talks to the hub.

    Raises:
        UserError: it is not installed.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise UserError(
            "The hub needs the package huggingface_hub; pip install huggingface_hub, or copy the folder yourself."
        ) from None
    return huggingface_hub
