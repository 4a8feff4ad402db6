"""The training loop, as a generator: it yields a record after every step, and the caller prints, plots or stops.

Shapes: N tokens, B batch, T time.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import torch

from minigpt import checkpoint
from minigpt.config import TrainConfig, require
from minigpt.data import Split, random_batch, require_ids, require_windows
from minigpt.errors import UserError, present
from minigpt.evaluation import evaluate
from minigpt.generation import encode_prompt, generate
from minigpt.machine import peak_memory_mb, pick_device
from minigpt.model import GPT, Factory
from minigpt.tokenizers import Tokenizer
from minigpt.training.accumulate import backward_in_pieces
from minigpt.training.compiling import compiled
from minigpt.training.optim import make_optimizer, warmup_cosine
from minigpt.training.parallel import require_shares, spread
from minigpt.training.precision import Precision
from minigpt.training.randomness import (
    current_random_state,
    restore_random_state,
    seeded_random_state,
    unchanged_randomness,
)
from minigpt.training.ranks import is_first_process
from minigpt.training.records import Record
from minigpt.training.resources import ResourceMeter
from minigpt.training.resuming import put_back, settings_of, state_of, way_out
from minigpt.training.run_folder import RunFolder
from minigpt.training.stopping import is_ruined, reasons_to_stop

NO_TOKENIZER = "Saving and sampling need a tokenizer: pass tokenizer=…."


class Trainer:
    """Train a model on random windows of a text.

    With `folder`, a run leaves `log.jsonl`, the checkpoint `best` (lowest validation loss) and the checkpoint `last`
    (from which `Trainer.resume` goes on, to the bit where as many threads compute). `note` adds entries to the header
    of the log.

    Inside `process_group`, each process trains on its share of every batch, and rank 0 writes; with `shard`, each holds
    its share of the model, too.

    Raises:
        UserError: a part of the text is shorter than one window or holds ids that the model does not know, the
            tokenizer does not know the sample's prompt, saving was asked for without a tokenizer, or the batch cannot
            be shared out.
    """

    def __init__(
        self,
        model: GPT,
        data: Split,
        config: TrainConfig,
        *,
        tokenizer: Tokenizer | None = None,
        folder: Path | str | None = None,
        device: torch.device | str | None = None,
        note: dict[str, Any] | None = None,
        shard: bool = False,
    ) -> None:
        require_windows(data, model.config.block_size)
        require_ids(data, model.config.vocab_size)
        require(folder is None or tokenizer is not None, NO_TOKENIZER)
        if config.sample_every > 0:  # a mistake in the prompt shows now, not at the first sample
            encode_prompt(present(tokenizer, NO_TOKENIZER), config.sample_prompt, "sample_prompt")
        self.device = torch.device(device) if device else pick_device()
        self.precision = Precision(config.precision, self.device)
        require(
            not (shard and self.precision.name == "float16"),
            "A sharded model's gradients cannot be scaled, as float16 needs; choose precision bfloat16 or float32.",
        )
        self.model = model.to(self.device)
        self.parallel = spread(self.model, shard)
        self.network = compiled(self.parallel.network) if config.compile else self.parallel.network
        require_shares(config.batch_size, config.accumulate, self.parallel.size)
        self.data = data
        self.config = config
        self.tokenizer = tokenizer
        self.folder = RunFolder(folder) if folder else None
        self.note = note or {}
        self.optimizer = make_optimizer(model, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.random_state = seeded_random_state(config.seed + self.parallel.rank)  # dropout differs between shares
        self.meter = ResourceMeter(self.device)
        self.fresh = True
        self.step = 0
        self.seconds = 0.0
        self.first_loss = 0.0
        self.best_loss = math.inf
        self.waited = 0
        self.saved_step = 0

    @property
    def finished(self) -> str | None:
        """Why the run is over, as the end of a sentence, or None while it goes on."""
        return next(iter(self.limits_reached.values()), None)

    @property
    def limits_reached(self) -> dict[str, str]:
        """The settings whose limits the run has reached, each with why."""
        return reasons_to_stop(self.config, self.step, self.best_loss, self.waited)

    def run(self) -> Iterator[Record]:
        """Train until the run is `finished`, yielding a record after every step.

        Raises:
            UserError: the folder holds another run, or another process trains into it; the loss is no longer a number,
                or has exploded. The checkpoints written before are intact.
        """
        with self.folder.held() if self.folder and self.writes else nullcontext():
            if self.folder and self.fresh:
                self.begin(self.folder)
            self.fresh = False
            while self.finished is None:
                yield self.advance()

    def begin(self, folder: RunFolder) -> None:
        """Write the checkpoint before the first step, and the header of the log."""
        if self.writes:
            folder.require_free()
        self.save()
        if self.writes:
            folder.write_header(self.header())

    @property
    def writes(self) -> bool:
        """Whether this process writes the log and the checkpoints."""
        return self.parallel.rank == 0

    @property
    def where(self) -> str:
        """What the run takes place on, in words."""
        processes = f" in each of {self.parallel.size} processes" if self.parallel.size > 1 else ""
        return f"{self.device} in {self.precision.name}{processes}"

    def header(self) -> dict[str, Any]:
        """Return what the log says about the run before its first step."""
        model, training = self.model.config.to_dict(), self.config.to_dict()
        how = {"precision": self.precision.name, "processes": self.parallel.size}
        return {"model": model, "training": training, **how, **self.note}

    def advance(self) -> Record:
        """Take one step and everything that is due after it: evaluation, sample, checkpoint, log."""
        started = time.perf_counter()
        learning_rate, loss, gradient_norm = self.take_step()
        step_seconds = time.perf_counter() - started
        self.step += 1
        validation_is_due = self.step == self.config.max_steps or self.step % self.config.eval_every == 0
        validation_loss = self.validate() if validation_is_due else None
        best = validation_loss is not None and validation_loss < self.best_loss
        if validation_loss is not None:
            self.best_loss, self.waited = (validation_loss, 0) if best else (self.best_loss, self.waited + 1)
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
            **self.meter.read(),
            validation_loss=validation_loss,
            best=best,
            sample=sample,
        )
        if self.folder:
            if self.writes:
                self.folder.append(record)
            if best:
                self.write(self.folder.best)
            if self.finished or self.step % self.config.save_every == 0:
                self.save()
        return record

    def take_step(self) -> tuple[float, float, float]:
        """Update the weights once; return the learning rate, the loss and the norm of the gradient before clipping."""
        self.model.train()
        learning_rate = warmup_cosine(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        batch = random_batch(self.data.train, self.config.batch_size, self.model.config.block_size, self.generator)
        inputs, targets = map(self.parallel.share, batch)
        self.optimizer.zero_grad(set_to_none=True)
        with unchanged_randomness():
            restore_random_state(self.random_state)
            how: dict[str, Any] = {"precision": self.precision, "parallel": self.parallel}
            loss = backward_in_pieces(self.network, inputs, targets, self.config.accumulate, **how)
            self.random_state = current_random_state()
        loss = self.parallel.mean(loss)
        self.precision.unscale(self.optimizer)
        norm = self.parallel.clip(self.config.clip_norm)
        self.first_loss = loss if self.step == 0 else self.first_loss
        ruined = is_ruined(loss, norm, self.first_loss, self.model.config.vocab_size)
        if ruined and not self.precision.overflowed(norm):
            found = f"At step {self.step + 1}, with the learning rate {learning_rate:g}, the loss is {loss:g} and the "
            raise UserError(f"{found}norm of its gradient {norm:g}; {way_out(self)}.")
        self.precision.step(self.optimizer)
        return learning_rate, loss, norm

    def validate(self) -> float:
        """Return the loss on `eval_windows` fixed windows, spread evenly over the validation part."""
        piece = -(-self.config.batch_size // self.config.accumulate)  # what fits for training fits here
        sizes = {"batch_size": min(piece, 32), "max_windows": self.config.eval_windows}
        with self.precision.autocast():
            found = evaluate(self.model, self.data.validation, self.model.config.block_size, **sizes)
        return self.parallel.agree(found.loss)

    def sample(self) -> str:
        """Return what the model writes now after `sample_prompt`."""
        settings = {"max_new_tokens": self.config.sample_tokens, "seed": self.config.seed, "temperature": 0.8}
        with self.precision.autocast():
            return generate(self.model, present(self.tokenizer, NO_TOKENIZER), self.config.sample_prompt, **settings)

    def save(self) -> None:
        """Write the checkpoint `last`, with all that is needed to go on as if nothing had happened.

        Raises:
            UserError: the trainer was given no folder, or it cannot be written.
        """
        folder = present(self.folder, "This trainer has no folder to save into: pass folder=….")
        if self.writes:
            folder.flush_log()
        self.write(folder.last, state_of(self))
        self.saved_step = self.step

    def write(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """Write a checkpoint from the shares of all processes."""
        model = self.parallel.whole_model()
        if self.writes:
            checkpoint.save(folder, model, present(self.tokenizer, NO_TOKENIZER), state)

    @classmethod
    def resume(
        cls,
        folder: Path | str,
        data: Split,
        *,
        device: torch.device | str | None = None,
        changes: dict[str, Any] | None = None,
        shard: bool = False,
        **factories: Factory,
    ) -> Self:
        """Return a trainer that goes on from the checkpoint `last` of a run.

        `changes` replaces settings of training, such as a larger `max_steps` or `patience`. Lines that the log holds
        beyond that checkpoint are taken back, since those steps are run again. Components of the model that were
        replaced have to be given again, as for `checkpoint.load`.

        Raises:
            UserError: there is no such checkpoint, it is damaged, or a change is invalid.
        """
        run_folder = RunFolder(folder)
        run_folder.require_run()
        with run_folder.held() if is_first_process() else nullcontext():  # so that nobody replaces what is read here
            (model, tokenizer), state = run_folder.read_last(**factories)
            config = settings_of(state, run_folder.last).replace(**changes or {})
            trainer = cls(model, data, config, tokenizer=tokenizer, folder=folder, device=device, shard=shard)
            put_back(state, trainer, run_folder.last)
            trainer.parallel.wait()  # until all have read what rank 0 may now move
            if trainer.writes:
                run_folder.go_back_to(trainer.step, changes or {})
        return trainer


def is_due(step: int, every: int) -> bool:
    """Return whether something that happens every so many steps (0: never) happens after this one."""
    return every > 0 and step % every == 0
