"""Another layout of the weights: the same numbers, the same texts, and a checkpoint like any other."""

import pytest
import torch
from torch.testing import assert_close

from comparing import one_text
from minigpt import checkpoint, to_decode_layout
from minigpt.generation.sampling import Sampler


@pytest.mark.parametrize("changes", [{}, {"tie_weights": True}, {"mlp": "swiglu", "n_kv_head": 1, "position": "rope"}])
@torch.no_grad()
def test_the_copy_computes_the_same(make_model, changes):
    model = make_model(**changes)
    copy = to_decode_layout(model)
    for name, weight in model.state_dict().items():
        assert torch.equal(copy.state_dict()[name], weight) and weight.is_contiguous()
    ids = torch.arange(8).unsqueeze(0)
    assert_close(copy(ids), model(ids))
    greedy = Sampler(temperature=0)
    assert one_text(copy, [1, 2], greedy, 12) == one_text(model, [1, 2], greedy, 12)


def test_wide_matrices_lie_column_by_column_and_a_tied_head_stays_tied(make_model):
    copy = to_decode_layout(make_model(tie_weights=True))
    assert copy.lm_head.weight is copy.token_embedding.weight
    wide = [copy.lm_head, copy.blocks[0].attention.qkv, copy.blocks[0].mlp.up]
    assert all(layer.weight.T.is_contiguous() for layer in wide)
    assert copy.blocks[0].mlp.down.weight.is_contiguous()


def test_the_copy_is_saved_like_any_other(make_model, tokenizer, tmp_path):
    model = make_model()
    checkpoint.save(tmp_path / "saved", to_decode_layout(model), tokenizer)
    loaded = checkpoint.load(tmp_path / "saved").model
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
