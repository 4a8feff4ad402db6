"""Train a chapter's reference runs, one for each seed, and write their reference band to results/reference_bands/.

    MINIGPT_TIER=cpu python -m experiments.reference_bands 06_training --corpus tinyshakespeare --keep FOLDER

What is trained stands in the chapter itself: the cell with the tag `reference-run` sets `config` and `training`.
In the place of a chapter, `clinic` is a small setting on which mistakes show in seconds, for the tests of `check_run`.
The runs are kept in FOLDER; those that are there already are not trained again, and one that is half done is gone on
with.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

import minigpt
from experiments.common import RESULTS, ROOT, Result, Settings, parser_of, run_id, take
from experiments.training import about_corpus, begin, read_characters
from minigpt import CharTokenizer, GPTConfig, Split, TrainConfig, load_foundation, read_run, tier
from minigpt.notebook.check_run.reference import make_reference_band

TAG = "reference-run"
CLINIC = GPTConfig(vocab_size=1, block_size=16, n_layer=2, n_head=4, n_embd=64, dropout=0.2)
CLINIC_TRAINING = TrainConfig(
    max_steps=300,
    batch_size=16,
    learning_rate=5e-3,
    min_learning_rate=5e-4,
    warmup_steps=20,
    eval_every=25,
    eval_sequences=128,
)
SEEDS = (1, 2, 3)  # not the seed of any chapter, so that a reader's run is one more, and not one of these


def read_corpus(name: str, tiny: bool) -> tuple[CharTokenizer, Split, dict[str, Any]]:
    """Return the tokenizer, the ids, and what the header says about the corpus."""
    if name == "foundation" and not tiny:
        foundation = load_foundation()
        return foundation.tokenizer, foundation.split, {"name": name, "sha256": foundation.sha256}
    return *read_characters(name, tiny), about_corpus(name, tiny)


def reference_settings(chapter: str, tokenizer: CharTokenizer, tiny: bool) -> tuple[GPTConfig, TrainConfig]:
    """Return the model and the training that a chapter's reference cell sets on the tier in force."""
    if chapter == "clinic":
        return CLINIC.replace(vocab_size=tokenizer.vocab_size), CLINIC_TRAINING.replace(
            **{"max_steps": 50} if tiny else {}
        )
    notebook = json.loads((ROOT / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if TAG in cell["metadata"].get("tags", [])]
    names = dict(vars(minigpt)) | {"tokenizer": tokenizer, "V": tokenizer.vocab_size}
    exec("\n".join(cells), names)
    return names["config"], names["training"]


def run(settings: Settings, folder: Path) -> Result:
    """Train the reference run of a chapter with one seed; its folder keeps the log."""
    tokenizer, data, about = read_corpus(settings["corpus"], settings["tiny"])
    config, training = reference_settings(settings["chapter"], tokenizer, settings["tiny"])
    trainer = begin(
        folder, config, training.replace(seed=settings["seed"]), data, tokenizer, metadata={"corpus": about}
    )
    for record in trainer.run():
        if record.validation_loss is not None:
            print(f"seed {settings['seed']}, step {record.step:,}: {record.validation_loss:.3f}", flush=True)
    return {"steps": trainer.step}


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, and write the reference band."""
    parser = parser_of(__doc__)
    parser.add_argument("chapter", help="such as 06_training, or clinic")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--keep", type=Path, required=True, help="the folder of the runs themselves")
    parser.add_argument("--jobs", type=int, default=1, help="runs under way at a time, each on one core")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kind = [asked.chapter] if asked.chapter == "clinic" else [asked.chapter, tier()]
    name = "-".join([*kind, asked.corpus])
    seeds = [{"chapter": asked.chapter, "corpus": asked.corpus, "seed": seed, "tiny": asked.tiny} for seed in SEEDS]
    module = sys.modules[run.__module__].__spec__.name
    list(take(module, seeds, asked.keep / name, asked.jobs))
    runs = [read_run(asked.keep / name / run_id(settings) / "log.jsonl") for settings in seeds]
    target = asked.output or (asked.keep if asked.tiny else RESULTS / "reference_bands") / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    make_reference_band(", ".join([asked.chapter, *(f"{one} tier" for one in kind[1:])]), runs).save(target)
    print(f"{target} holds {len(runs)} runs.")


if __name__ == "__main__":
    main()
