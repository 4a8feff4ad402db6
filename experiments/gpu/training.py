"""The runs of training of `run.py`: GPT-2 learns the plays by heart, GPT-2 Small reads the foundation."""

import math
import statistics
from collections import deque
from typing import Any

from experiments.gpu.common import Part, described_speed
from experiments.training import begin
from minigpt import (
    BPETokenizer,
    CharTokenizer,
    Corpus,
    GPTConfig,
    Split,
    TrainConfig,
    Trainer,
    UserError,
    asset_path,
    checkpoint,
    count_parameters,
    evaluate,
    load_corpus,
    load_foundation,
    load_tokenizer,
    model_preset,
    read_run,
    split_text,
    training_preset,
)
from minigpt.checkpoint.run_log import write_run
from minigpt.data.plays import each_play
from minigpt.training.throughput import measure_throughput

KEPT_EVERY = 10  # steps between two kept lines of a log
RECENT = 20  # steps whose mean loss decides, so that one lucky batch does not
OWN_VOCABULARY = "checkpoints/gpt2-small/tokenizer.json"


def memorise(part: Part) -> None:
    """Train GPT-2 on the plays until the mean training loss of some steps is below the target."""
    small = part.sizes.small
    corpus = Corpus("a scene", each_play(every=40)[0][:3000]) if small else load_corpus("shakespeare-plays")
    tokenizer = CharTokenizer.from_text(corpus.text) if small else subwords()
    model, training = part.sizes.memorise
    config = model_preset("gpt2", **model, vocab_size=tokenizer.vocab_size)
    settings = training_preset("gpt2", **training, compile=part.compile)
    note = {"corpus": {"name": corpus.name, "sha256": corpus.sha256}}
    train(part, config, settings, split_text(corpus.text, tokenizer), tokenizer, note, part.sizes.target)


def read_foundation(part: Part) -> None:
    """Train GPT-2 Small on the three voices, with as many steps as the time allows, and evaluate it voice by voice."""
    own = None if part.sizes.small else load_tokenizer(asset_path(OWN_VOCABULARY))
    foundation = load_foundation(every=400 if part.sizes.small else 1, tokenizer=own)
    tokenizer = foundation.tokenizer
    model, training = part.sizes.foundation
    config = model_preset("gpt2-small-32k", **model, vocab_size=tokenizer.vocab_size)
    settings = training_preset("gpt2-small-32k", **training, compile=part.compile)
    speed = measure_throughput(config, settings, steps=part.sizes.repeats, device=part.device)
    fitting = int(0.9 * part.left * speed / (settings.batch_size * config.block_size))  # the rest is for evaluations
    steps = max(1, min(settings.max_steps, fitting))
    settings = settings.replace(max_steps=steps, warmup_steps=min(settings.warmup_steps, steps // 20))
    note = {"corpus": {"name": "foundation", "sha256": foundation.sha256, "versions": foundation.versions}}
    trainer = train(part, config, settings, foundation.split, tokenizer, note)
    best = checkpoint.load(trainer.folder.path).model.to(part.device)
    voices = {
        name: evaluate(best, voice.validation, config.block_size, tokenizer=tokenizer).to_dict()
        for name, voice in foundation.voices.items()
    }
    part.records.put(part.name, voices=voices)


def subwords() -> BPETokenizer:
    """Return GPT-2's tokenizer or, where it cannot be had, the book's own of 32,000 tokens."""
    try:
        return BPETokenizer.gpt2()
    except UserError as error:
        print(f"The book's own vocabulary stands in for GPT-2's: {error}")
        return load_tokenizer(asset_path(OWN_VOCABULARY))


def train(
    part: Part,
    config: GPTConfig,
    settings: TrainConfig,
    data: Split,
    tokenizer: BPETokenizer | CharTokenizer,
    note: dict[str, Any],
    target: float = 0.0,
) -> Trainer:
    """Train, or go on with training, until the target, the last step or the end of the time; record how it went."""
    folder = part.work / part.name
    trainer = begin(folder, config, settings, data, tokenizer, device=part.device, metadata=note, changes={})
    earlier = read_run(folder / "log.jsonl").records if trainer.step else []
    recent = deque((record.loss for record in earlier), maxlen=RECENT)
    status = "done"
    for record in trainer.run():
        recent.append(record.loss)
        if len(recent) == RECENT and statistics.mean(recent) < target:
            break
        if part.left < 0 and not trainer.finished:
            status = "out of time"
            break
    trainer.save()
    log = read_run(folder / "log.jsonl")
    kept = [each for each in log.records if each.step % KEPT_EVERY in (0, 1) or each.validation_loss is not None]
    write_run(part.records.folder / f"gpu-{part.name}.jsonl", log.header | {"kept_every": KEPT_EVERY}, kept)
    speed = statistics.median(record.tokens_per_second for record in log.records)
    part.records.put(
        part.name,
        **note,
        tokenizer={"kind": tokenizer.kind, "vocab_size": tokenizer.vocab_size},
        model=trainer.model.config.to_dict(),
        parameters=count_parameters(trainer.model),
        training=trainer.config.to_dict(),
        steps=trainer.step,
        seconds=trainer.seconds,
        training_loss=statistics.mean(recent),
        best_validation_loss=trainer.best_loss if trainer.best_loss < math.inf else None,
        **described_speed(config, speed, part.device, trainer.config.precision),
        status=status,
    )
    return trainer
