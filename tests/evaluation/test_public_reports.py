"""What people reported of how others evaluate, tried on ours; `tests/cases/README.md` lists the addresses."""

import math

import pytest
import torch

from minigpt import CharTokenizer, cross_entropy, evaluate


@pytest.mark.parametrize("n", [2, 8, 9, 10, 13, 17, 30])
def test_windows_leave_no_token_out_and_a_short_one_weighs_less(make_model, n):
    """transformers 7938, 18887, 30975, 34138."""
    model = make_model()
    ids = torch.randint(model.config.vocab_size, (n,))
    losses = []
    for place in range(1, n):
        start = (place - 1) // 8 * 8
        losses.append(-model(ids[None, start:place])[0, -1].log_softmax(-1)[ids[place]].item())
    found = evaluate(model, ids, 8)
    assert found.n_tokens == n - 1
    assert found.loss == pytest.approx(sum(losses) / (n - 1), rel=1e-5)


def test_bits_are_bits_and_bytes_are_bytes(make_model):
    """lm-evaluation-harness 242: nats were called bits; adaptive-span 17: bytes were called characters."""
    tokenizer = CharTokenizer("aą字🙂")  # of 1, 2, 3 and 4 bytes
    model = make_model(vocab_size=4)
    text = "aą字🙂" * 3
    found = evaluate(model, torch.tensor(tokenizer.encode(text)), 8, tokenizer=tokenizer)
    n_bytes, nats = len(text[1:].encode()), found.loss * (len(text) - 1)
    assert 2**found.bits_per_byte == pytest.approx(math.exp(nats / n_bytes))
    assert 2**found.bits_per_character == pytest.approx(math.exp(nats / (len(text) - 1)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_loss_is_not_rounded_to_the_format_of_the_logits(make_model, dtype):
    """optax 1020; modalities 464; transformers 29285."""
    logits = 3 * torch.randn(4, 8, 50).to(dtype)
    targets = torch.randint(50, (4, 8))
    assert cross_entropy(logits, targets).dtype == torch.float32
    assert torch.equal(cross_entropy(logits, targets), cross_entropy(logits.float(), targets))
    assert cross_entropy(logits.double(), targets).dtype == torch.float64


def test_each_part_is_put_back_into_its_own_mode(make_model, data):
    """pytorch-lightning 2551, 18930: after validation, frozen parts were in training mode."""
    model = make_model(dropout=0.5).train()
    model.blocks[0].eval()
    evaluate(model, data.validation, 8)
    assert model.training and model.blocks[1].attention.dropout.training
    assert not any(part.training for part in model.blocks[0].modules())
