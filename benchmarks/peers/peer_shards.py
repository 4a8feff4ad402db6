"""A text to numpy shards with `tokenizers`, as one would write it oneself: in batches, so that memory stays bounded.

python peer_shards.py TEXT TOKENIZER SEPARATOR OUT
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
BLOCK = 4_000_000  # characters read at once


def main(text: str, tokenizer_file: str, separator: str, out: str) -> None:
    """Write the ids of all documents, as two bytes each, with the end of a text between two of them."""
    tokenizer = Tokenizer.from_file(tokenizer_file)
    between = np.array([tokenizer.token_to_id(END_OF_TEXT)], "<u2")
    with Path(out).open("wb") as shard:
        for batch in batches(Path(text), separator):
            for found in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                if shard.tell():
                    between.tofile(shard)
                np.array(found.ids, "<u2").tofile(shard)


def batches(path: Path, separator: str) -> Iterator[list[str]]:
    """Yield the documents of a text, some thousand at once."""
    rest = ""
    with path.open(encoding="utf-8", newline="") as file:
        while block := file.read(BLOCK):
            *documents, rest = (rest + block).split(separator)
            yield kept(documents)
    yield kept([rest])


def kept(documents: list[str]) -> list[str]:
    """Return the documents without white space around them, and leave out those that are nothing else."""
    return [document.strip() for document in documents if document.strip()]


if __name__ == "__main__":
    main(*sys.argv[1:])
