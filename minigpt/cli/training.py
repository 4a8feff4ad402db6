"""`minigpt train`."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from minigpt import checkpoint
from minigpt.cli.shared import CorpusName, TextFile, open_corpus
from minigpt.cli.tokenizing import Named, TokenizerName, choose_tokenizer
from minigpt.config import require
from minigpt.corpora import Corpus
from minigpt.data import split_text
from minigpt.interrupt import finish_step_on_interrupt
from minigpt.model import GPT, count_parameters
from minigpt.monitor import progress_bar
from minigpt.presets import preset, training_preset
from minigpt.records import read_run
from minigpt.train import Trainer

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


def train(
    out: Annotated[Path, typer.Option(help="The folder for the log and the checkpoints of this run.")],
    preset_name: Annotated[
        str, typer.Option("--preset", help="The architecture; `minigpt presets` lists them.")
    ] = "tiny_char",
    corpus: CorpusName = "tinyshakespeare",
    text: TextFile = None,
    tokenizer: TokenizerName = None,
    steps: Annotated[int | None, typer.Option(help="How many steps to train, in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows of text in each step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate, after the warmup.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between two validations.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between two checkpoints.")] = None,
    sample_every: Annotated[int | None, typer.Option(help="Steps between two samples; 0 for none.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of the weights, the batches and dropout.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train a model on a corpus or on your own text.

    An option left out is as the preset recommends. Ctrl-C ends the run after the step in hand and saves it.

    Example: minigpt train --preset small_char --text my.txt --out runs/mine
    """
    options = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "eval_every": eval_every,
        "save_every": save_every,
        "sample_every": sample_every,
        "seed": seed,
    }
    changes = {name: value for name, value in options.items() if value is not None}
    if resume:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in changes)
        require(not changes, f"--resume keeps the settings of the run in {out}; leave out {flags}.")
        require(tokenizer is None, f"--resume keeps the tokenizer of the run in {out}; leave out --tokenizer.")
        trainer = resumed_trainer(out, steps, open_corpus(corpus, text))
    else:
        if steps is not None:
            changes["max_steps"] = steps
        trainer = new_trainer(out, preset_name, changes, open_corpus(corpus, text), tokenizer or Named.char)
    typer.echo(f"{count_parameters(trainer.model):,} parameters on {trainer.device}, into {out}")
    watch(trainer)


def new_trainer(
    out: Path, preset_name: str, changes: dict[str, int | float], source: Corpus, tokenizer_name: str
) -> Trainer:
    """Build a tokenizer and a model for a text, and the trainer that brings them together."""
    typer.echo(str(source))
    settings = training_preset(preset_name, **changes)
    tokenizer = choose_tokenizer(tokenizer_name, source.text)
    data = split_text(source.text, tokenizer)
    torch.manual_seed(settings.seed)
    model = GPT(preset(preset_name, vocab_size=tokenizer.vocab_size))
    note = {"preset": preset_name, "corpus": {"name": source.name, "sha256": source.sha256}}
    return Trainer(model, data, settings, tokenizer=tokenizer, folder=out, note=note)


def resumed_trainer(out: Path, steps: int | None, source: Corpus) -> Trainer:
    """Return the trainer of a run that was interrupted, after checking that the text is the same."""
    tokenizer = checkpoint.load(out / "last").tokenizer
    trained_on = read_run(out / "log.jsonl").header.get("corpus", {})
    require(
        trained_on.get("sha256") in (None, source.sha256),
        f"The run in {out} was trained on another text ({trained_on.get('name')}) than {source.name}; "
        "name the same text with --corpus or --text.",
    )
    return Trainer.resume(out, split_text(source.text, tokenizer), max_steps=steps)


def watch(trainer: Trainer) -> None:
    """Run the training with a progress bar; after Ctrl-C, finish the step, save, and say how to go on."""
    total = trainer.config.max_steps
    if trainer.step >= total:
        typer.echo(f"This run is complete at step {trainer.step:,}; go further with --resume --steps {2 * total}.")
        return
    with finish_step_on_interrupt() as interrupted:
        for record in progress_bar(trainer.run(), total, start=trainer.step):
            if interrupted() and record.step < total:
                trainer.save()
                typer.echo(f"Stopped after step {record.step:,} and saved; go on with the same command and --resume.")
                raise typer.Exit(INTERRUPTED)
    typer.echo(f"Best validation loss {trainer.best_loss:.4f} nats per token.")
    typer.echo(f'Let it write: minigpt generate --checkpoint {trainer.folder} --prompt "…"')
