"""A GPT learns one play by heart, and the record says what that gives; it goes to runs/.

    python benchmarks/memorising.py --folder FOLDER
    python benchmarks/memorising.py --beside checkpoints/plays-bpe

The model and the vocabulary are those of the preset `plays-bpe`, the recipe is the one of the preset `gpt2`: windows of
128 tokens, a constant learning rate, no dropout. The run ends when the training loss, as a mean over one pass, is below
the target. On the way the model is measured: its loss at each place of a window, on the play and on held-out text, what
it writes, and how much of that stands in the play. Started again with the same folder, it goes on. `--beside` measures
another model in the same way on the same held-out text and adds it.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from minigpt import (
    GPT,
    BPETokenizer,
    Split,
    Trainer,
    checkpoint,
    count_parameters,
    evaluate,
    load_corpus,
    preset,
    read_run,
    split_text,
    training_preset,
)
from minigpt.copy_view import copied_pieces
from minigpt.machine import describe_machine
from minigpt.memorising import go_on, loss_by_place, memory_floor, recited_share, stretches
from minigpt.overlap import copied_places, matches
from minigpt.plays import each_play
from minigpt.records import write_run

RUNS = Path(__file__).parent.parent / "runs"
PLAY = ("A Midsummer Night's Dream", 0)  # its title, and its place among the plays
MEASURED_AFTER = (25, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1400, 2000, 2800)  # steps, and at the end
BLOCK_SIZE = 128
PROMPT_TOKENS, WRITTEN_TOKENS, WRITTEN_TEXTS, AT_LEAST = 16, 64, 16, 8
KEPT_EVERY = 5


class Materials:
    """The play, the held-out text and the vocabulary; `small` takes a little of each, for a trial in seconds."""

    def __init__(self, small: bool = False) -> None:
        self.corpus = load_corpus("shakespeare-plays")
        config = preset("plays-bpe", block_size=BLOCK_SIZE, dropout=0.0)
        self.config = config.replace(vocab_size=300, n_layer=1, n_embd=32, block_size=16) if small else config
        text = self.corpus.text[:200_000] if small else self.corpus.text
        training_part = text[: len(text) * 9 // 10]
        self.tokenizer = BPETokenizer.train(training_part, self.config.vocab_size, fast=True)
        whole = split_text(text, self.tokenizer)
        self.training_part, self.held_out = whole.train, whole.validation
        play = self.tokenizer.encode(each_play()[PLAY[1]])
        self.play = torch.tensor(play[:400] if small else play)
        self.steps_per_pass = max(1, round(len(self.play) / (training_preset("gpt2").batch_size * BLOCK_SIZE)))

    def describe(self) -> dict:
        """Return what the record says about them."""
        return {
            "corpus": {"name": self.corpus.name, "sha256": self.corpus.sha256},
            "play": {"title": PLAY[0], "tokens": len(self.play), "characters": self.count_characters(self.play)},
            "held_out": {"tokens": len(self.held_out), "characters": self.count_characters(self.held_out)},
            "model": self.config.to_dict(),
            "parameters": count_parameters(GPT(self.config)),
            "floor": memory_floor(self.play, self.config.block_size),
            "measured": f"{WRITTEN_TEXTS} texts of {WRITTEN_TOKENS} tokens, drawn from all tokens after prompts of "
            f"{PROMPT_TOKENS} held-out ones; copied: in stretches of {AT_LEAST} or more that stand in the play",
        }

    def count_characters(self, ids: Tensor) -> int:
        """Return how many characters a text has."""
        return len(self.tokenizer.decode(ids.tolist()))


def measure(model: GPT, materials: Materials, source: Tensor) -> dict:
    """Return the losses of a model by place, and how much of what it writes stands in the source."""
    windows = materials.config.block_size
    places = {
        "play": loss_by_place(model, materials.play, windows),
        "held_out": loss_by_place(model, materials.held_out, windows),
    }
    prompts = stretches(materials.held_out, PROMPT_TOKENS, WRITTEN_TEXTS)
    written = go_on(model, prompts, WRITTEN_TOKENS, torch.Generator().manual_seed(1))
    return {
        "loss": {name: round(by_place.mean().item(), 4) for name, by_place in places.items()},
        "by_place": {name: [round(loss, 3) for loss in by_place.tolist()] for name, by_place in places.items()},
        "recited": recited_share(model, materials.play, PROMPT_TOKENS, 32, places=64),
        "overlap": shared(written, source),
        "samples": [
            {"prompt": materials.tokenizer.decode(prompt), "pieces": copied_pieces(materials.tokenizer, ids, source)}
            for prompt, ids in zip(prompts.tolist()[:4], written.tolist()[:4], strict=True)
        ],
    }


def shared(texts: Tensor, source: Tensor) -> dict:
    """Return the longest stretch that each of some texts shares with a source, and the share copied of all of them."""
    copied = [copied_places(text, source, AT_LEAST) for text in texts]
    longest = [max(matches(text, source)) for text in texts]
    return {"longest": longest, "share": sum(map(sum, copied)) / sum(map(len, copied))}


def on_all_held_out(model: GPT, materials: Materials) -> dict:
    """Return the loss over the whole held-out text, in windows of this run's size."""
    found = evaluate(model, materials.held_out, materials.config.block_size, tokenizer=materials.tokenizer)
    return {"loss": found.loss, "bits_per_character": found.bits_per_character, "tokens": found.n_tokens}


def memorise(materials: Materials, folder: Path, out: Path, target: float, settings: dict) -> None:
    """Train until the training loss is below the target, and measure on the way."""
    data = Split(materials.play, materials.held_out)
    record = materials.describe() | {"machine": describe_machine(), "target": target, "points": []}
    if (folder / "last").exists():
        trainer = Trainer.resume(folder, data, device="cpu")
        earlier = json.loads(out.read_text("utf-8"))["points"] if out.exists() else []
        record["points"] = [point for point in earlier if point["step"] <= trainer.step]
    else:
        config = training_preset("gpt2", **settings)
        torch.manual_seed(config.seed)
        note = {name: record[name] for name in ("corpus", "play", "held_out", "floor")}
        trainer = Trainer(GPT(materials.config), data, config, tokenizer=materials.tokenizer, folder=folder, note=note)
    record["training"] = trainer.config.to_dict()
    yardstick = stretches(materials.held_out, WRITTEN_TOKENS, 10 * WRITTEN_TEXTS)
    record["yardstick"] = shared(yardstick, materials.play)
    losses = [each.loss for each in read_run(folder / "log.jsonl").records] if trainer.step else []
    for step in trainer.run():
        losses.append(step.loss)
        recent = losses[-materials.steps_per_pass :]
        mean = sum(recent) / len(recent)
        if step.step in MEASURED_AFTER or mean < target:
            point = {"step": step.step, "seconds": round(step.seconds), "recent_loss": round(mean, 4)}
            record["points"].append(point | measure(trainer.model, materials, materials.play))
            write(out, record)
            print(step.step, f"{mean:.3f}", record["points"][-1]["loss"], record["points"][-1]["overlap"], flush=True)
        if mean < target:
            trainer.save()
            break
    models = {"best": checkpoint.load(folder / "best").model, "last": trainer.model}
    record["on_all_held_out"] = {name: on_all_held_out(model, materials) for name, model in models.items()}
    write(out, record)
    run = read_run(folder / "log.jsonl")
    kept = [each for each in run.records if each.step % KEPT_EVERY == 0 or each.step == 1 or each.validation_loss]
    write_run(out.with_suffix(".jsonl"), run.header | {"kept_every": KEPT_EVERY}, [*kept, run.records[-1]])


def beside(materials: Materials, folder: Path, out: Path) -> None:
    """Add the figures of a model that was trained on the whole training part, which is what it may copy from."""
    record = json.loads(out.read_text("utf-8"))
    model, tokenizer = checkpoint.load(folder)
    assert tokenizer.to_dict() == materials.tokenizer.to_dict(), "the two models must have the same vocabulary"
    yardstick = stretches(materials.held_out, WRITTEN_TOKENS, 10 * WRITTEN_TEXTS)
    record["beside"] = {
        "name": folder.name,
        "model": model.config.to_dict(),
        "training_tokens": len(materials.training_part),
        "yardstick": shared(yardstick, materials.training_part),
        "on_all_held_out": on_all_held_out(model, materials),
        **measure(model, materials, materials.training_part),
    }
    write(out, record)
    print({name: record["beside"][name] for name in ("on_all_held_out", "loss", "overlap", "recited")})


def write(out: Path, record: dict) -> None:
    """Write the record anew."""
    out.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Memorise, or measure another model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the run keeps its checkpoints")
    parser.add_argument("--beside", type=Path, help="the checkpoint of another model to measure")
    parser.add_argument("--out", type=Path, default=RUNS / "memorising.json")
    parser.add_argument("--target", type=float, default=0.1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=4000, help="the run ends here at the latest")
    parser.add_argument("--small", action="store_true", help="a little of everything, in seconds")
    arguments = parser.parse_args()
    materials = Materials(arguments.small)
    if arguments.folder:
        settings = {"learning_rate": arguments.learning_rate, "min_learning_rate": arguments.learning_rate}
        settings |= {"max_steps": arguments.steps, "eval_every": 25, "eval_windows": 64, "save_every": 100}
        memorise(materials, arguments.folder, arguments.out, arguments.target, settings)
    if arguments.beside:
        beside(materials, arguments.beside, arguments.out)


if __name__ == "__main__":
    main()
