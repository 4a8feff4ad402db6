"""A tokenizer in the layout of Hugging Face's `tokenizers`: how ours translate to it and back.

A byte is written there as a character that can be seen: itself where it is one, and one from 256 on otherwise
(Radford et al., 2019).
"""

from collections.abc import Sequence
from typing import Any

from minigpt.tokenizer.base import Tokenizer
from minigpt.tokenizer.bpe import END_OF_TEXT, BPETokenizer
from minigpt.tokenizer.bpe_training import BYTES
from minigpt.tokenizer.char import CharTokenizer
from minigpt.tokenizer.oniguruma import from_oniguruma, to_oniguruma
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
    for token, id in tokenizer.ranks.items():
        if len(token) == 1:
            continue
        pair = tokenizer.merge_parents(id)
        if len(pair) != 2:
            raise UserError(
                f"The token {token!r} is not the merger of two earlier ones, so that the vocabulary cannot "
                "be written as merges; train one with `minigpt tokenizer train`."
            )
        merges.append([_bytes_to_unicode(part) for part in pair])
    vocabulary = {_bytes_to_unicode(token): id for token, id in tokenizer.ranks.items()}
    ids = tokenizer.special_tokens | tokenizer.added_tokens
    taken = next((text for text in ids if text in vocabulary), None)
    if taken is not None:
        raise UserError(f"{taken!r} is a special token and another token's name in their layout; name it otherwise.")
    if "ids" in tokenizer.to_dict():
        vocabulary |= ids  # otherwise they are numbered after the vocabulary
    ordered = sorted(ids.items(), key=lambda each: each[1])
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "added_tokens": [
            {"id": id, "content": text, **flags, "special": text in tokenizer.special_tokens} for text, id in ordered
        ],
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
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _split_settings(pattern: str) -> dict[str, Any]:
    """Return what cuts a text into words there: GPT-2's way by its name, any other by its pattern."""
    if pattern == GPT2_SPLIT_PATTERN:
        return _BYTE_LEVEL | {"use_regex": True}
    regex = to_oniguruma(pattern)
    cut = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, _BYTE_LEVEL | {"use_regex": False}]}


def _bytes_to_unicode(token: bytes) -> str:
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
    """Build a tokenizer of ours from what their `tokenizer.json` holds, with the same ids for every text.

    What is special there stays so here: it becomes its id only where `encode` allows that.

    Raises:
        UserError: it is of a kind that cuts some text in another way than any of ours.
    """
    ours: Tokenizer | None = None
    try:
        reason = _foreign_part(values)
        if reason is None:
            ours = _char_from_hf(values) if _model_type(values) == "WordLevel" else _bpe_from_hf(values)
            reason = None if _is_same(ours, values) else "its merges do not lead to its vocabulary in the ids' order"
    except UserError as error:
        reason = str(error).rstrip(".")
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        reason = "a part is missing or of another type"
    if ours is None or reason is not None:
        raise UserError(
            "It cuts text as no tokenizer of minigpt does; put one of these there as minigpt-tokenizer.json "
            f"({reason})."
        )
    return ours


def _is_same(ours: Tokenizer, values: dict[str, Any]) -> bool:
    """Return whether a tokenizer of ours, written as theirs, says the same as a file."""
    try:
        return canonical(to_hf_tokenizer(ours)) == canonical(values)
    except UserError:  # a token that no merges lead to
        return False


def _model_type(values: dict[str, Any]) -> str:
    """Return the type of model that a file holds; early files of byte-pair encoding do not say it."""
    model = values["model"]
    return str(model.get("type", "BPE" if "merges" in model else None))


def _foreign_part(values: dict[str, Any]) -> str | None:
    """Return what there is in a file that gives ids as no tokenizer of ours does; None if nothing is found."""
    if _model_type(values) not in ("BPE", "WordLevel"):
        return f"its model is {_model_type(values)}"
    normalizer = values.get("normalizer")
    if normalizer is not None and normalizer.get("normalizers") != []:
        return f"its normalizer, {normalizer['type']}, changes the text first"
    for name in ("truncation", "padding"):
        if values.get(name) is not None:
            return f"its {name} changes the ids; set it to null there"
    adding = _adds_tokens(values.get("post_processor"))
    if adding is not None:
        return f"its post-processor, {adding}, adds tokens to every text"
    model = values["model"]
    if model.get("dropout"):
        return f"its dropout, {model['dropout']}, gives other ids each time"
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            return f"its {name} is {model[name]!r}"
    return _foreign_added(values.get("added_tokens") or [], model["vocab"])


def _adds_tokens(processor: dict[str, Any] | None) -> str | None:
    """Return the name of the part of a post-processor that adds tokens, if any does."""
    if processor is None or processor["type"] == "ByteLevel":  # which says only where tokens stand
        return None
    if processor["type"] == "Sequence":
        return next(filter(None, map(_adds_tokens, processor["processors"])), None)
    if processor["type"] == "TemplateProcessing" and all("Sequence" in part for part in processor["single"]):
        return None
    return str(processor["type"])


def _foreign_added(added: Sequence[dict[str, Any]], vocabulary: dict[str, int]) -> str | None:
    """Return what there is among the added tokens that ours cannot do; None if nothing is found."""
    following = len(vocabulary)
    for each in added:
        text, known = each["content"], each["content"] in vocabulary
        for flag in ("lstrip", "rstrip", "single_word"):
            if each.get(flag):
                return f"its added token {text!r} has {flag}"
        expected = vocabulary[text] if known else following
        following += not known
        if each["id"] != expected:
            return f"its added token {text!r} has the id {each['id']}, where their library gives it {expected}"
    late, early = (
        [each["content"] for each in added if bool(each.get("normalized")) == state] for state in (True, False)
    )
    both = next(((one, other) for one in early for other in late if _overlap(one, other)), None)
    return f"its added tokens {both[0]!r} and {both[1]!r} overlap" if both else None


def _overlap(one: str, other: str) -> bool:
    """Return whether two texts can share characters where they stand."""
    if one in other or other in one:
        return True
    lengths = range(1, min(len(one), len(other)))
    return any(one.endswith(other[:n]) or other.endswith(one[:n]) for n in lengths)


def _char_from_hf(values: dict[str, Any]) -> CharTokenizer:
    """Return the vocabulary of characters that some whole words may be."""
    vocabulary, unknown = values["model"]["vocab"], values["model"]["unk_token"]
    return CharTokenizer("".join(_in_order(vocabulary)), unknown if unknown in vocabulary else None)


def _bpe_from_hf(values: dict[str, Any]) -> BPETokenizer:
    """Return the vocabulary of byte-pair encoding that some merges may have led to."""
    added = sorted(values.get("added_tokens") or [], key=lambda each: each["id"])
    ids = {each["content"]: each["id"] for each in added}
    if len(ids) != len(added) or not all(isinstance(text, str) for text in ids):
        raise UserError("The content of an added token must be a text of its own.")
    special = [each["content"] for each in added if each.get("special")]
    always = [each["content"] for each in added if not each.get("special")]
    vocabulary = [text for text in _in_order(values["model"]["vocab"]) if text not in ids]
    strange = next((text for text in vocabulary if not BYTE_DECODER.keys() >= set(text)), None)
    if strange is not None:
        raise UserError(f"its token {strange!r} is not written byte by byte")
    tokens = [bytes(BYTE_DECODER[character] for character in text) for text in vocabulary]
    return BPETokenizer(tokens, special, _split_pattern(values["pre_tokenizer"]), added=always, ids=ids)


# GPT-2's words after every digit was set apart: a run of white space before a digit is a word, as at the end.
_DIGITS_APART = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++|\p{N}| ?[^\s\p{L}\p{N}]++|\s++(?=\p{N})|\s++$|\s+(?!\S)|\s"


def _split_pattern(cut: dict[str, Any] | None) -> str:
    """Return the pattern that cuts a text into words as a pre-tokenizer of theirs does.

    Raises:
        UserError: none does.
    """
    if cut is None:
        raise UserError("its pre-tokenizer is none, not ByteLevel")
    parts: list[dict[str, Any]] = cut["pretokenizers"] if cut["type"] == "Sequence" else [cut]
    *before, last = parts
    if last["type"] != "ByteLevel":
        raise UserError(f"its pre-tokenizer is {last['type']}, not ByteLevel")
    if last.get("add_prefix_space", True):
        raise UserError("its pre-tokenizer puts a space before every text (add_prefix_space)")
    with_regex = last.get("use_regex", True)
    if not before:
        return GPT2_SPLIT_PATTERN if with_regex else r"[\s\S]+"
    first = before[0]
    if len(before) == 1 and first["type"] == "Split" and not with_regex:
        plain = first["behavior"] == "Isolated" and first.get("invert", False) is False and "Regex" in first["pattern"]
        if plain:
            return from_oniguruma(first["pattern"]["Regex"])
    if len(before) == 1 and first["type"] == "Digits" and first["individual_digits"] is True and with_regex:
        return _DIGITS_APART
    raise UserError(f"its pre-tokenizer is a sequence of {', '.join(part['type'] for part in parts)}")


def _in_order(vocabulary: dict[str, int]) -> list[str]:
    """Return the texts of a vocabulary by id."""
    return sorted(vocabulary, key=vocabulary.__getitem__)


def canonical(values: dict[str, Any]) -> dict[str, Any]:
    """Return what in their `tokenizer.json` decides how a text is cut, each thing written in one way.

    What a vocabulary of all bytes never comes to, such as an unknown character, is left out there.
    """
    model, kind = values["model"], _model_type(values)
    added = values.get("added_tokens") or []
    names = {each["content"] for each in added}
    found: dict[str, Any] = {
        "kind": kind,
        "vocabulary": {text: id for text, id in model["vocab"].items() if text not in names},
        "added": sorted((each["id"], each["content"], bool(each.get("special"))) for each in added),
    }
    if kind == "BPE":
        found["merges"] = [pair.split(" ") if isinstance(pair, str) else list(pair) for pair in model["merges"]]
        return found
    unknown = model["unk_token"]
    return found | {"words": values["pre_tokenizer"], "unknown": unknown if unknown in model["vocab"] else None}
