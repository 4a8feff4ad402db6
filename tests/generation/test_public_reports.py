"""What people reported of how others draw and generate, tried on ours; `tests/cases/README.md` lists the addresses."""

import math

import pytest
import torch
from torch import nn

from minigpt import CharTokenizer, Sampler, UserError, generate, generate_batch
from minigpt.generation.generate import generate_ids
from minigpt.generation.sampling import apply_repetition_penalty, min_p_filter, top_k_filter, top_p_filter

GREEDY = Sampler(temperature=0)
NO_IDS = torch.zeros(1, 0, dtype=torch.long)


def kept(logits: torch.Tensor) -> list[bool]:
    return logits.isfinite().tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_tokens_equal_to_the_kth_do_not_slip_through(dtype, k):
    """vllm 15478, 50979; tpu-inference 3580; axlearn 1022."""
    assert sum(kept(top_k_filter(torch.tensor([1, 2, 2, 2, 3], dtype=dtype), k))) == k


def test_the_likeliest_of_one_is_the_same_at_every_draw():
    """tpu-inference 3580: with two equal logits, top_k = 1 drew either."""
    logits = torch.tensor([[21.375, 3.0, 21.375]])
    drawn = {Sampler(top_k=1).sample(logits, NO_IDS).item() for _ in range(50)}
    assert drawn == {GREEDY.sample(logits, NO_IDS).item()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("p", [1e-3, 1e-8, 1e-30, 1e-60])
def test_the_smallest_nucleus_holds_the_likeliest_token(dtype, p):
    """transformers 24111; mlx-lm 1912: where 1 - top_p rounds to 1, nothing was left."""
    logits = (torch.arange(256) / 64).roll(99).to(dtype)  # of which the likeliest has a probability of 1/64
    assert top_p_filter(logits, p).isfinite().nonzero().tolist() == [[98]]
    assert Sampler(top_p=p).sample(logits[None], NO_IDS).tolist() == [98]


def test_a_nucleus_of_nothing_is_refused():
    """transformers 24111: top_p = 0 ended in an error of the draw."""
    with pytest.raises(UserError, match=r"top_p = 0 must be above 0"):
        Sampler(top_p=0)


def test_a_share_of_the_likeliest_is_one_of_probabilities():
    """mamba 1010: the share was one of the logits, which may be negative."""
    logits = torch.tensor([2.0, 1.0, 0.0, -3.0])
    assert kept(min_p_filter(logits, 0.2)) == [True, True, False, False]  # e⁻¹ is 0.37, e⁻² is 0.14
    assert kept(min_p_filter(logits - 100, 0.2)) == [True, True, False, False]


@pytest.mark.parametrize("logit", [-3.0, -1e-3, 0.0, 2.0])
def test_a_penalty_never_makes_a_token_likelier(logit):
    """transformers 2302, 2303; NeMo 8194: negative logits were divided, too."""
    found = apply_repetition_penalty(torch.tensor([logit, -1.0]), torch.tensor([0, 0, 0]), 1.5)
    assert found[1] == -1.0
    assert found[0] == pytest.approx(logit / 1.5 if logit > 0 else logit * 1.5)  # once, however often it was seen


def test_a_temperature_of_zero_takes_the_likeliest_and_one_close_to_it_divides_by_nothing():
    """bark 270; ggml 37; onnxruntime-genai 1211."""
    logits = torch.tensor([[-5.0, 80.0, 79.0]])
    assert GREEDY.sample(logits, NO_IDS).tolist() == [1]
    assert Sampler(temperature=1e-4).sample(1e4 * logits, NO_IDS).tolist() == [1]
    with pytest.raises(UserError, match=r"temperature = 1e-09 must be at least 0.0001, or 0"):
        Sampler(temperature=1e-9)


@pytest.mark.parametrize("sampler", [Sampler(), GREEDY, Sampler(top_k=2), Sampler(top_p=0.9), Sampler(min_p=0.1)])
@pytest.mark.parametrize("wrong", [[math.nan, 0.0, 1.0], [math.inf, 0.0, 1.0], [-math.inf] * 3])
def test_logits_that_are_no_numbers_are_a_sentence_with_every_filter(sampler, wrong):
    """baby-llama2-chinese 33; dia 251: probability tensor contains either `inf`, `nan` or element < 0."""
    with pytest.raises(UserError, match="logits are not numbers"):
        sampler.sample(torch.tensor([[0.0, 1.0, 2.0], wrong]), torch.zeros(2, 1, dtype=torch.long))


def test_a_token_without_probability_is_never_drawn():
    """pytorch 48841, 50034."""
    logits = torch.tensor([-math.inf, 0.0]).expand(100_000, 2)
    drawn = Sampler().sample(logits, torch.zeros(len(logits), 1, dtype=torch.long), torch.Generator().manual_seed(1))
    assert drawn.eq(1).all()


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "alibi"])
def test_a_short_prompt_beside_a_long_one_is_continued_as_alone(make_model, tokenizer, position):
    """unsloth 3699; nnsight 673; transformers 18478; alpaca-lora 315: positions counted the padding."""
    model = make_model(position=position)
    prompts = ["a", "a small"]
    together = generate_batch(model, tokenizer, prompts, max_new_tokens=9, sampler=GREEDY)
    assert together == [generate(model, tokenizer, each, max_new_tokens=9, sampler=GREEDY) for each in prompts]


def test_a_text_that_has_ended_gets_nothing_more_while_others_go_on(make_model):
    """h-transformer-1d 9; mistral-inference 270; transformers 31261."""
    tokenizer = CharTokenizer("abcd")
    model = make_model(vocab_size=4)
    prompts, settings = ["a", "b", "c", "d"], {"max_new_tokens": 20, "seed": 3}
    texts = generate_batch(model, tokenizer, prompts, eos_id=3, **settings)
    whole = generate_batch(model, tokenizer, prompts, eos_id=-1, **settings)
    assert texts == [text[0] + text[1:].partition("d")[0] for text in whole]
    assert len(set(map(len, texts))) > 1  # they end at different places


@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "none"])
def test_a_cache_changes_no_token_before_or_after_the_context_is_full(make_model, position):
    """x-transformers 219; torchtune 959; open_lm 74."""
    model = make_model(position=position)  # with a context of 8
    ids = torch.tensor([[1, 2, 3]])
    found = [int(step) for step in generate_ids(model, ids, GREEDY, 14)]
    for _ in range(14):
        with torch.no_grad():
            ids = torch.cat((ids, model(ids[:, -8:])[:, -1:].argmax(-1)), dim=1)
    assert found == ids[0, 3:].tolist()


def test_a_model_inside_data_parallel_writes_as_itself(make_model, tokenizer):
    """transformers 7146; pixel 11: 'DataParallel' object has no attribute 'config'."""
    model = make_model()
    for write in (
        lambda model: generate(model, tokenizer, "a", max_new_tokens=9, seed=1),
        lambda model: generate_batch(model, tokenizer, ["a", "small"], max_new_tokens=9, seed=1),
        lambda model: [int(id) for id in generate_ids(model, torch.tensor([[1]]), GREEDY, 9)],
    ):
        assert write(nn.DataParallel(model)) == write(model)


def test_each_part_is_put_back_into_its_own_mode(make_model, tokenizer):
    """pytorch-lightning 2551, 18930: parts that were frozen in evaluation mode were set to train."""
    model = make_model(dropout=0.5).train()
    model.blocks[0].eval()
    generate(model, tokenizer, "a", max_new_tokens=3, seed=1)
    assert model.training and model.blocks[1].attention.dropout.training
    assert not any(part.training for part in model.blocks[0].modules())
