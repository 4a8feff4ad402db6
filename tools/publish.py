"""Turn a finished training run into a shipped checkpoint with its model card, and its log into a record in `runs/`.

    python tools/publish.py --run FOLDER --name tiny --corpus tinyshakespeare

The best checkpoint of the run is evaluated over the whole validation split first; what that gives is written into the
header of the record, and every figure of the card comes from there.
"""

import argparse
from pathlib import Path

from minigpt import checkpoint
from minigpt.corpora import load_corpus
from minigpt.data import split_text
from minigpt.evaluate import evaluate
from minigpt.generate import generate
from minigpt.machine import describe_machine
from minigpt.model import count_parameters
from minigpt.records import Run, read_run, write_run

ROOT = Path(__file__).parent.parent
KEPT_EVERY = 10  # steps between two kept lines; lines with an evaluation or a sample are always kept

CARD = """# {title}

The {parameters:,}-parameter model of Part I: the preset `{preset}`, trained on {corpus} one character at a time.

| | |
|---|---|
| loss over the whole validation split | {loss:.4f} nats per character |
| perplexity | {perplexity:.3f} |
| bits per character | {bits:.3f} |
| characters predicted in that evaluation | {n_characters:,} |
| step of this checkpoint (lowest validation loss in training) | {best_step:,} of {steps:,} |
| characters seen in training | {seen:,} |
| training time | {minutes:.0f} minutes |
| machine | {machine} |
| date | {date} |

The validation split is the last tenth of the text, which was not trained on.
It is cut into windows of {block_size} characters without overlap, and every character but the first is predicted once.
The settings and the whole course of the run are in `{record}`.

```bash
minigpt generate --checkpoint checkpoints/{name} --prompt "ROMEO:"
minigpt evaluate --checkpoint checkpoints/{name} --corpus {corpus}
```

With the prompt `ROMEO:`, temperature 0.8 and seed 1 it writes:

```text
{sample}
```

It imitates the surface of one author's plays, and knows nothing else.
The weights are under the licence of the code; the text that they were trained on is in the public domain.
"""


def publish(run_folder: Path, name: str, corpus_name: str) -> None:
    """Write `checkpoints/<name>` and the run's record."""
    run = read_run(run_folder / "log.jsonl")
    model, tokenizer = checkpoint.load(run_folder / "best")
    corpus = load_corpus(corpus_name)
    held_out = split_text(corpus.text, tokenizer).validation
    found = evaluate(model, held_out, model.config.block_size, tokenizer=tokenizer)
    print(found)
    evaluation = {
        "checkpoint_step": run.best.step,
        "split": "validation, whole",
        "loss": found.loss,
        "n_tokens": found.n_tokens,
        "n_characters": found.n_characters,
        "machine": describe_machine(),
    }
    header = run.header | {"evaluation": evaluation, "kept_every": KEPT_EVERY}
    kept = [r for r in run.records if r.step % KEPT_EVERY == 0 or r.step == 1 or r.validation_loss or r.sample]
    record = Path("runs") / f"{run.header['name']}.jsonl"
    write_run(ROOT / record, header, kept)

    folder = ROOT / "checkpoints" / name
    checkpoint.save(folder, model, tokenizer)
    sample = generate(model, tokenizer, "ROMEO:", max_new_tokens=400, temperature=0.8, seed=1)
    card = CARD.format(
        title=f"checkpoints/{name}",
        parameters=count_parameters(model),
        preset=run.header["name"],
        corpus=corpus_name,
        loss=found.loss,
        perplexity=found.perplexity,
        bits=found.bits_per_character,
        n_characters=found.n_characters,
        best_step=run.best.step,
        steps=run.records[-1].step,
        seen=run.best.step * run.header["training"]["batch_size"] * model.config.block_size,
        minutes=run.best.seconds / 60,
        machine=machine_sentence(run),
        date=run.header["machine"]["date"],
        block_size=model.config.block_size,
        record=record,
        name=name,
        sample=sample,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def machine_sentence(run: Run) -> str:
    """Return the processor, and with how many threads each part of the run used it."""
    machine = run.header["machine"]
    threads = [f"{machine['threads']} threads"]
    threads += [f"{r['machine']['threads']} from step {r['step']:,} on" for r in run.header.get("resumed", [])]
    return f"{machine['processor']}, {', '.join(threads)}, torch {machine['torch']}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="the folder of the training run")
    parser.add_argument("--name", required=True, help="the checkpoint's name, such as tiny")
    parser.add_argument("--corpus", required=True, help="the corpus it was trained on")
    arguments = parser.parse_args()
    publish(arguments.run, arguments.name, arguments.corpus)
