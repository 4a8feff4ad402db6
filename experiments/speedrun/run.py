"""The Shakespeare speedrun: how soon can two cores learn Tiny Shakespeare by characters, from a cold start?

    python -m experiments.speedrun.run
    python -m experiments.speedrun.run --track time loss --ladder

On the track `time`, a recipe is trained to the end of its schedule, and its loss over the whole validation part must
then be at most 1.88 nats per character for every seed; the record is the time that this took. On the track `loss`, the
time is what the baseline needed for its 2,000 steps in the same record, and the lowest loss wins. `--ladder` gives the
time of the record to the baseline, and then to one more idea after the other. The recipes are in recipe.py.

The clock counts everything from building the model to the last step, torch.compile included; it does not count
reading the text, and it stands still while a model is evaluated. `results/speedrun.json` is written after every run,
and a second call goes on where the first was stopped; what a changed recipe gave is measured again.
"""

import math
from pathlib import Path

import torch

from experiments.common import Result, output_of, parser_of, spread, write_record
from experiments.speedrun.recipe import BASELINE, LADDER, LOWEST, NO_NGRAMS, RECORD, TARGET, TINY, Recipe
from experiments.speedrun.training import train
from experiments.training import about_corpus, read_characters
from minigpt.utils.errors import UserError
from minigpt.utils.files import read_json
from minigpt.utils.machine import environment_info

CORPUS = "tinyshakespeare"
TRACKS = {"time": {"baseline": BASELINE, "no n-grams": NO_NGRAMS, "record": RECORD}, "loss": {"lowest": LOWEST}}


class Book:
    """The record as a file: runs by entry and seed, saved after each, and looked up before one is trained."""

    def __init__(self, path: Path, threads: int, tiny: bool = False) -> None:
        torch.set_num_threads(threads)
        tokenizer, self.data = read_characters(CORPUS, tiny)
        self.path = path
        self.tiny = tiny
        self.vocab_size = tokenizer.vocab_size
        machine = environment_info()
        self.written: Result = read_json(path) if path.exists() else {"machine": machine, "entries": {}}
        before = self.written["machine"]
        if not all(before[name] == machine[name] for name in ("processor", "threads", "torch")):
            raise UserError(
                f"{path} was measured on {before['threads']} threads of {before['processor']} with PyTorch "
                f"{before['torch']}, and times are comparable on one machine only; choose another file with --output."
            )
        self.written |= {"target": TARGET, "corpus": about_corpus(CORPUS, tiny)}

    def measure(self, name: str, recipe: Recipe, seed: int, seconds: float = math.inf) -> None:
        """Train an entry with a seed, unless the record has this run already."""
        recipe = recipe.changed(TINY) if self.tiny else recipe
        described = {"recipe": recipe.to_dict(), "seconds_given": seconds if seconds < math.inf else None}
        entry = self.written["entries"].get(name, {})
        if any(entry.get(key) != value for key, value in described.items()):
            entry = described | {"runs": {}}
        if str(seed) in entry["runs"]:
            return
        entry["runs"][str(seed)] = run = train(recipe, self.data, self.vocab_size, seed, seconds)
        self.written["entries"][name] = entry
        self.save()
        print(f"seed {seed}, {name}: {run['loss']:.4f} after {run['seconds']:.2f} s, {run['steps']} steps", flush=True)

    def seconds(self, name: str) -> float:
        """Return the mean time of an entry."""
        return self.written["entries"][name]["seconds"]["mean"]

    def save(self) -> None:
        """Put the means into every entry, and write the file."""
        entries = self.written["entries"]
        for entry in entries.values():
            runs = entry["runs"].values()
            entry |= {key: spread([run[key] for run in runs]) for key in ("seconds", "loss", "steps")}
            entry["reached"] = all(run["loss"] <= TARGET for run in runs)
            if "baseline" in entries and entries["baseline"]["runs"]:
                entry["times_sooner"] = round(self.seconds("baseline") / entry["seconds"]["mean"], 2)
        write_record(self.path, self.written)


def main(arguments: list[str] | None = None) -> None:
    """Train what was asked for, and what it is compared with: every entry with the first seed, then with the next."""
    parser = parser_of(__doc__)
    parser.add_argument("--track", nargs="+", choices=TRACKS, default=["time"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--ladder", action="store_true", help="also train one idea after the other, in the same time")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args(arguments)
    book = Book(output_of(asked, "speedrun.json"), asked.threads, asked.tiny)
    for seed in asked.seeds:
        for name, recipe in TRACKS["time"].items():  # the other track and the ladder are measured by these
            book.measure(name, recipe, seed)
    if "loss" in asked.track:
        for seed in asked.seeds:
            for name, recipe in TRACKS["loss"].items():
                book.measure(name, recipe, seed, book.seconds("baseline"))
    if asked.ladder:
        for seed in asked.seeds:
            for name, recipe in LADDER.items():
                book.measure(name, recipe, seed, book.seconds("record"))


if __name__ == "__main__":
    main()
