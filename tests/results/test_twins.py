"""The same numbers as models of Hugging Face's that were written independently: Llama, and Qwen 3 with QK-norm."""

import pytest
import torch
from torch.testing import assert_close

from minigpt import GPT, GPTConfig, count_parameters

MODERN = {"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "bias": False}


def twin(kind: str, config: GPTConfig):
    """Return Hugging Face's model of the same shape."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = getattr(transformers, f"{kind}Config")(
        vocab_size=config.vocab_size,
        max_position_embeddings=config.block_size,
        hidden_size=config.n_embd,
        num_hidden_layers=config.n_layer,
        num_attention_heads=config.n_head,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        intermediate_size=config.hidden_dim,
        rms_norm_eps=1e-5,
        tie_word_embeddings=config.tie_weights,
        attn_implementation="eager",
    )
    return getattr(transformers, f"{kind}ForCausalLM")(sizes).eval()


def copy_into_twin(model: GPT, other) -> None:
    """Copy every weight; theirs has separate matrices for queries, keys and values."""
    theirs = {
        "model.embed_tokens.weight": model.token_embedding.weight,
        "model.norm.weight": model.final_norm.weight,
    }
    theirs["lm_head.weight"] = model.lm_head.weight
    config = model.config
    heads = (config.n_head, config.num_kv_heads, config.num_kv_heads)
    for number, block in enumerate(model.blocks):
        q, k, v = block.attention.qkv.weight.split([n * block.attention.head_dim for n in heads], dim=0)
        weights = {"self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v}
        weights |= {"self_attn.o_proj": block.attention.out.weight}
        weights |= {f"mlp.{name}_proj": getattr(block.mlp, name).weight for name in ("gate", "up", "down")}
        weights |= {"input_layernorm": block.attention_norm.weight, "post_attention_layernorm": block.mlp_norm.weight}
        if model.config.qk_norm:
            norms = {"q_norm": block.attention.q_norm, "k_norm": block.attention.k_norm}
            weights |= {f"self_attn.{name}": norm.weight for name, norm in norms.items()}
        theirs |= {f"model.layers.{number}.{name}.weight": weight for name, weight in weights.items()}
    with torch.no_grad():
        for name, parameter in other.named_parameters(remove_duplicate=False):
            parameter.copy_(theirs.pop(name))
    assert set(theirs) <= {"lm_head.weight"}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("Llama", {}), ("Llama", {"n_kv_head": 2, "tie_weights": True}), ("Qwen3", {"n_kv_head": 1, "qk_norm": True})],
)
def test_logits_equal_hugging_faces(make_model, kind, changes):
    model = make_model(vocab_size=33, block_size=12, n_layer=3, n_head=4, n_embd=24, **MODERN, **changes)
    other = twin(kind, model.config)
    copy_into_twin(model, other)
    assert count_parameters(model) == sum(parameter.numel() for parameter in other.parameters())
    ids = torch.randint(0, 33, (2, 12))
    with torch.no_grad():
        logits, expected = model(ids), other(ids).logits
    assert expected.std() > 0.3
    assert_close(logits, expected, atol=1e-4, rtol=1e-4)
