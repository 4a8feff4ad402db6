"""A model with more ids than its tokenizer has tokens writes as if it had no more, wherever it writes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import (
    GPT,
    BPETokenizer,
    CharTokenizer,
    GPTConfig,
    Sampler,
    TrainConfig,
    UserError,
    checkpoint,
    generate,
    generate_batch,
    generate_stream,
    split_text,
)
from minigpt.app.jobs import run_request
from minigpt.app.requests import GenerationRequest
from minigpt.generation.generate import generate_ids
from minigpt.training.trainer import Trainer

CHARACTERS = CharTokenizer.from_text("abcdefghijk\n")
SUBWORDS = BPETokenizer.train("the cat sat on the mat " * 3, 265)
SETTINGS = [
    {"temperature": 0},
    {},
    {"top_k": 50},
    {"top_p": 0.95},
    {"min_p": 0.01},
    {"temperature": 2.0, "repetition_penalty": 1.5},
]


def padded(tokenizer, spare: int, tied: bool = False) -> tuple[GPT, GPT]:
    """A model, and the same one with more ids, which its head likes best."""
    torch.manual_seed(1)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=8, n_layer=1, n_head=1, n_embd=8, lm_head_bias=True)
    exact, more = GPT(config), GPT(config.replace(vocab_size=config.vocab_size + spare))
    for parameter in exact.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    values = exact.state_dict()
    for name, wider in more.state_dict().items():
        fill = 50.0 if name == "lm_head.bias" else 0.0
        extra = torch.full((spare, *wider.shape[1:]), fill)
        values[name] = torch.cat([values[name], extra]) if values[name].shape != wider.shape else values[name]
    more.load_state_dict(values)
    return exact.eval(), more.eval()


@pytest.mark.parametrize("tokenizer", [CHARACTERS, SUBWORDS], ids=["characters", "subwords"])
@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_it_writes_as_the_model_without_them(tokenizer, chosen):
    exact, more = padded(tokenizer, 47)
    options = {"max_new_tokens": 30, "seed": 3}
    assert generate(more, tokenizer, "abc", **chosen, **options) == generate(
        exact, tokenizer, "abc", **chosen, **options
    )
    options["sampler"] = Sampler(**chosen)
    assert list(generate_stream(more, tokenizer, "abc", **options)) == list(
        generate_stream(exact, tokenizer, "abc", **options)
    )
    together = generate_batch(more, tokenizer, ["abc", "cab"], **options)
    assert together == generate_batch(exact, tokenizer, ["abc", "cab"], **options)


@settings(max_examples=20)
@given(spare=st.integers(1, 300), seed=st.integers(0, 1000))
def test_no_id_without_a_token_is_drawn(spare, seed):
    _, more = padded(CHARACTERS, spare)
    size = CHARACTERS.vocab_size
    steps = generate_ids(more, torch.tensor([[1]]), Sampler(), 20, torch.Generator().manual_seed(seed), vocab_size=size)
    assert all(int(step) < size for step in steps)


@pytest.mark.parametrize("spare", [1, 128])
def test_a_size_that_was_rounded_up_is_no_mistake_but_another_vocabulary_is(spare):
    tokenizer = CharTokenizer("abc")
    generate(padded(tokenizer, spare)[1], tokenizer, "a", max_new_tokens=2)
    for write in (lambda *given: generate(*given, "a"), lambda *given: generate_batch(*given, ["a"])):
        with pytest.raises(UserError, match="has 132 ids and this tokenizer only 3 tokens; use the model's own"):
            write(padded(tokenizer, 129)[1], tokenizer)


def test_the_page_writes_as_the_model_without_them():
    exact, more = padded(CHARACTERS, 9)
    request = GenerationRequest(
        prompt="abc", max_new_tokens=20, samples=2, seed=1, sampler=Sampler(temperature=0.8, top_k=5)
    )
    texts = [list(run_request(model, CHARACTERS, request, seconds=60))[-1].texts for model in (exact, more)]
    assert texts[0] == texts[1] and len(texts[0][0]) == 20


def test_a_training_with_samples_goes_on(tmp_path):
    _, more = padded(CHARACTERS, 9)
    data = split_text("abcdefghijk\n" * 30, CHARACTERS)
    chosen = {"max_steps": 4, "batch_size": 2, "eval_every": 2, "save_every": 2, "warmup_steps": 1}
    config = TrainConfig(**chosen, sample_every=1, sample_tokens=20, sample_prompt="abc")
    trainer = Trainer(more, data, config, tokenizer=CHARACTERS, folder=tmp_path / "run")
    assert len([record for record in trainer.run() if record.sample]) == 4


def test_the_command_writes_to_the_end(tmp_path, minigpt):
    _, more = padded(SUBWORDS, 47)
    checkpoint.save(tmp_path / "padded", more, SUBWORDS)
    code, out, err = minigpt("generate", "--checkpoint", tmp_path / "padded", "--prompt", "the", "--seed", 1)
    assert code == 0 and err == "" and out.startswith("the")
