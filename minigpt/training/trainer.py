"""The training loop, as a generator: it yields the metrics of every step, and the caller prints, plots or stops.

Shapes: N tokens, B batch, T time.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from minigpt.checkpoint.run_log import RunFolder, StepMetrics
from minigpt.checkpoint.save_load import check_vocabulary
from minigpt.config import TrainConfig
from minigpt.data.batches import Split, check_ids, check_windows, get_batch
from minigpt.evaluation.evaluate import cross_entropy, evaluate
from minigpt.generation.generate import encode_prompt, generate
from minigpt.model.gpt import GPT, Factory
from minigpt.model.structure import check_structure, is_compiled, unwrap_model
from minigpt.tokenizer.base import Tokenizer
from minigpt.training.distributed import SingleDevice, check_batch_divides, wrap_model
from minigpt.training.optim import learning_rate_at, make_optimizer
from minigpt.training.precision import Precision, compile_model
from minigpt.utils.errors import UserError, not_none
from minigpt.utils.machine import ResourceMonitor, default_device, peak_memory_mb
from minigpt.utils.random_state import get_rng_state, preserve_rng_state, rng_state_from_seed, set_rng_state
from minigpt.utils.signals import defer_interrupts, is_main_process

IGNORE_INDEX = -100  # a target that is not to be predicted, such as padding


def forward_backward(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    pieces: int,
    precision: Precision | None = None,
    parallel: SingleDevice | None = None,
) -> float:
    """Add the gradient of the batch's mean loss to the parameters, a piece of the batch at a time; return that loss.

    inputs, targets: (B, T). A piece's mean loss counts by its share of the batch's targets, so that pieces of
    unequal size, or with targets that are `IGNORE_INDEX`, give the gradient of the whole batch. Several processes
    exchange their gradients once, with the last piece.

    Raises:
        UserError: the batch has no target to predict.
    """
    device = next(model.parameters()).device
    precision = precision or Precision("float32", device)
    parallel = parallel or SingleDevice(cast(GPT, model))
    in_all = count_targets(targets)
    if in_all == 0:
        raise UserError(f"All targets of the batch are {IGNORE_INDEX}, so it has no loss; leave such a batch out.")
    total = torch.zeros((), device=device)
    cut = zip(inputs.tensor_split(pieces), targets.tensor_split(pieces), strict=True)
    for number, (some_inputs, some_targets) in enumerate(cut, start=1):
        share = count_targets(some_targets) / in_all
        if share > 0:
            with parallel.sync_gradients(number == pieces):
                with precision.autocast():
                    loss = cross_entropy(model(some_inputs.to(device)), some_targets.to(device)) * share
                precision.backward(loss)
            total += loss.detach()
    return total.item()


def count_targets(targets: Tensor) -> int:
    """Return how many targets are to be predicted."""
    return int((targets != IGNORE_INDEX).sum())


DIVERGENCE_FACTOR = 3.0  # a loss this many times as high as an untrained model's will not come back by itself


def stop_reasons(config: TrainConfig, step: int, best_loss: float, evals_since_best: int) -> dict[str, str]:
    """Return the settings whose limits a run has reached after this step, each with the end of a sentence that says so.

    `evals_since_best` counts the evaluations since the last new lowest validation loss.
    """
    reasons = {}
    if config.target_loss is not None and best_loss <= config.target_loss:
        reasons["target_loss"] = (
            f"the validation loss of {best_loss:.4f} has reached the target of {config.target_loss:g}"
        )
    if config.patience is not None and evals_since_best >= config.patience:
        evaluations = f"{evals_since_best} evaluation{'s' if evals_since_best > 1 else ''}"
        reasons["patience"] = f"{evaluations} in a row brought no lower validation loss than {best_loss:.4f}"
    if step >= config.max_steps:
        reasons["max_steps"] = f"all {config.max_steps:,} steps are taken"
    return reasons


def has_diverged(loss: float, gradient_norm: float, first_loss: float, vocab_size: int) -> bool:
    """Return whether a step's numbers are no numbers, or its loss is far above that of a model that knows nothing.

    Such a model's loss is ln V for a uniform guess, or what it was on the first step if that was higher.
    """
    if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
        return True
    return loss > DIVERGENCE_FACTOR * max(first_loss, math.log(vocab_size))


_COUNTERS = ("step", "seconds", "first_loss", "best_loss", "evals_since_best")


_NEEDED = ("training", "optimizer", "scaler", "generator", "random_states", "step")


def _config_from_state(state: dict[str, Any], checkpoint: Path) -> TrainConfig:
    """Return the settings of the training that a state belongs to.

    Raises:
        UserError: the state is not one that `Trainer.state_dict` returned.
    """
    path = checkpoint / "trainer.pt"
    complete = isinstance(state, dict) and all(name in state for name in _NEEDED)
    if not complete:
        raise UserError(f"{path} lacks what a run needs to go on; go back to an earlier checkpoint.")
    return TrainConfig.from_dict(state["training"], str(path))


def _check_shapes(optimizer: torch.optim.Optimizer) -> None:
    """Raise `ValueError` unless the optimizer's averages have the shapes of what they are averages for."""
    for parameter, averages in optimizer.state.items():
        for average in averages.values():
            if isinstance(average, torch.Tensor) and average.dim() > 0 and average.shape != parameter.shape:
                raise ValueError("another model's")


def _remedy(trainer: "Trainer") -> str:
    """Return what is left of a run whose loss is ruined, and what to change."""
    settings, folder = trainer.config, trainer.folder
    remedy = f"with a lower learning_rate than {settings.learning_rate:g} or grad_clip than {settings.grad_clip:g}"
    if folder and trainer.step > trainer.saved_step:  # the steps taken from there were sound
        return f"the last good checkpoint is {folder.last} (step {trainer.saved_step}), so resume {remedy}"
    if folder and trainer.best_loss < math.inf:
        return f"the last good checkpoint is {folder.best}, so start again {remedy}"
    return f"there is no good checkpoint, so start again {remedy}"


_NO_TOKENIZER = "Saving and sampling need a tokenizer: pass tokenizer=…."


class Trainer:
    """Train a model on random windows of a text.

    With `folder`, a run leaves `log.jsonl` and two checkpoints: `best` names the one with the lowest validation loss,
    `last` the one from which `Trainer.resume` goes on, to the bit where as many threads compute. `metadata` adds
    entries to the header of the log.

    Inside `process_group`, each process trains on its share of every batch, and rank 0 writes; with `fsdp`, each
    holds its share of the model, too.

    Raises:
        UserError: a part of the text is shorter than one window or holds ids that the model does not know, the
            tokenizer does not know the sample's prompt, saving was asked for without a tokenizer or of a model that
            could not be loaded again, or the batch cannot be shared out.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Split,
        config: TrainConfig,
        *,
        tokenizer: Tokenizer | None = None,
        folder: Path | str | None = None,
        device: torch.device | str | None = None,
        metadata: dict[str, Any] | None = None,
        fsdp: bool = False,
    ) -> None:
        self.model = unwrap_model(model)
        check_windows(data, self.model.config.block_size)
        check_ids(data, self.model.config.vocab_size)
        if folder is not None:  # what cannot be saved shows now, not at the first checkpoint
            check_structure(self.model)
            check_vocabulary(not_none(tokenizer, _NO_TOKENIZER), self.model.config, "The tokenizer")
        if config.sample_every > 0:  # a mistake in the prompt shows now, not at the first sample
            encode_prompt(not_none(tokenizer, _NO_TOKENIZER), config.sample_prompt, "sample_prompt")
        self.device = torch.device(device) if device else default_device()
        self.precision = Precision(config.precision, self.device)
        if fsdp and self.precision.name == "float16":
            raise UserError(
                "A sharded model's gradients cannot be scaled, as float16 needs; choose precision bfloat16 or float32."
            )
        self.model.to(self.device)
        self.parallel = wrap_model(self.model, fsdp)
        self.compiled_model = compile_model(self.parallel.network) if config.compile else self.parallel.network
        if is_compiled(model) and self.parallel.world_size == 1:
            self.compiled_model = model
        check_batch_divides(config.batch_size, config.grad_accum_steps, self.parallel.world_size)
        self.data = data
        self.config = config
        self.tokenizer = tokenizer
        self.folder = RunFolder(folder) if folder else None
        self.metadata = metadata or {}
        self.optimizer = make_optimizer(self.model, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.random_state = rng_state_from_seed(config.seed + self.parallel.rank)  # dropout differs between shares
        self.meter = ResourceMonitor(self.device)
        self.is_new = True
        self.step = 0
        self.seconds = 0.0
        self.first_loss = 0.0
        self.best_loss = math.inf
        self.evals_since_best = 0
        self.saved_step = 0

    @property
    def finished(self) -> str | None:
        """Why the run is over, as the end of a sentence, or None while it goes on."""
        return next(iter(self.stop_reasons.values()), None)

    @property
    def stop_reasons(self) -> dict[str, str]:
        """The settings whose limits the run has reached, each with why."""
        return stop_reasons(self.config, self.step, self.best_loss, self.evals_since_best)

    def run(self) -> Iterator[StepMetrics]:
        """Train until the run is `finished`, yielding a record after every step.

        An interrupt, such as a notebook's stop button, takes effect when the step in hand is finished, and saved if it
        was to be.

        Raises:
            UserError: the folder holds another run, or another process trains into it; the loss is no longer a number,
                or has exploded. The checkpoints written before are intact.
        """
        with self.folder.lock() if self.folder and self.is_main_process else nullcontext():
            if self.folder and self.is_new:
                self._start(self.folder)
            self.is_new = False
            while self.finished is None:
                with defer_interrupts():
                    record = self.run_step()
                yield record

    def _start(self, folder: RunFolder) -> None:
        """Write the checkpoint before the first step, and the header of the log."""
        if self.is_main_process:
            folder.begin()
        self.save()
        if self.is_main_process:
            folder.write_header(self.header())

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the log and the checkpoints."""
        return self.parallel.rank == 0

    @property
    def device_summary(self) -> str:
        """What the run takes place on, in words."""
        processes = f" in each of {self.parallel.world_size} processes" if self.parallel.world_size > 1 else ""
        return f"{self.device} in {self.precision.name}{processes}"

    def header(self) -> dict[str, Any]:
        """Return what the log says about the run before its first step."""
        model, training = self.model.config.to_dict(), self.config.to_dict()
        how = {"precision": self.precision.name, "processes": self.parallel.world_size}
        return {"model": model, "training": training, **how, **self.metadata}

    def run_step(self) -> StepMetrics:
        """Take one step and everything that is due after it: evaluation, sample, checkpoint, log."""
        started = time.perf_counter()
        learning_rate, loss, gradient_norm = self.train_step()
        step_seconds = time.perf_counter() - started
        self.step += 1
        validation_is_due = self.step == self.config.max_steps or self.step % self.config.eval_every == 0
        validation_loss = self.validate() if validation_is_due else None
        best = validation_loss is not None and validation_loss < self.best_loss
        if validation_loss is not None:
            self.best_loss, self.evals_since_best = (
                (validation_loss, 0) if best else (self.best_loss, self.evals_since_best + 1)
            )
        sample = self.sample() if _is_due(self.step, self.config.sample_every) else None
        self.seconds += time.perf_counter() - started
        record = StepMetrics(
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
            if self.is_main_process:
                self.folder.append(record)
            if best or self.finished or self.step % self.config.save_every == 0:
                self.save(is_best=best)
        return record

    def train_step(self) -> tuple[float, float, float]:
        """Update the weights once; return the learning rate, the loss and the norm of the gradient before clipping."""
        self.model.train()
        learning_rate = learning_rate_at(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        batch = get_batch(self.data.train, self.config.batch_size, self.model.config.block_size, self.generator)
        inputs, targets = map(self.parallel.local_slice, batch)
        self.optimizer.zero_grad(set_to_none=True)
        with preserve_rng_state():
            set_rng_state(self.random_state)
            how: dict[str, Any] = {"precision": self.precision, "parallel": self.parallel}
            loss = forward_backward(self.compiled_model, inputs, targets, self.config.grad_accum_steps, **how)
            self.random_state = get_rng_state()
        loss = self.parallel.all_reduce_mean(loss)
        self.precision.unscale(self.optimizer)
        norm = self.parallel.clip_grad_norm(self.config.grad_clip)
        self.first_loss = loss if self.step == 0 else self.first_loss
        ruined = has_diverged(loss, norm, self.first_loss, self.model.config.vocab_size)
        if ruined and not self.precision.overflowed(norm):
            found = f"At step {self.step + 1}, with the learning rate {learning_rate:g}, the loss is {loss:g} and the "
            raise UserError(f"{found}norm of its gradient {norm:g}; {_remedy(self)}.")
        self.precision.step(self.optimizer)
        return learning_rate, loss, norm

    def validate(self) -> float:
        """Return the loss on `eval_sequences` fixed windows, spread evenly over the validation part."""
        piece = -(-self.config.batch_size // self.config.grad_accum_steps)  # what fits for training fits here
        with self.precision.autocast():
            found = evaluate(
                self.model,
                self.data.validation,
                self.model.config.block_size,
                batch_size=min(piece, 32),
                max_windows=self.config.eval_sequences,
            )
        return self.parallel.broadcast(found.loss)

    def sample(self) -> str:
        """Return what the model writes now after `sample_prompt`."""
        with self.precision.autocast():
            return generate(
                self.model,
                not_none(self.tokenizer, _NO_TOKENIZER),
                self.config.sample_prompt,
                max_new_tokens=self.config.sample_tokens,
                temperature=0.8,
                seed=self.config.seed,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return everything beside the weights that the next steps depend on.

        That is the settings, the optimizer's moments, what was counted, and the state of everything random. All
        processes of a run have to ask together; dropout draws at random in each of them.
        """
        return {
            "training": self.config.to_dict(),
            "optimizer": self.parallel.full_optimizer_state(self.optimizer),
            "scaler": self.precision.scaler.state_dict(),
            "generator": self.generator.get_state(),
            "random_states": self.parallel.all_gather_object(self.random_state),
            **{name: getattr(self, name) for name in _COUNTERS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set a new trainer to a state that `state_dict` returned; its settings were given to it when it was made.

        A process that had no part in the run before keeps the random state that it was made with.

        Raises:
            UserError: the state is another model's.
        """
        try:
            self.parallel.load_optimizer_state(self.optimizer, state["optimizer"])
            if state["scaler"]:
                self.precision.scaler.load_state_dict(state["scaler"])
            self.generator.set_state(state["generator"])
            if self.parallel.rank < len(state["random_states"]):
                self.random_state = state["random_states"][self.parallel.rank]
            _check_shapes(self.optimizer)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            raise UserError("the state is not that of a training of this model") from None
        for name in _COUNTERS:
            setattr(self, name, state.get(name, getattr(self, name)))
        self.saved_step = self.step
        self.is_new = False

    def save(self, *, is_best: bool = False) -> None:
        """Write the checkpoint of this step, with all that is needed to go on as if nothing had happened.

        Raises:
            UserError: the trainer was given no folder, or it cannot be written.
        """
        folder = not_none(self.folder, "This trainer has no folder to save into: pass folder=….")
        model, state = self.parallel.full_model(), self.state_dict()
        if self.is_main_process:
            folder.save(self.step, model, not_none(self.tokenizer, _NO_TOKENIZER), state, is_best)
        self.saved_step = self.step

    @classmethod
    def resume(
        cls,
        folder: Path | str,
        data: Split,
        *,
        device: torch.device | str | None = None,
        changes: dict[str, Any] | None = None,
        fsdp: bool = False,
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
        run_folder.check_resumable()
        with run_folder.lock() if is_main_process() else nullcontext():  # so that nobody replaces what is read here
            (model, tokenizer), state = run_folder.read_last(**factories)
            config = _config_from_state(state, run_folder.last).replace(**changes or {})
            trainer = cls(model, data, config, tokenizer=tokenizer, folder=folder, device=device, fsdp=fsdp)
            try:
                trainer.load_state_dict(state)
            except UserError:
                raise UserError(
                    f"{run_folder.last / 'trainer.pt'} is not the state of the training of the model beside it; copy "
                    "the whole folder again, or go back to an earlier checkpoint."
                ) from None
            trainer.parallel.barrier()  # until all have read what rank 0 may now move
            if trainer.is_main_process:
                run_folder.recover(trainer.step, changes or {})
        return trainer


def _is_due(step: int, every: int) -> bool:
    """Return whether something that happens every so many steps (0: never) happens after this one."""
    return every > 0 and step % every == 0
