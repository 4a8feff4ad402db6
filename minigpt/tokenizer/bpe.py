"""Text to tokens by byte-pair encoding: pieces of words, made of bytes, so that no text is unknown."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import tiktoken
from tqdm import tqdm

from minigpt.tokenizer.base import Tokenizer, render_token
from minigpt.tokenizer.bpe_training import BYTES, apply_merges, train_bpe, train_bpe_fast, vocab_from_merges
from minigpt.tokenizer.pretokenize import GPT2_SPLIT_PATTERN, check_unicode, compile_pattern, count_pretokens
from minigpt.utils.errors import UserError
from minigpt.utils.files import atomic_write_text

END_OF_TEXT = "<|endoftext|>"


class BPETokenizer(Tokenizer):
    """One token for each frequent piece of a word (Sennrich et al., 2016), starting from bytes (Radford et al., 2019).

    `tokens` holds the bytes of each token, in the order in which they were learnt. The ids of the `special` texts
    follow, and then those of the `added` ones; neither is ever the result of a merge. An added text becomes its id
    wherever it stands, a special one only where that is allowed. With `ids`, these texts have the ids that it names,
    and the tokens have the others, in order.

    Raises:
        UserError: one of the 256 bytes is missing, a token is empty or repeated, the pattern is no pattern, or the ids
            are not one for each special and added text.
    """

    kind = "bpe"

    def __init__(
        self,
        tokens: Sequence[bytes],
        special: Sequence[str] = (),
        pattern: str = GPT2_SPLIT_PATTERN,
        *,
        added: Sequence[str] = (),
        ids: Mapping[str, int] | None = None,
    ) -> None:
        self.tokens = list(tokens)
        self.special = tuple(special)
        self.added = tuple(added)
        self.pattern = pattern
        texts = (*self.special, *self.added)
        names = Counter([*self.tokens, *texts])
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            raise UserError(f"The vocabulary repeats {repeated[:1]}; list every token once.")
        if "" in texts:
            raise UserError("A special token needs a text, such as '<|endoftext|>'.")
        check_unicode("".join(texts))
        self._by_id, self._text_ids = _numbered(self.tokens, texts, ids)
        taken = set(self._text_ids.values())
        self.ranks = {token: id for id, token in enumerate(self._by_id) if id not in taken}
        missing = [value for value in range(BYTES) if bytes([value]) not in self.ranks]
        if missing:
            raise UserError(f"The vocabulary lacks byte {missing[0]}; it must hold all {BYTES}.")
        if b"" in self.ranks:
            raise UserError("The vocabulary holds an empty token; leave it out.")
        compile_pattern(pattern)

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        *,
        special: Sequence[str] = (END_OF_TEXT,),
        pattern: str = GPT2_SPLIT_PATTERN,
        fast: bool = False,
        progress: bool = False,
    ) -> Self:
        """Learn a vocabulary of `vocab_size` tokens, the bytes and the special ones included.

        With `fast`, the merges are found by the package `tokenizers`: the same ones, sooner.

        Raises:
            UserError: the size leaves no room for the bytes, or the text has too few repetitions for so many tokens.
        """
        n_merges = vocab_size - BYTES - len(special)
        if n_merges < 0:
            raise UserError(
                f"vocab_size = {vocab_size} must be at least {BYTES + len(special)}: {BYTES} bytes, "
                f"and {len(special)} special."
            )
        words = count_pretokens(text, special, pattern)
        sought = min(n_merges, sum(map(len, words)))  # no text has more pairs to merge than bytes
        if fast:
            merges = train_bpe_fast(words, sought)
        else:
            shown = tqdm(train_bpe(words, sought), "merging", sought, unit="merge", disable=not progress)
            merges = list(shown)
        if len(merges) != n_merges:
            raise UserError(
                f"The text repeats itself too little for vocab_size = {vocab_size}; at most "
                f"{BYTES + len(merges) + len(special)} is possible."
            )
        return cls(vocab_from_merges(merges), special, pattern)

    @classmethod
    def gpt2(cls) -> Self:
        """Return GPT-2's own tokenizer, 50,257 tokens; the first call downloads it, unless it is in the cache.

        Raises:
            UserError: it is not available.
        """
        try:
            encoding = tiktoken.get_encoding("r50k_base")
        except Exception as error:  # whatever goes wrong in a download
            raise UserError(
                f"GPT-2's vocabulary could not be downloaded ({type(error).__name__}); connect to the internet, or put "
                "the file in a folder and name that folder in TIKTOKEN_CACHE_DIR."
            ) from None
        tokens = [encoding.decode_single_token_bytes(id) for id in range(encoding.eot_token)]
        return cls(tokens, (END_OF_TEXT,))

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        """The encoder in Rust, made from these tokens."""
        return tiktoken.Encoding(
            "minigpt", pat_str=self.pattern, mergeable_ranks=self.ranks, special_tokens=self._text_ids
        )

    @cached_property
    def _added_marks(self) -> re.Pattern | None:
        """What finds the added texts."""
        return _longest_first(self.added)

    @cached_property
    def _all_marks(self) -> re.Pattern | None:
        """What finds the special and the added texts."""
        return _longest_first((*self.special, *self.added))

    @property
    def special_tokens(self) -> dict[str, int]:
        """The id of each special token."""
        return {text: self._text_ids[text] for text in self.special}

    @property
    def added_tokens(self) -> dict[str, int]:
        """The id of each text that becomes its id wherever it stands."""
        return {text: self._text_ids[text] for text in self.added}

    @property
    def vocab_size(self) -> int:
        """The number of different token ids."""
        return len(self._by_id)

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """Return the ids of a text.

        A special token's text becomes its id only with `allow_special`, so that no text can pretend to be one. Of
        several texts that begin at the same place, the longest is found.

        Raises:
            UserError: the text holds half of a surrogate pair, or white space without end.
        """
        check_unicode(text)
        marks = self._all_marks if allow_special else self._added_marks
        if marks is None:
            return self._encode_ordinary(text)
        ids: list[int] = []
        for number, part in enumerate(marks.split(text)):  # every other part is a mark
            ids += [self._text_ids[part]] if number % 2 else self._encode_ordinary(part)
        return ids

    def _encode_ordinary(self, text: str) -> list[int]:
        """Return the ids of a text in which nothing is special or added."""
        try:
            return self.encoding.encode_ordinary(text)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of the Rust code, when its pattern matching gives up
                raise
            raise UserError("The text holds too long a run of white space to be cut into words; shorten it.") from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids; bytes that are no UTF-8, such as half a character, become �.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        ids = ids if isinstance(ids, list) else list(ids)
        try:
            return self.encoding.decode(ids)
        except (KeyError, OverflowError):
            return super().decode(ids)  # which names the id

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes that a token stands for.

        Raises:
            UserError: the id is outside the vocabulary.
        """
        if not 0 <= id < self.vocab_size:
            raise UserError(
                f"Token id {id} is outside the vocabulary, 0 to {self.vocab_size - 1}; use the model's own tokenizer."
            )
        return self._by_id[id]

    def merge_parents(self, id: int) -> tuple[bytes, ...]:
        """Return the two tokens that were merged to this one; a byte or a special token has no parts."""
        token = self.token_bytes(id)
        merged = self.ranks.get(token) == id and len(token) > 1
        return tuple(apply_merges(token, self.ranks, below=id)) if merged else ()

    def describe_tokens(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield a line for each of these tokens that can be read: id, text, and what it was merged from."""
        for id in ids:
            parts = " + ".join(map(render_token, self.merge_parents(id)))
            yield f"{id:>6}  {render_token(self.token_bytes(id))}" + (f"  =  {parts}" if parts else "")

    def to_dict(self) -> dict[str, Any]:
        """Return what `tokenizer.json` holds; each byte of a token is written as the character of that number.

        `added` and `ids` stand there only where there are any, and where they are not those that follow the tokens.
        """
        tokens = [token.decode("latin-1") for token in self.tokens]
        values: dict[str, Any] = {
            "kind": self.kind,
            "pattern": self.pattern,
            "special": list(self.special),
            "tokens": tokens,
        }
        if self.added:
            values["added"] = list(self.added)
        if list(self._text_ids.values()) != list(range(len(tokens), self.vocab_size)):
            values["ids"] = dict(self._text_ids)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a tokenizer from what `tokenizer.json` holds.

        Raises:
            UserError: a field is missing, of another type, or holds what cannot be a vocabulary.
        """
        values = {"added": []} | dict(values)
        for name in ("tokens", "special", "added"):
            listed = values.get(name)
            fits = isinstance(listed, list) and all(isinstance(each, str) for each in listed)
            if not fits:
                raise UserError(f"The list of texts {name!r} is missing; save the tokenizer again.")
        if not isinstance(values.get("pattern"), str):
            raise UserError("The text field 'pattern' is missing; save the tokenizer again.")
        wide = [token for token in values["tokens"] if max(map(ord, token), default=0) >= BYTES]
        if wide:
            raise UserError(f"The token {wide[:1]} is not written byte by byte; save the tokenizer again.")
        tokens = [token.encode("latin-1") for token in values["tokens"]]
        return cls(tokens, values["special"], values["pattern"], added=values["added"], ids=values.get("ids"))

    def save(self, path: Path | str) -> None:
        """Write the tokenizer to a JSON file, in one step."""
        atomic_write_text(Path(path), json.dumps(self.to_dict(), indent=1) + "\n")

    def __repr__(self) -> str:
        return f"BPETokenizer({self.vocab_size} tokens)"


def _numbered(
    tokens: Sequence[bytes], texts: Sequence[str], ids: Mapping[str, int] | None
) -> tuple[list[bytes], dict[str, int]]:
    """Return the bytes of every id, and the id of each text: those in `ids`, or those after the tokens."""
    size = len(tokens) + len(texts)
    if ids is None:
        ids = {text: len(tokens) + i for i, text in enumerate(texts)}
    if not isinstance(ids, Mapping) or ids.keys() != set(texts):
        raise UserError("The ids must name every special and every added text, and nothing else.")
    for text, id in ids.items():
        if not isinstance(id, int) or isinstance(id, bool) or not 0 <= id < size:
            raise UserError(f"The id of {text!r} is {id!r} and must be a whole number from 0 to {size - 1}.")
    at = {id: text for text, id in ids.items()}
    if len(at) != len(ids):
        raise UserError("Two of the special and added texts have the same id; give each its own.")
    rest = iter(tokens)
    by_id = [at[id].encode("utf-8") if id in at else next(rest) for id in range(size)]
    return by_id, {text: ids[text] for text in texts}


def _longest_first(texts: Sequence[str]) -> re.Pattern | None:
    """Return what finds any of some texts, the longest of those at a place; None if there are none."""
    ordered = sorted(texts, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, ordered))})") if texts else None
