"""Exercises of the chapter on training that are about one update: clipping, and a step of AdamW."""

import torch
from torch import Tensor

from minigpt.exercises.checking import exercise
from minigpt.exercises.expectations import diagnose, expect, expect_close, expect_shape, expect_type

CHAPTER = "06_training"


@exercise(
    chapter=CHAPTER,
    hints=(
        "All the gradients together are one long vector. What is its length?",
        "Square every number in every tensor, add them all up, and take the root once, at the end.",
        "One factor for all tensors: `max_norm / norm`, but never more than 1.",
    ),
)
def clip_gradients(attempt):
    """Return the gradients scaled by one common factor, so that their global norm is at most max_norm."""
    gradients = [torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 12.0], [0.0, 84.0]])]  # norms 5 and √7200; global 85
    norms = [tensor.norm() for tensor in gradients]
    clipped = attempt(gradients, 17.0)
    expect_type(clipped, (list, tuple), f"a list of tensors is asked for, not a {type(clipped).__name__}")
    expect(len(clipped) == 2, f"there are {len(clipped)} tensors in the answer, but 2 gradients came in")
    for tensor, gradient in zip(clipped, gradients, strict=True):
        expect_shape(tensor, tuple(gradient.shape))
    squares = sum(gradient.pow(2).sum() for gradient in gradients)
    mistakes = {
        "each tensor is clipped by itself, which turns the direction of the step: one factor for all is asked for": [
            gradient * min(1.0, 17.0 / norm.item()) for gradient, norm in zip(gradients, norms, strict=True)
        ],
        "every number is clamped by itself, which turns the direction of the step": [
            gradient.clamp(-17.0, 17.0) for gradient in gradients
        ],
        "the gradients come back unchanged, although they are too long": gradients,
        "the norm lacks its square root": [gradient * (17.0 / squares) for gradient in gradients],
        "the tensors' norms are added up: square them, add, and take the root": [
            gradient * (17.0 / sum(norms)) for gradient in gradients
        ],
        "the norm adds up absolute values: square them instead, and take the root": [
            gradient * (17.0 / sum(one.abs().sum() for one in gradients)) for gradient in gradients
        ],
        "the gradients are scaled to length 1, whatever `max_norm` is": [gradient / 85.0 for gradient in gradients],
        "the factor is upside down: this makes long gradients longer": [
            gradient * (85.0 / 17.0) for gradient in gradients
        ],
    }
    correct = _flat([gradient * (17.0 / 85.0) for gradient in gradients])
    diagnose(_flat(clipped), correct, {sentence: _flat(wrong) for sentence, wrong in mistakes.items()})
    short = [torch.tensor([0.3, 0.4]), torch.tensor([[0.0]])]
    kept = attempt(short, 1.0)
    expect(
        torch.allclose(_flat(kept), _flat(short), atol=1e-5),
        "gradients that are short enough are scaled up: the factor must never exceed 1",
    )
    still = attempt([torch.zeros(3)], 1.0)
    expect_close(_flat(still), torch.zeros(3), "gradients of zero should stay zero")
    return "the direction is kept, and only the length is bounded"


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().float().flatten() for tensor in tensors])


@exercise(
    chapter=CHAPTER,
    hints=(
        "Three results, three lines to begin with: the new `m`, the new `v`, the new parameter.",
        "`m` keeps `beta1` of itself and takes `1 - beta1` of the gradient; `v` does the same with the square.",
        "Correct copies, not the averages that you return: `m / (1 - beta1**step)`, and the like for `v`.",
        "Adam's step divides by `v.sqrt() + epsilon`. The decay, `weight_decay * parameter`, stands beside it and "
        "never meets the gradient; the learning rate multiplies both.",
    ),
)
def adamw_step(attempt):
    """Take one AdamW step on one tensor and return the new parameter, the new m and the new v."""
    start = {
        "parameter": torch.tensor([2.0, -3.0, 0.5]),
        "gradient": torch.tensor([0.5, -0.2, 4.0]),
        "m": torch.tensor([0.3, 0.1, -1.0]),
        "v": torch.tensor([0.2, 0.05, 3.0]),
    }
    settings = {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 0.1, "weight_decay": 0.5}
    answer = attempt(*start.values(), 3, *settings.values())
    expect_type(answer, (tuple, list), "three tensors are asked for: return parameter, m, v")
    expect(len(answer) == 3, f"three tensors are asked for (parameter, m, v), but {len(answer)} came back")
    for tensor in answer:
        expect_shape(tensor, (3,))
    wrong = {
        "the gradient carries the decay, so Adam divides the decay away again: keep it apart (decoupled)": "l2",
        "there is no bias correction: divide by 1 − beta^step": "uncorrected",
        "the bias correction is off by one step: `step` counts from 1 already": "late",
        "epsilon stands inside the root: add it after taking the root": "inside",
        "the weight decay is missing": "no_decay",
        "the decay is not multiplied by the learning rate": "strong_decay",
        "the decay acts on the parameter after Adam's step: take it from the old one": "decay_after",
        "the square root of v is missing": "no_root",
        "the parameter moves up the slope: subtract the step": "uphill",
        "the bias-corrected averages are kept: return the plain ones, or they are corrected again next time": "kept",
        "`m` and `v` are weighted the wrong way round: the old one keeps beta, the new value gets 1 − beta": "swapped",
        "`v` averages the gradient and not its square": "unsquared",
    }
    correct, candidates = _adamw(**start, step=3, **settings), {}
    for sentence, kind in wrong.items():
        candidates[sentence] = torch.stack(_adamw(**start, step=3, **settings, wrong=kind))
    diagnose(torch.stack(list(answer)), torch.stack(correct), candidates)
    zero = torch.zeros(1)
    moved = attempt(torch.ones(1), torch.full((1,), 1e-4), zero, zero, 1, 0.01, 0.9, 0.99, 1e-12, 0.0)[0]
    expect_close(moved, torch.tensor([0.99]), "the very first step should be one learning rate long", atol=1e-4)
    return "the very first step is one learning rate long, however small the gradient is"


def _adamw(
    parameter: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    wrong: str = "",
) -> tuple[Tensor, Tensor, Tensor]:
    """One step; `wrong` names a mistake to make."""
    if wrong == "l2":
        gradient = gradient + weight_decay * parameter
    if wrong == "swapped":
        beta1, beta2 = 1 - beta1, 1 - beta2
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * (gradient if wrong == "unsquared" else gradient**2)
    step = step + 1 if wrong == "late" else step
    m_hat, v_hat = (m, v) if wrong == "uncorrected" else (m / (1 - beta1**step), v / (1 - beta2**step))
    root = {"inside": (v_hat + epsilon).sqrt(), "no_root": v_hat + epsilon}.get(wrong, v_hat.sqrt() + epsilon)
    adam = learning_rate * m_hat / root
    decay = 0.0 if wrong in ("l2", "no_decay") else weight_decay * (1 if wrong == "strong_decay" else learning_rate)
    if wrong == "decay_after":
        new = (1 - decay) * (parameter - adam)
    else:
        new = (1 - decay) * parameter + (adam if wrong == "uphill" else -adam)
    return (new, m_hat, v_hat) if wrong == "kept" else (new, m, v)
