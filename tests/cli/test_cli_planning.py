"""`minigpt params` and `minigpt plan`: what they print is what the package computes."""

import io

import pytest

from minigpt import model_preset, training_preset
from minigpt.planning.counting import num_parameters, training_flops
from minigpt.planning.devices import DEVICES
from minigpt.planning.memory import training_memory
from minigpt.planning.planner import largest_batch, plan
from minigpt.utils.units import format_bytes, format_duration

PAIR = ("float32", "bfloat16")
SIZES = ["--n-layer", 2, "--n-head", 2, "--n-embd", 8, "--block-size", 16, "--vocab-size", 11]


def test_params_shows_every_part_and_its_formula(minigpt):
    code, out, _ = minigpt("params", "--preset", "tiny-shakespeare")
    assert code == 0 and "3,221,825" in out.splitlines()[-2] and "1,773,696" in out
    code, out, _ = minigpt("params", "--preset", "tiny-shakespeare", "--formula")
    assert code == 0 and "L·(2·C·F + F + C)" in out and "4·(2·288·768 + 768 + 288)" in out
    assert "F = 768 (width inside the MLP)" in out and "3,221,825" in out.splitlines()[-2]


def test_params_takes_sizes_one_by_one(minigpt):
    code, out, _ = minigpt("params", *SIZES, "--mlp-dim", 12, "--no-bias", "--tie-weights")
    assert code == 0
    assert f"{11 * 8 + 16 * 8 + 2 * (4 * 64 + 2 * 8 * 12) + 5 * 8:,}" in out.splitlines()[-2]


def test_params_asks_for_the_sizes(minigpt, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("65\n256\n4\n6\n288\n768\ny\nn\n"))
    code, out, _ = minigpt("params", "--interactive")
    assert code == 0 and f"{3_221_825 - 65:,}" in out.splitlines()[-2]
    monkeypatch.setattr("sys.stdin", io.StringIO("65\n256\n4\n6\n289\n768\ny\nn\n"))
    code, _, err = minigpt("params", "--interactive")
    assert code == 1 and "n_embd = 289 is not divisible by n_head = 6" in err


def test_a_plan_prints_what_the_planner_says(minigpt):
    code, out, _ = minigpt("plan", "--preset", "small", "--device", "t4")
    config, settings = model_preset("small"), training_preset("small")
    tokens = settings.max_steps * settings.batch_size * config.block_size
    made = plan(config, DEVICES["t4"], batch_size=settings.batch_size, tokens=tokens)
    assert code == 0
    assert (
        f"{num_parameters(config):,} parameters" in out and f"{format_bytes(made.training.peak)} of the 14.4 GB" in out
    )
    assert f"{tokens:,} in {settings.max_steps:,} steps" in out and format_duration(made.seconds) in out
    assert f"{training_flops(config, 'kaplan'):.3g} (kaplan)" in out and "40% of the best" in out


def test_a_plan_takes_options(minigpt):
    options = ["--device", "h200", "--batch-size", 8, "--grad-accum-steps", 2, "--max-steps", 10, "--flops", 1e6]
    code, out, _ = minigpt("plan", *SIZES, *options)
    assert code == 0 and "1,280 in 10 steps" in out and "at 1e+06 operations/s" in out
    code, out, _ = minigpt("plan", *SIZES, "--tokens", 1000, "--batch-size", 4)
    assert code == 0 and "1,000 in 16 steps" in out
    code, out, _ = minigpt("plan", *SIZES, "--batch-size", 4, "--measure")
    assert code == 0 and "of the best" in out


def test_a_plan_in_half_precision_counts_on_the_tensor_cores(minigpt):
    _, slow, _ = minigpt("plan", "--preset", "gpt2", "--device", "a100", "--max-steps", 1000)
    _, fast, _ = minigpt("plan", "--preset", "gpt2", "--device", "a100", "--max-steps", 1000, "--precision", "bfloat16")
    config, tokens = model_preset("gpt2"), 1000 * 16 * 1024
    seconds = [plan(config, DEVICES["a100"], batch_size=16, tokens=tokens, precision=each).seconds for each in PAIR]
    assert format_duration(seconds[0]) in slow and format_duration(seconds[1]) in fast and seconds[0] > 15 * seconds[1]
    assert "in bfloat16 (the memory is reckoned in float32)" in fast and "at best 3.12e+14" in fast
    assert "40% of the best" in slow and "40% of the best" in fast


def test_what_does_not_fit_is_said_with_what_would(minigpt):
    largest = largest_batch(model_preset("350M_1024"), DEVICES["t4"])
    _, out, _ = minigpt("plan", "--preset", "350M_1024", "--device", "t4", "--batch-size", 100)
    assert f"it does not fit; the largest batch that does is {largest}" in out
    wide = ["--n-layer", 90, "--n-head", 2, "--n-embd", 8000, "--block-size", 16, "--vocab-size", 11]
    _, out, _ = minigpt("plan", *wide, "--device", "t4")
    assert "it does not fit, not even with a single context" in out


def test_fit_finds_the_largest_batch_and_the_largest_preset(minigpt):
    code, out, _ = minigpt("plan", "--preset", "small", "--device", "t4", "--fit")
    batch = largest_batch(model_preset("small"), DEVICES["t4"])
    assert code == 0 and f"{batch} contexts of 256 tokens a step" in out
    assert format_bytes(training_memory(model_preset("small"), batch, "cuda").peak) in out
    code, out, _ = minigpt("plan", "--device", "t4", "--fit")
    assert code == 0 and "tiny-shakespeare" in out
    assert (
        f"The largest is 500M_1024, with batches of up to {largest_batch(model_preset('500M_1024'), DEVICES['t4'])}."
        in out
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("params --all --formula --preset small", "--all and --formula are two views; choose one"),
        ("params --interactive --preset small", "--preset and --interactive each name a model"),
        ("params --interactive --n-layer 2", "--interactive already says which model is meant; leave the sizes out"),
        ("params --n-layer 2", "--vocab-size, --block-size, --n-head, --n-embd is missing"),
        ("params --preset small --n-layer 2", "--n-layer cannot stand beside --preset small; to change it on purpose"),
        ("plan --preset small --n-layer 2", "--n-layer cannot stand beside --preset small; to change it on purpose"),
        ("plan", "Name a model with --preset, or give all of its sizes"),
        ("plan --preset small --device t5", "There is no device 't5'"),
        (
            "plan --preset small --device t4 --max-steps 5 --tokens 5",
            "with --max-steps or with --tokens, and not with both",
        ),
        ("plan --preset small --device t4 --tokens 0", "tokens = 0 must be at least 1"),
        ("plan --preset small --device t4 --flops 0", "flops_per_second = 0.0 must be above 0"),
        ("plan --preset small --device t4 --measure", "--measure measures this device; leave out --device t4"),
        ("plan --preset small --flops 1 --measure", "--measure finds the speed that --flops states"),
        ("plan --preset small --device t4 --fit --batch-size 3", "--fit finds the batch"),
        (
            "plan --preset small --device t4 --precision bfloat16",
            "NVIDIA T4 can only emulate bfloat16; plan for float16",
        ),
        ("plan --preset small --device laptop --precision float16", "a laptop with 16 GB has no units for float16"),
        ("plan --preset small --device t4 --precision half", "no precision 'half'; choose one of float32, bfloat16"),
        ("plan --preset small --measure --precision half", "no precision 'half'; choose one of float32, bfloat16"),
        ("plan --preset small --device t4 --batch-size 0", "batch_size = 0 must be at least 1"),
    ],
)
def test_a_mistake_is_one_sentence(minigpt, line, sentence):
    code, out, err = minigpt(*line.split())
    assert code == 1, out
    assert sentence in err and err.startswith("minigpt: ") and err.endswith(".\n") and err.count("\n") == 1
