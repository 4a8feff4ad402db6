"""The training loop, as a generator: it yields a record after every step, and the caller prints, plots or stops.

Shapes: N tokens, B batch, T time.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import torch

from minigpt import checkpoint
from minigpt.config import TrainConfig, require
from minigpt.data import Split, random_batch, require_ids, require_windows
from minigpt.errors import UserError
from minigpt.evaluate import cross_entropy, evaluate
from minigpt.files import whole
from minigpt.generate import encode_prompt, generate
from minigpt.machine import describe_machine, peak_memory_mb, pick_device
from minigpt.model import GPT, Factory
from minigpt.optim import make_adamw, warmup_cosine
from minigpt.randomness import current_random_state, restore_random_state, seeded_random_state, unchanged_randomness
from minigpt.records import Record, append_record, read_run, write_run
from minigpt.tokenizers import CharTokenizer


class Trainer:
    """Train a model on random windows of a text.

    With `folder`, a run leaves `log.jsonl`, the checkpoint `best` (lowest validation loss) and the checkpoint `last`
    (from which `Trainer.resume` goes on, to the bit). `note` adds entries to the header of the log.

    Raises:
        UserError: a part of the text is shorter than one window or holds ids that the model does not know, the
            tokenizer does not know the sample's prompt, or saving was asked for without a tokenizer.
    """

    def __init__(
        self,
        model: GPT,
        data: Split,
        config: TrainConfig,
        *,
        tokenizer: CharTokenizer | None = None,
        folder: Path | str | None = None,
        device: torch.device | str | None = None,
        note: dict[str, Any] | None = None,
    ) -> None:
        require_windows(data, model.config.block_size)
        require_ids(data, model.config.vocab_size)
        needs_tokenizer = folder is not None or config.sample_every > 0
        require(tokenizer is not None or not needs_tokenizer, "Saving and sampling need a tokenizer: pass tokenizer=….")
        if config.sample_every > 0:
            encode_prompt(tokenizer, config.sample_prompt, "sample_prompt")  # a mistake shows now, not at the sample
        self.device = torch.device(device) if device else pick_device()
        self.model = model.to(self.device)
        self.data = data
        self.config = config
        self.tokenizer = tokenizer
        self.folder = Path(folder) if folder else None
        self.note = note or {}
        self.optimizer = make_adamw(model, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.fresh = True
        self.step = 0
        self.seconds = 0.0
        self.best_loss = math.inf
        self.random_state = seeded_random_state(config.seed)

    def run(self) -> Iterator[Record]:
        """Train up to `max_steps`, yielding a record after every step.

        Raises:
            UserError: the loss is no longer a number; the checkpoints written before are intact.
        """
        if self.folder and self.fresh:
            self.start_folder()
        self.fresh = False
        while self.step < self.config.max_steps:
            yield self.advance()

    def advance(self) -> Record:
        """Take one step and everything that is due after it: evaluation, sample, checkpoint, log."""
        started = time.perf_counter()
        learning_rate, loss, gradient_norm = self.take_step()
        step_seconds = time.perf_counter() - started
        self.step += 1
        last_step = self.step == self.config.max_steps
        validation_loss = self.validate() if last_step or self.step % self.config.eval_every == 0 else None
        best = validation_loss is not None and validation_loss < self.best_loss
        self.best_loss = validation_loss if best else self.best_loss
        sample = self.sample() if is_due(self.step, self.config.sample_every) else None
        self.seconds += time.perf_counter() - started
        record = Record(
            step=self.step,
            loss=loss,
            learning_rate=learning_rate,
            gradient_norm=gradient_norm,
            seconds=self.seconds,
            tokens_per_second=self.config.batch_size * self.model.config.block_size / step_seconds,
            peak_memory_mb=peak_memory_mb(self.device),
            validation_loss=validation_loss,
            best=best,
            sample=sample,
        )
        if self.folder:
            append_record(self.folder / "log.jsonl", record)
            if best:
                checkpoint.save(self.folder / "best", self.model, self.tokenizer)
            if last_step or self.step % self.config.save_every == 0:
                self.save()
        return record

    def take_step(self) -> tuple[float, float, float]:
        """Update the weights once; return the learning rate, the loss and the norm of the gradient before clipping."""
        self.model.train()
        learning_rate = warmup_cosine(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        inputs, targets = random_batch(
            self.data.train, self.config.batch_size, self.model.config.block_size, self.generator
        )
        self.optimizer.zero_grad(set_to_none=True)
        with unchanged_randomness():
            restore_random_state(self.random_state)
            loss = cross_entropy(self.model(inputs.to(self.device)), targets.to(self.device))
            self.random_state = current_random_state()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            raise UserError(
                f"At step {self.step + 1} the loss is {loss.item()} and its gradient's norm {norm.item()}; start again "
                f"with a lower learning_rate than {self.config.learning_rate:g} or a lower clip_norm than "
                f"{self.config.clip_norm:g} (the checkpoints saved before are intact)."
            )
        self.optimizer.step()
        return learning_rate, loss.item(), norm.item()

    def validate(self) -> float:
        """Return the loss on `eval_windows` fixed windows, spread evenly over the validation part."""
        block_size = self.model.config.block_size
        return evaluate(self.model, self.data.validation, block_size, max_windows=self.config.eval_windows).loss

    def sample(self) -> str:
        """Return what the model writes now after `sample_prompt`."""
        settings = {"max_new_tokens": self.config.sample_tokens, "seed": self.config.seed, "temperature": 0.8}
        return generate(self.model, self.tokenizer, self.config.sample_prompt, **settings)

    def start_folder(self) -> None:
        """Write a first checkpoint, then the header of the log: what was set, on which machine, when.

        Raises:
            UserError: the folder already holds a run, or cannot be written.
        """
        log = self.folder / "log.jsonl"
        taken = log.exists() or whole(self.folder / "best").exists()
        require(not taken, f"{self.folder} already holds a run; resume it, or choose another folder.")
        header = {
            "model": self.model.config.to_dict(),
            "training": self.config.to_dict(),
            "machine": describe_machine(),
            **self.note,
        }
        self.save()
        write_run(log, header)

    def save(self) -> None:
        """Write the checkpoint `last`, with all that is needed to go on as if nothing had happened."""
        state = {
            "training": self.config.to_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "random_state": self.random_state,
            "step": self.step,
            "seconds": self.seconds,
            "best_loss": self.best_loss,
        }
        checkpoint.save(self.folder / "last", self.model, self.tokenizer, state)

    @classmethod
    def resume(
        cls,
        folder: Path | str,
        data: Split,
        *,
        device: torch.device | str | None = None,
        max_steps: int | None = None,
        **factories: Factory,
    ) -> Self:
        """Return a trainer that goes on from the checkpoint `last` of a run; `max_steps` can extend it.

        Lines that the log holds beyond that checkpoint are taken back, since those steps are run again. Components
        of the model that were replaced have to be given again, as for `checkpoint.load`.

        Raises:
            UserError: there is no such checkpoint, or it is damaged.
        """
        folder = Path(folder)
        require(
            whole(folder / "last").exists(),
            f"{folder} holds no run to go on with (no checkpoint 'last'); check the path, or start a new run.",
        )
        model, tokenizer = checkpoint.load(folder / "last", **factories)
        state = checkpoint.read_trainer_state(folder / "last")
        config = TrainConfig.from_dict(state["training"], f"{folder / 'last' / 'trainer.pt'}")
        if max_steps is not None:
            config = config.replace(max_steps=max_steps)
        trainer = cls(model, data, config, tokenizer=tokenizer, folder=folder, device=device)
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.generator.set_state(state["generator"])
        trainer.random_state = state["random_state"]
        trainer.fresh = False
        trainer.step = state["step"]
        trainer.seconds = state["seconds"]
        trainer.best_loss = state["best_loss"]
        run = read_run(folder / "log.jsonl")
        resumed = [*run.header.get("resumed", []), {"step": trainer.step, "machine": describe_machine()}]
        kept = [record for record in run.records if record.step <= trainer.step]
        write_run(folder / "log.jsonl", run.header | {"resumed": resumed}, kept)
        return trainer


def is_due(step: int, every: int) -> bool:
    """Return whether something that happens every so many steps (0: never) happens after this one."""
    return every > 0 and step % every == 0
