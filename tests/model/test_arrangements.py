"""Every arrangement of parts: causal, the same with a cache as without, and the same after saving and loading."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from minigpt import GPT, checkpoint
from minigpt.config import ACTIVATION_CHECKPOINTING
from minigpt.model.attention import ATTENTION_FUNCTIONS
from minigpt.model.layers import MLPS, NORMS
from minigpt.model.position import POSITION_EMBEDDINGS

ARRANGEMENTS = list(itertools.product(POSITION_EMBEDDINGS, ATTENTION_FUNCTIONS, NORMS, MLPS))
HEADS = [{"n_kv_head": heads, "qk_norm": qk_norm} for heads in (None, 1) for qk_norm in (False, True)]
LENGTH = 5


def arranged(make_model, position, attn_impl, norm, mlp) -> list[GPT]:
    """Return a model for each arrangement of heads, around the same other parts."""
    parts = {"position": position, "attn_impl": attn_impl, "norm": norm, "mlp": mlp}
    return [make_model(block_size=LENGTH, **parts, **heads) for heads in HEADS]


@pytest.mark.parametrize(("position", "attn_impl", "norm", "mlp"), ARRANGEMENTS)
def test_no_gradient_flows_from_the_future(make_model, position, attn_impl, norm, mlp):
    for model in arranged(make_model, position, attn_impl, norm, mlp):
        embeddings = []
        model.token_embedding.register_forward_hook(
            lambda module, inputs, output, found=embeddings: found.append(output)
        )
        logits = model(torch.randint(model.config.vocab_size, (2, LENGTH)))
        (gradient,) = torch.autograd.grad((logits[:, 2] * torch.randn_like(logits[:, 2])).sum(), embeddings)
        strength = gradient.abs().sum(-1)  # (B, T)
        assert strength[:, 3:].eq(0).all(), "a later token changes an earlier prediction"
        assert strength[:, :3].gt(0).all(), "an earlier token is not seen"


@pytest.mark.parametrize(("position", "attn_impl", "norm", "mlp"), ARRANGEMENTS)
def test_a_cache_changes_nothing(make_model, position, attn_impl, norm, mlp):
    for model in arranged(make_model, position, attn_impl, norm, mlp):
        ids = torch.randint(model.config.vocab_size, (2, LENGTH))
        with torch.no_grad():
            cache = model.make_kv_cache(batch_size=2)
            pieces = [model(piece, cache) for piece in ids.split([2, 1, 2], dim=1)]
            assert_close(torch.cat(pieces, dim=1), model(ids), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("position", "attn_impl", "norm", "mlp"), ARRANGEMENTS)
def test_padding_on_the_left_changes_nothing(make_model, position, attn_impl, norm, mlp):
    n_pad = [0, 2, 4]
    for model in arranged(make_model, position, attn_impl, norm, mlp):
        ids = torch.randint(model.config.vocab_size, (3, LENGTH))
        cache = model.make_kv_cache(batch_size=3)
        pieces = [model(piece, cache, n_pad) for piece in ids.split([1, 2, 1, 1], dim=1)]
        for logits in (model(ids, n_pad=n_pad), torch.cat(pieces, dim=1)):
            for row, n in enumerate(n_pad):
                assert_close(logits[row, n:], model(ids[row : row + 1, n:])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("position", POSITION_EMBEDDINGS)
@pytest.mark.parametrize("attn_impl", ATTENTION_FUNCTIONS)
def test_each_arrangement_of_attention_is_causal_at_every_place(make_model, position, attn_impl):
    model = make_model(position=position, attn_impl=attn_impl)
    embeddings = []
    model.token_embedding.register_forward_hook(lambda module, inputs, output: embeddings.append(output))
    logits = model(torch.randint(0, model.config.vocab_size, (2, 8)))
    for time in range(8):
        direction = torch.randn_like(logits[:, time])
        (gradient,) = torch.autograd.grad((logits[:, time] * direction).sum(), embeddings, retain_graph=True)
        strength = gradient.abs().sum(-1)  # (B, T)
        assert strength[:, time + 1 :].eq(0).all(), "a later token changes an earlier prediction"
        assert strength[:, : time + 1].gt(0).all(), "an earlier token is not seen"


@pytest.mark.parametrize("attn_impl", [name for name in ATTENTION_FUNCTIONS if name != "naive"])
@pytest.mark.parametrize("position", POSITION_EMBEDDINGS)
def test_every_formula_gives_the_same_model_and_gradients(make_model, attn_impl, position):
    found = []
    for name in ("naive", attn_impl):
        model = make_model(attn_impl=name, position=position, n_kv_head=1, qk_norm=True)
        logits = model(torch.arange(16).view(2, 8))
        logits.square().mean().backward()
        found.append([logits.detach(), *(parameter.grad for parameter in model.parameters())])
    assert_close(*found)


# each value of each field at least once
SAVED = [
    dict(zip(("position", "attn_impl", "norm", "mlp", "activation_checkpointing"), names, strict=True), **heads)
    for names, heads in zip(
        zip(
            POSITION_EMBEDDINGS,
            *(itertools.cycle(table) for table in (ATTENTION_FUNCTIONS, NORMS, MLPS, ACTIVATION_CHECKPOINTING)),
            strict=False,
        ),
        itertools.cycle(HEADS),
        strict=False,
    )
]


@pytest.mark.parametrize("changes", SAVED, ids=lambda changes: changes["position"])
def test_a_saved_model_is_the_same_after_loading(make_model, tokenizer, tmp_path, changes):
    model = make_model(**changes)
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    loaded = checkpoint.load(tmp_path / "saved").model
    assert loaded.config == model.config
    ids = torch.arange(8).unsqueeze(0)
    assert torch.equal(loaded(ids), model(ids))


def test_only_trained_numbers_are_saved(make_model):
    for position, trained in {"learned": 1, "rope": 0, "alibi": 0, "sinusoidal": 0, "none": 0}.items():
        names = [name for name in make_model(position=position).state_dict() if name.startswith("position")]
        assert len(names) == trained
