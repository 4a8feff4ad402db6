"""A tokenizer in the layout of Hugging Face's `tokenizers`: how ours translate to it and back.

A byte is written there as a character that can be seen: itself where it is one, and one from 256 on otherwise
(Radford et al., 2019).
"""

from typing import Any

from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT, BPETokenizer
from minigpt.tokenizer.bpe_training import BYTES
from minigpt.tokenizer.char import CharTokenizer
from minigpt.tokenizer.pretokenize import GPT2_SPLIT_PATTERN
from minigpt.utils.errors import UserError

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]


_UNPRINTABLE = [value for value in range(BYTES) if value not in _PRINTABLE]


BYTE_ENCODER = {value: chr(value) for value in _PRINTABLE} | {
    value: chr(BYTES + i) for i, value in enumerate(_UNPRINTABLE)
}


BYTE_DECODER = {character: value for value, character in BYTE_ENCODER.items()}


_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


_EVERY_CHARACTER = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}


def to_hf_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what their `tokenizer.json` holds of a tokenizer of ours.

    Raises:
        UserError: it is not of the package's own kinds, or a token is not the merger of two others.
    """
    if isinstance(tokenizer, CharTokenizer):
        parts = _char_to_hf(tokenizer)
    elif isinstance(tokenizer, BPETokenizer):
        parts = _bpe_to_hf(tokenizer)
    else:
        raise UserError(f"Their layout knows nothing of {type(tokenizer).__name__}; take one of minigpt's own kinds.")
    nothing = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor"))
    return {"version": "1.0", **nothing, "added_tokens": [], **parts}


def _char_to_hf(tokenizer: CharTokenizer) -> dict[str, Any]:
    """Return a vocabulary of characters as whole words, each character being one."""
    vocabulary = {character: id for id, character in enumerate(tokenizer.characters)}
    unknown = "<unknown>" if tokenizer.unknown is None else tokenizer.unknown  # a name that is no character: an error
    return {
        "pre_tokenizer": _EVERY_CHARACTER,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": unknown},
    }


def _bpe_to_hf(tokenizer: BPETokenizer) -> dict[str, Any]:
    """Return a vocabulary of byte-pair encoding as the merges that led to it."""
    merges = []
    for id in (id for id, token in enumerate(tokenizer.tokens) if len(token) > 1):
        pair = tokenizer.parts(id)
        if len(pair) != 2:
            raise UserError(
                f"The token {tokenizer.tokens[id]!r} is not the merger of two earlier ones, so that the "
                "vocabulary cannot "
                "be written as merges; train one with BPETokenizer.train."
            )
        merges.append([bytes_to_unicode(part) for part in pair])
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    return {
        "added_tokens": [{"id": id, "content": text, **flags} for text, id in tokenizer.special_tokens.items()],
        "pre_tokenizer": _split_settings(tokenizer.pattern),
        "decoder": _BYTE_LEVEL | {"use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {bytes_to_unicode(token): id for id, token in enumerate(tokenizer.tokens)},
            "merges": merges,
        },
    }


def _split_settings(pattern: str) -> dict[str, Any]:
    """Return what cuts a text into words there: GPT-2's way by its name, any other by its pattern."""
    if pattern == GPT2_SPLIT_PATTERN:
        return _BYTE_LEVEL | {"use_regex": True}
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, _BYTE_LEVEL | {"use_regex": False}]}


def bytes_to_unicode(token: bytes) -> str:
    """Return the bytes of a token as characters that can be seen."""
    return "".join(BYTE_ENCODER[value] for value in token)


def hf_tokenizer_config(tokenizer: Tokenizer, block_size: int) -> dict[str, Any]:
    """Return what their `tokenizer_config.json` says: who reads the file, the context, and what ends a text."""
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": block_size}
    settings["clean_up_tokenization_spaces"] = False
    if END_OF_TEXT in getattr(tokenizer, "special_tokens", {}):
        settings |= {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}
    return settings


def from_hf_tokenizer(values: dict[str, Any]) -> Tokenizer:
    """Build a tokenizer of ours from what their `tokenizer.json` holds.

    Raises:
        UserError: it is of a kind that cuts some text in another way than any of ours.
    """
    try:
        kind = values["model"]["type"]
        ours = _char_from_hf(values) if kind == "WordLevel" else _bpe_from_hf(values)
        same = canonical(to_hf_tokenizer(ours)) == canonical(values)
    except (UserError, KeyError, TypeError, AttributeError, IndexError):
        same = False
    if not same:
        raise UserError(
            "It cuts text as no tokenizer of minigpt does; put one of these there as minigpt-tokenizer.json."
        )
    return ours


def _char_from_hf(values: dict[str, Any]) -> CharTokenizer:
    """Return the vocabulary of characters that some whole words may be."""
    vocabulary, unknown = values["model"]["vocab"], values["model"]["unk_token"]
    return CharTokenizer("".join(_in_order(vocabulary)), unknown if unknown in vocabulary else None)


def _bpe_from_hf(values: dict[str, Any]) -> BPETokenizer:
    """Return the vocabulary of byte-pair encoding that some merges may have led to."""
    special = [each["content"] for each in sorted(values["added_tokens"], key=lambda each: each["id"])]
    if not all(isinstance(text, str) for text in special):
        raise UserError("The content of an added token must be a text.")
    vocabulary = [text for text in _in_order(values["model"]["vocab"]) if text not in special]
    tokens = [bytes(BYTE_DECODER[character] for character in text) for text in vocabulary]
    cut = values["pre_tokenizer"]
    pattern = cut["pretokenizers"][0]["pattern"]["Regex"] if cut["type"] == "Sequence" else GPT2_SPLIT_PATTERN
    return BPETokenizer(tokens, special, pattern)


def _in_order(vocabulary: dict[str, int]) -> list[str]:
    """Return the texts of a vocabulary by id."""
    return sorted(vocabulary, key=vocabulary.__getitem__)


def canonical(values: dict[str, Any]) -> dict[str, Any]:
    """Return what in their `tokenizer.json` decides how a text is cut, each thing written in one way."""
    model, cut = values["model"], values["pre_tokenizer"]
    if cut["type"] == "ByteLevel":
        cut = {name: cut.get(name, True) for name in ("type", "add_prefix_space", "use_regex")}
    added = [(each["content"], each["id"]) for each in values["added_tokens"]]
    names = {text for text, _ in added}
    return {
        "normalizer": values["normalizer"],
        "words": cut,
        "kind": model["type"],
        "unknown": model["unk_token"] if model["unk_token"] in model["vocab"] else None,
        "affixes": (model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""),
        "vocabulary": {text: id for text, id in model["vocab"].items() if text not in names},
        "merges": [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", ())],
        "special": sorted(added),
    }
