"""Move the chapters from the first edition's numbers to the second's, in one substitution; it was run once.

python -m scripts.renumber

Renames chapters, solutions, quizzes and records, and rewrites every link, chapter id, equation, figure and exercise
number in the repository. In a tree that is renumbered already it changes nothing.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
STEMS = {
    "02_bigram": "03_bigrams",
    "03_attention": "04_attention",
    "04_transformer": "05_transformer",
    "05_training": "06_training",
    "06_sampling": "08_sampling",
    "07_more_voices": "09_more_domains",
    "08_counting": "10_counting",
    "09_runs_that_survive": "12_runs_that_survive",
    "10_bpe": "13_bpe",
    "11_gpt2": "14_gpt2",
    "12_training_at_scale": "15_training_at_scale",
    "13_stories_and_plays": "19_stories_and_plays",
    "14_rope": "20_rope",
    "15_rmsnorm": "21_rmsnorm",
    "16_swiglu": "22_swiglu",
    "17_flash_attention": "23_flash_attention",
    "18_gradient_checkpointing": "24_gradient_checkpointing",
    "19_kv_cache": "25_kv_cache",
    "20_modern_minigpt": "29_everything_at_once",
}
NUMBERS = {int(old[:2]): int(new[:2]) for old, new in STEMS.items()}
SUFFIXES = {".py", ".ipynb", ".md", ".toml", ".yml", ".json", ".jsonl", ".html", ".js", ".cff"}
LEFT_ALONE = {"scripts/renumber.py", "checkpoints/gpt2-small/tokenizer.json"}

STEM = re.compile(r"(?<![A-Za-z0-9])(" + "|".join(STEMS) + r")(?![A-Za-z0-9_])")
CHAPTERS = re.compile(r"\b(chapters?[ ~])(\d+(?:(?:, and |, or |, | and | to | or |–)\d+)*)\b(?!\.\d)", re.IGNORECASE)
NAMED = re.compile(
    r"\b((?:figures?|exercises?|equations?|solutions?|tables?)[ ~])(\d+\.\d+(?:(?:, and |, | and | to |–)\d+\.\d+)*)",
    re.IGNORECASE,
)
TAG = re.compile(r"(\\tag\{)(\d+)(?=\.\d+\})")
REFERENCE = re.compile(r"(?<![\w\]])(\()(\d+)(?=\.\d+\))")  # an equation is meant if it has a tag


def new_number(match: re.Match) -> str:
    """Return the second edition's number for a whole number, which the first edition's text holds."""
    return str(NUMBERS.get(int(match[0]), int(match[0])))


def renumber(text: str, equations: set[str]) -> str:
    """Return a text with the numbers of the second edition; `equations` are the tags of the first."""

    def lists(found: re.Match) -> str:
        return found[1] + re.sub(r"(?<![\d.])\d+", new_number, found[2])

    def reference(found: re.Match) -> str:
        whole = re.match(r"\d+\.\d+", text[found.start(2) :])
        known = whole is not None and whole[0] in equations
        return found[1] + (str(NUMBERS.get(int(found[2]), int(found[2]))) if known else found[2])

    text = REFERENCE.sub(reference, text)
    text = TAG.sub(lambda found: found[1] + str(NUMBERS.get(int(found[2]), int(found[2]))), text)
    text = NAMED.sub(lists, text)
    text = CHAPTERS.sub(lists, text)
    return STEM.sub(lambda found: STEMS[found[1]], text)


def main() -> None:
    """Rename the files, then rewrite the texts."""
    if not (ROOT / "chapters" / "02_bigram.ipynb").exists():
        sys.exit("The chapters have the second edition's numbers already; there is nothing to do.")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.splitlines() if (ROOT / name).is_file()]
    texts = {name: (ROOT / name).read_text("utf-8") for name in files if Path(name).suffix in SUFFIXES}
    equations = {tag for text in texts.values() for tag in re.findall(r"\\tag\{(\d+\.\d+)\}", text)}
    for name, text in texts.items():
        if name not in LEFT_ALONE and (found := renumber(text, equations)) != text:
            (ROOT / name).write_text(found, encoding="utf-8", newline="\n")
    for name in files:
        if (moved := STEM.sub(lambda found: STEMS[found[1]], name)) != name:
            subprocess.run(["git", "mv", name, moved], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
