"""Turn a finished training run into a shipped checkpoint with its model card, and its log into a record in `results/`.

    python -m experiments.shipped.publish --run FOLDER --name tiny --corpus tinyshakespeare
    python -m experiments.shipped.publish --run FOLDER --name medium --corpus foundation
    python -m experiments.shipped.publish --run FOLDER --name plays-bpe --corpus shakespeare-plays

The best checkpoint of the run is evaluated over the whole validation split first, each voice by itself; what that gives
is written into the header of the record, and every figure of the card comes from there. Where the run left a file
`voices.jsonl`, a line with the loss of each voice for every evaluation, it goes into the header too.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from experiments.common import ROOT
from minigpt import checkpoint
from minigpt.checkpoint.run_log import RunLog, read_run, write_run
from minigpt.data.batches import split_text
from minigpt.data.corpora import load_corpus
from minigpt.data.foundation import load_foundation
from minigpt.evaluation.evaluate import EvalResult, evaluate
from minigpt.generation.generate import generate
from minigpt.model.gpt import count_parameters
from minigpt.tokenizer.base import Tokenizer
from minigpt.utils.files import atomic_write_text
from minigpt.utils.machine import environment_info

KEPT_EVERY = 10  # steps between two kept lines; lines with an evaluation or a sample are always kept
SAMPLING = {"max_new_tokens": 400, "temperature": 0.8, "seed": 1}


@dataclass(frozen=True)
class About:
    """What a model card says that no record knows."""

    place: str
    prompts: tuple[str, ...]
    split: str
    remarks: str
    tokens: str = "characters"


ABOUT = {
    "tiny": About(
        place="the model of Part I",
        prompts=("ROMEO:",),
        split="The validation split is the last tenth of the text, which was not trained on.",
        remarks="It imitates the surface of one author's plays, and knows nothing else.\n"
        "The weights are under the licence of the code; the text that they were trained on is in the public domain.",
    ),
    "medium": About(
        place="the model of chapter 9",
        prompts=("ROMEO:\n", "def ", "Return the "),
        split="The validation split is the last tenth of each voice, which was not trained on: "
        "the verse of the plays, the code of sympy without its docstrings, and those docstrings as prose.",
        remarks="It imitates the surface of its three voices: "
        "what it says of mathematics is made up, and its code does not run.\n"
        "The weights are under the licence of the code; the plays are in the public domain, and sympy is under the "
        "BSD licence.",
    ),
    "plays-bpe": About(
        place="the model of the hour in chapter 19",
        prompts=("ROMEO:\n", "Enter the King"),
        split="The validation split is the last tenth of the plays, which was not trained on, "
        "and the vocabulary was not learnt from it.",
        remarks="It imitates the surface of one author's plays, and knows nothing else.\n"
        "The weights are under the licence of the code; the text that they were trained on is in the public domain.",
        tokens="subwords",
    ),
}

CARD = """# checkpoints/{name}

The {parameters:,}-parameter model, {place}: the preset `{preset}`, trained on {corpus}, read as {tokens}.

| | |
|---|---|
| loss over the whole validation split | {loss:.4f} nats per token |
| perplexity | {perplexity:.3f} |
| bits per character | {bits:.3f} |
{voices}| characters predicted in that evaluation | {n_characters:,} |
| step of this checkpoint (lowest validation loss in training) | {best_step:,} of {steps:,} |
| tokens predicted in that evaluation | {n_tokens:,} |
| tokens seen in training | {seen:,} |
| training time | {minutes:.0f} minutes |
| machine | {machine} |
| date | {date} |

{split}
It is cut into windows of {block_size} tokens without overlap, and every token but the first is predicted once.
The settings and the whole course of the run are in `{record}`.

```bash
minigpt generate --checkpoint checkpoints/{name} --prompt "{first_prompt}"
minigpt evaluate --checkpoint checkpoints/{name} --corpus {corpus}
```

{samples}

{remarks}
"""

SAMPLE = """With the prompt `{prompt}`, temperature {temperature} and seed {seed} it writes:

```text
{text}
```"""


def publish(run_folder: Path, name: str, corpus: str) -> None:
    """Write `checkpoints/<name>` and the run's record."""
    run = read_run(run_folder / "log.jsonl")
    model, tokenizer = checkpoint.load(run_folder / "best")
    voices = {
        voice: evaluate(model, ids, model.config.block_size, tokenizer=tokenizer)
        for voice, ids in held_out(corpus, tokenizer).items()
    }
    whole = EvalResult.combine(voices.values())
    print(whole, *(f"{voice}: {found}" for voice, found in voices.items()), sep="\n")
    evaluation = {"checkpoint_step": run.best.step, "split": "validation, whole", **figures(whole)}
    if len(voices) > 1:
        evaluation["voices"] = {voice: figures(found) for voice, found in voices.items()}
    course = run_folder / "voices.jsonl"
    by_voice = {"by_voice": list(map(json.loads, course.read_text("utf-8").splitlines()))} if course.exists() else {}
    preset = run.header.get("name", run.header.get("preset"))
    header = run.header | by_voice
    header |= {"evaluation": evaluation | {"machine": environment_info()}, "kept_every": KEPT_EVERY}
    kept = [r for r in run.records if r.step % KEPT_EVERY == 0 or r.step == 1 or r.validation_loss or r.sample]
    record = Path("results") / f"{name if name == 'medium' else preset}.jsonl"
    write_run(ROOT / record, header, kept)

    folder = ROOT / "checkpoints" / name
    checkpoint.save(folder, model, tokenizer)
    about = ABOUT[name]
    rows = [f"| {voice}: bits per character | {found.bits_per_character:.3f} |\n" for voice, found in voices.items()]
    samples = [(prompt, generate(model, tokenizer, prompt, **SAMPLING)) for prompt in about.prompts]
    card = CARD.format(
        name=name,
        parameters=count_parameters(model),
        place=about.place,
        preset=preset,
        corpus=corpus,
        loss=whole.loss,
        perplexity=whole.perplexity,
        bits=whole.bits_per_character,
        voices="".join(rows) if len(rows) > 1 else "",
        n_characters=whole.n_characters,
        n_tokens=whole.n_tokens,
        tokens=about.tokens,
        best_step=run.best.step,
        steps=run.records[-1].step,
        seen=run.best.step * run.header["training"]["batch_size"] * model.config.block_size,
        minutes=run.best.seconds / 60,
        machine=machine_sentence(run),
        date=run.header["machine"]["date"],
        split=about.split,
        block_size=model.config.block_size,
        record=record.as_posix(),
        first_prompt=about.prompts[0].strip(),
        samples="\n\n".join(
            SAMPLE.format(prompt=prompt.replace("\n", r"\n"), text=text.rstrip(), **SAMPLING)
            for prompt, text in samples
        ),
        remarks=about.remarks,
    )
    atomic_write_text(folder / "README.md", card)


def held_out(corpus: str, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Return the validation part of a corpus, of each voice if it has several."""
    if corpus == "foundation":
        return {name: split.validation for name, split in load_foundation(tokenizer=tokenizer).voices.items()}
    return {corpus: split_text(load_corpus(corpus).text, tokenizer).validation}


def figures(found: EvalResult) -> dict[str, float]:
    """Return what a header keeps of an evaluation."""
    return {
        "loss": found.loss,
        "bits_per_character": found.bits_per_character,
        "n_tokens": found.n_tokens,
        "n_characters": found.n_characters,
    }


def machine_sentence(run: RunLog) -> str:
    """Return the processor, and with how many threads each part of the run used it."""
    machine = run.header["machine"]
    parts = [machine, *(resumed["machine"] for resumed in run.header.get("resumed", []))]
    counts = [f"{part['threads']} thread{'s' if part['threads'] != 1 else ''}" for part in parts]
    places = ["", *(f" from step {resumed['step']:,} on" for resumed in run.header.get("resumed", []))]
    used = ", ".join(count + place for count, place in zip(counts, places, strict=True))
    return f"{machine['processor']}, {used}, torch {machine['torch']}"


def main() -> None:
    """Publish a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder of the training run")
    parser.add_argument("--name", required=True, choices=ABOUT, help="the checkpoint's name")
    parser.add_argument("--corpus", required=True, help="the corpus it was trained on")
    arguments = parser.parse_args()
    publish(arguments.run, arguments.name, arguments.corpus)


if __name__ == "__main__":
    main()
