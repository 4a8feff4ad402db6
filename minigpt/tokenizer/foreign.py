"""Tokenizers in the files of other programs: folders of Hugging Face's, OpenAI's two files, and nanoGPT's meta.pkl."""

import pickletools
from pathlib import Path
from typing import Any

from minigpt.tokenizer.base import Tokenizer, load_tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT
from minigpt.tokenizer.char import CharTokenizer
from minigpt.tokenizer.hf import from_hf_tokenizer
from minigpt.utils.errors import UserError, error_prefix, file_errors, utf8_error
from minigpt.utils.files import read_json

HF_TOKENIZER_FILE = "tokenizer.json"


OWN_TOKENIZER_FILE = "minigpt-tokenizer.json"  # beside their tokenizer.json, which takes the usual name


TOKENIZER_FILES = (  # everything in a folder of theirs that can decide an id
    OWN_TOKENIZER_FILE,
    HF_TOKENIZER_FILE,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


_VOCABULARY_AND_MERGES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))  # Hugging Face's, OpenAI's


_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


_ADDING = ("add_prefix_space", "add_bos_token", "add_eos_token")


def read_tokenizer(path: Path | str) -> Tokenizer:
    """Read a tokenizer from a file of ours, Hugging Face's `tokenizer.json`, nanoGPT's `meta.pkl`, or a folder.

    Raises:
        UserError: it is none of these, or cuts text as none of ours does.
    """
    path = Path(path)
    if path.is_dir():
        found = find_tokenizer(path)
        if found is None:
            raise UserError(f"{path} holds no tokenizer ({HF_TOKENIZER_FILE}, or vocab.json and merges.txt); name one.")
        return found
    if path.suffix == ".pkl":
        return _read_nanogpt_characters(path)
    values = read_json(path)
    if "kind" in values or "model" not in values:
        return load_tokenizer(path)
    with error_prefix(path):
        return from_hf_tokenizer(values)


def find_tokenizer(folder: Path) -> Tokenizer | None:
    """Return the tokenizer whose files a folder holds; None if there are none.

    It is our own, their `tokenizer.json`, or `vocab.json` with `merges.txt`, in this order, with what the files beside
    them add.

    Raises:
        UserError: a file is damaged, one of two is missing, or text is cut there as by none of ours.
    """
    if (folder / OWN_TOKENIZER_FILE).exists():
        return load_tokenizer(folder / OWN_TOKENIZER_FILE)
    path = folder / HF_TOKENIZER_FILE
    if path.exists():
        values = read_json(path)
        if "kind" in values:
            return load_tokenizer(path)
        settings = _settings(folder)
        with error_prefix(path):
            return from_hf_tokenizer(_with_settings(values, settings))
    for vocabulary, merges in _VOCABULARY_AND_MERGES:
        there = [(folder / name).exists() for name in (vocabulary, merges)]
        if all(there):
            settings = _settings(folder)
            values = _merges_layout(folder / vocabulary, folder / merges, settings)
            with error_prefix(folder / vocabulary):
                return from_hf_tokenizer(_with_settings(values, settings))
        if any(there):
            missing, found = (merges, vocabulary) if there[0] else (vocabulary, merges)
            raise UserError(f"{folder} has {found} but no {missing}, and takes both; copy it there.")
    return None


def _settings(folder: Path) -> dict[str, Any]:
    """Return what the files beside a vocabulary say, as one object."""
    names = ("special_tokens_map.json", "tokenizer_config.json")
    found: dict[str, Any] = {}
    for path in (folder / name for name in names):
        found |= read_json(path) if path.exists() else {}
    if (folder / "added_tokens.json").exists():
        added = read_json(folder / "added_tokens.json")
        described = found.get("added_tokens_decoder")
        listed = {str(id): {"content": text, "special": text in _special_texts(found)} for text, id in added.items()}
        found["added_tokens_decoder"] = listed | (described if isinstance(described, dict) else {})
    return found


def _special_texts(settings: dict[str, Any]) -> list[str]:
    """Return the texts that the settings call special."""
    more = settings.get("additional_special_tokens") or settings.get("extra_special_tokens") or []
    named = [settings.get(name) for name in _NAMED_TOKENS] + (list(more) if isinstance(more, list) else [])
    texts = [each.get("content") if isinstance(each, dict) else each for each in named]
    return [text for text in texts if isinstance(text, str)]


def _with_settings(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return their layout with the tokens that the files beside it add.

    Raises:
        UserError: they put something before or after every text.
    """
    adding = next((name for name in _ADDING if settings.get(name)), None)
    if adding is not None:
        raise UserError(
            f"tokenizer_config.json beside it says {adding}, which changes every text, and no tokenizer of minigpt "
            f"does that; put one of these there as {OWN_TOKENIZER_FILE}."
        )
    described = settings.get("added_tokens_decoder") or {}
    if not isinstance(described, dict) or not all(isinstance(each, dict) for each in described.values()):
        raise UserError("added_tokens_decoder in tokenizer_config.json is damaged; copy the folder again.")
    added = list(values.get("added_tokens") or [])
    known = {each.get("content") for each in added if isinstance(each, dict)}
    more = [{"id": int(id), **each} for id, each in described.items() if id.isdecimal()]
    added += sorted((each for each in more if each.get("content") not in known), key=lambda each: each["id"])
    return values | {"added_tokens": added}


def _merges_layout(vocabulary: Path, merges: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return two files, the ids of all tokens and the merges, in the layout of a `tokenizer.json`."""
    ids = read_json(vocabulary)
    with file_errors(merges):
        content = merges.read_bytes()
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise utf8_error(merges, error.start) from None
    pairs = [line.rstrip("\r").split(" ") for line in lines if line.strip() and not line.startswith("#version")]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise UserError(f"{merges} has the line {' '.join(wrong)!r}, where two tokens should stand; copy it again.")
    special = dict.fromkeys([END_OF_TEXT, *_special_texts(settings)])
    named = [{"id": ids[text], "content": text, "special": True} for text in special if text in ids]
    return {
        "added_tokens": named,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": ids, "merges": pairs},
    }


def _read_nanogpt_characters(path: Path) -> CharTokenizer:
    """Return the vocabulary of characters in nanoGPT's `meta.pkl`.

    Of the file's language only dictionaries, texts and whole numbers are understood, so that nothing in it can run.

    Raises:
        UserError: the file is missing or damaged, or holds something else.
    """
    with file_errors(path):
        content = path.read_bytes()
    try:
        by_id = _plain_pickle(content)["itos"]
        characters = [by_id[id] for id in range(len(by_id))]
        single = all(isinstance(each, str) and len(each) == 1 for each in characters)
    except Exception:  # there is little that a damaged file cannot raise here
        single = False
    if not single:
        raise UserError(f"{path} holds no characters by id as nanoGPT writes them; name a tokenizer of another form.")
    with error_prefix(path):
        return CharTokenizer("".join(characters))


_CONSTANTS = {
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "INT",
    "UNICODE",
}


_MARK = object()


def _plain_pickle(content: bytes) -> Any:
    """Return what a pickle of dictionaries, texts and whole numbers holds; anything else in it is a ValueError."""
    stack: list[Any] = []
    kept: dict[int, Any] = {}
    for operation, argument, _ in pickletools.genops(content):
        name = operation.name
        if name in _CONSTANTS:
            stack.append(argument)
        elif name in ("EMPTY_DICT", "MARK"):
            stack.append({} if name == "EMPTY_DICT" else _MARK)
        elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            kept[len(kept) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(kept[-1 if argument is None else argument])
        elif name in ("SETITEM", "SETITEMS"):
            start = len(stack) - 2 if name == "SETITEM" else len(stack) - stack[::-1].index(_MARK)
            items = stack[start:]
            del stack[start if name == "SETITEM" else start - 1 :]
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(name)
    raise ValueError("no end")


def is_gpt2_size(vocab_size: int) -> bool:
    """Return whether a model has as many ids as GPT-2's tokens, or as many as those are commonly filled up to."""
    return vocab_size in (50_257, 50_304)
