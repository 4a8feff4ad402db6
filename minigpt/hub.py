"""Models on the Hugging Face Hub: a checkpoint with a card, written to a folder, sent there, and fetched from there.

A model on the hub is a checkpoint folder like any other, so that what is fetched can be read without the hub.
Only files of known names are fetched, and none of them can hold code: JSON, safetensors, checksums, and a card.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from minigpt import checkpoint
from minigpt.checkpoint import Checkpoint
from minigpt.checksums import NAME as CHECKSUMS
from minigpt.config import GPTConfig, read_json, require
from minigpt.errors import UserError
from minigpt.model import GPT, Factory, require_components
from minigpt.model_card import model_card
from minigpt.planning.counting import count
from minigpt.tokenizers import Tokenizer
from minigpt.training.records import Run

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FILES = (CONFIG, WEIGHTS, "tokenizer.json", CHECKSUMS, CARD)
NAMED = re.compile(r"[A-Za-z0-9](?:[\w.-]*\w)?/[A-Za-z0-9_](?:[\w.-]*\w)?", re.ASCII)  # owner/model


def save_pretrained(
    model: GPT, tokenizer: Tokenizer, folder: Path | str, *, run: Run | None = None, name: str | None = None
) -> None:
    """Write a checkpoint with a model card, as it can be uploaded to the hub; an earlier checkpoint is replaced.

    `run` is the record of the training, from `read_run`; what it knows goes into the card. `name` is what the card
    calls the model, if that is not the folder.

    Raises:
        UserError: the folder cannot be written or holds something else, or the record is another model's.
    """
    folder = Path(folder)
    card = model_card(model, tokenizer, name or folder.resolve().name, run)
    checkpoint.save(folder, model, tokenizer)
    (folder / CARD).write_text(card, encoding="utf-8")


def push_to_hub(
    model: GPT,
    tokenizer: Tokenizer,
    name: str,
    *,
    run: Run | None = None,
    private: bool = True,
    revision: str | None = None,
) -> str:
    """Upload a model with its card to `owner/model` on the hub, and return the address of its page.

    A repository that is not there yet is made; it is private unless you say otherwise. `revision` is the branch to
    write to. Log in first, with `hf auth login`.

    Raises:
        UserError: huggingface_hub is not installed, the name is no name, or the hub refuses.
    """
    require(is_name(name), f"{name!r} cannot be the name of a model on the hub; write it as owner/model.")
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
                allow_patterns=list(FILES),
                revision=revision,
                commit_message="Upload a model of minigpt",
            )
        except Exception as error:  # whatever can go wrong on the way
            raise UserError(
                f"{name} could not be uploaded ({what(error)}); log in with `hf auth login`, and check that the name "
                "begins with your own."
            ) from None
    return str(address)


def from_pretrained(place: Path | str, *, revision: str | None = None, **factories: Factory) -> Checkpoint:
    """Read a model and its tokenizer from a folder, or from `owner/model` on the hub.

    `revision` pins a branch, a tag or a commit of the hub's; a commit always gives the same files. Components that
    were replaced when the model was built have to be given again, as for `checkpoint.load`.

    Raises:
        UserError: it is neither a folder nor a model on the hub that can be had, or no checkpoint of this package.
    """
    folder = find(place, FILES, revision)
    kind = read_json(folder / CONFIG).get("model_type") if (folder / CONFIG).exists() else None
    require(
        kind is None,
        f"{place} holds a model of type {kind!r}, in Hugging Face's own layout; make a checkpoint of it with `minigpt "
        f"import hf {place} --out FOLDER`.",
    )
    require_honest_size(folder)
    return checkpoint.load(folder, **factories)


def find(place: Path | str, files: tuple[str, ...], revision: str | None = None) -> Path:
    """Return a folder as it is, or the folder to which the files of a model on the hub have been downloaded.

    Raises:
        UserError: there is no such folder and no such model, or the hub cannot be reached.
    """
    if Path(place).exists():
        require(revision is None, f"{place} is a folder, which has no revisions; leave revision out.")
        return Path(place)
    name = str(place)
    require(is_name(name), f"{name!r} does not exist; name a folder, or a model on the hub as owner/model.")
    library = huggingface_hub()
    try:
        found = library.snapshot_download(name, revision=revision, allow_patterns=list(files))
    except Exception as error:  # whatever can go wrong on the way
        at = f" at revision {revision!r}" if revision else ""
        raise UserError(
            f"There is no folder {name}, and no model of that name{at} could be had from the hub ({what(error)}); "
            "check the name and the connection, and log in with `hf auth login` if the model is private."
        ) from None
    folder = Path(found)
    for file in (CONFIG, WEIGHTS):
        require(
            (folder / file).is_file(),
            f"{name} on the hub has no {file}, and no other form of it is read; choose another model or revision.",
        )
    return folder


def require_honest_size(folder: Path) -> None:
    """Raise `UserError` if a configuration asks for far more memory than the file of weights beside it could fill."""
    values = read_json(folder / CONFIG) if (folder / WEIGHTS).exists() and (folder / CONFIG).exists() else {}
    if values.get("replaced") != [] or "model" not in values:
        return  # a component of one's own has any size; what is no checkpoint is told by `checkpoint.load`
    config = GPTConfig.from_dict(values["model"], str(folder / CONFIG))
    require_components(config)
    size = (folder / WEIGHTS).stat().st_size
    require(
        count(config) <= size,
        f"{folder / CONFIG} describes a model of {count(config):,} parameters, which the {size:,} bytes of {WEIGHTS} "
        "cannot hold; the files are truncated, or do not belong together.",
    )


def is_name(name: str) -> bool:
    """Return whether this can be the name of a model on the hub."""
    return NAMED.fullmatch(name) is not None and ".." not in name


def what(error: Exception) -> str:
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
