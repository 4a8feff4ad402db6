"""The playground's engine: what JavaScript computes is what torch computes."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from comparing import one_text
from minigpt import GPT, CharTokenizer, Sampler, asset_path, capture_activations
from minigpt import checkpoint as checkpoints
from minigpt.checkpoint.web import export_web
from minigpt.model.quantization import fake_quantize

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "book" / "playground"
PARTS = ("operations.js", "positions.js", "gpt.js", "sampler.js", "weights.js", "characters.js", "worker.js")
MODERN = {"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "n_head": 4, "n_kv_head": 2, "qk_norm": True}
KINDS = {
    "gpt2": {"lm_head_bias": True, "n_embd": 18, "n_head": 3},  # sizes that are no multiple of four
    "modern": {**MODERN, "bias": False, "tie_weights": True, "mlp_dim": 27},
    "plain": {"position": "none", "mlp": "relu2", "bias": False},
}
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.0},
    {"temperature": 0.3},
    {"temperature": 1.7, "top_k": 5},
    {"temperature": 0.8, "top_p": 0.6},
    {"temperature": 1.2, "top_k": 9, "top_p": 0.9},
    {"temperature": 1.0, "top_p": 1.0},
]


def write_golden(model: GPT, tokenizer: CharTokenizer, folder: Path, precision: str, ids: list[int], new: int) -> None:
    """Write a model for the page, and beside it what torch makes of some ids."""
    export_web(model, tokenizer, folder, precision)
    close = fake_quantize(model, precision)
    with torch.inference_mode():
        exact = model(torch.tensor([ids]))[0]
        with capture_activations(close, "blocks.*.attention.weights") as seen:
            logits = close(torch.tensor([ids]))[0]
    prompt = ids[:5]
    golden = {
        "ids": ids,
        "exact": exact.flatten().tolist(),
        "rounded": logits.flatten().tolist(),
        "error": (exact - logits).abs().max().item(),
        "prompt": len(prompt),
        "greedy": prompt + one_text(close, prompt, Sampler(temperature=0), new),
        "attention": [
            [[row[: place + 1] for place, row in enumerate(head)] for head in weights[0].tolist()]
            for weights in seen.values()
        ],
    }
    (folder / "golden.json").write_text(json.dumps(golden))


@pytest.fixture
def golden(tmp_path, make_model, tokenizer, text) -> Path:
    """A folder of small models and of the shipped one, each with what torch makes of it."""
    for kind, changes in KINDS.items():
        model = make_model(**changes)
        for precision in ("int8", "fp16"):
            ids = tokenizer.encode(text[: model.config.block_size])
            write_golden(model, tokenizer, tmp_path / f"{kind}-{precision}", precision, ids, new=12)
    tiny, its_tokenizer = checkpoints.load(asset_path("checkpoints/tiny"))
    write_golden(tiny, its_tokenizer, tmp_path / "tiny-int8", "int8", its_tokenizer.encode("ROMEO:\nWhat light"), new=9)
    logits = torch.randn(30, generator=torch.Generator().manual_seed(0)) * 3
    filtered = [
        Sampler(**each).process_logits(logits, torch.tensor([], dtype=torch.long)).softmax(0).tolist()
        for each in SETTINGS
    ]
    settings = [
        {"temperature": each["temperature"], "topK": each.get("top_k"), "topP": each.get("top_p"), "expected": expected}
        for each, expected in zip(SETTINGS, filtered, strict=True)
    ]
    (tmp_path / "sampler.json").write_text(json.dumps({"logits": logits.tolist(), "settings": settings}))
    bits = np.array([0, 1, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x3555], dtype=np.uint16)
    halves = zip(bits.tolist(), bits.view(np.float16).tolist(), strict=True)
    (tmp_path / "halves.json").write_text(json.dumps(list(halves)))
    return tmp_path


def test_the_engine_agrees_with_torch(golden):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so the playground's engine was not tested")
    found = subprocess.run(
        [node, "--test", str(ROOT / "tests" / "book" / "playground" / "engine.test.js")],
        env=os.environ | {"MINIGPT_GOLDEN": str(golden)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"# pass {5 * 7 + 8}" in found.stdout


def test_the_engine_stays_short_and_stands_alone():
    code = "\n".join((ENGINE / part).read_text("utf-8") for part in PARTS)
    lines = [line for line in code.splitlines() if line.strip() and not re.match(r"\s*(//|/\*\*|\*)", line)]
    assert len(lines) <= 350
    assert set(re.findall(r'from "(.*?)"', code)) <= {f"./{part}" for part in PARTS}
    assert "http" not in code
