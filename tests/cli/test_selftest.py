"""`minigpt selftest` passes here, and each of its checks fails once what it checks is broken."""

import re
import shutil
import sys
from importlib import metadata

import pytest
import torch
from torch.nn import functional as F

from minigpt import MLP, BPETokenizer, CharTokenizer, asset_path, naive_attention
from minigpt.checkpoint import save_load
from minigpt.cli import selftest
from minigpt.cli import selftest as attempts
from minigpt.cli.selftest import CHECKS, Check, Outcome
from minigpt.model.attention import ATTENTION_FUNCTIONS


@pytest.fixture
def outcome(monkeypatch):
    """Try one check by its name."""

    def attempt(name: str) -> Outcome:
        monkeypatch.setattr(selftest, "CHECKS", [check for check in CHECKS if check.name == name])
        [found] = selftest.run_selftest()
        return found

    return attempt


def raises(*arguments: object) -> None:
    raise RuntimeError("no kernel image is available")


def looks_ahead(q, k, v, attn_bias=None):
    return F.scaled_dot_product_attention(q, k, v), None


def scales_otherwise(q, k, v, attn_bias=None):
    return naive_attention(2 * q, k, v, attn_bias)


def test_everything_passes_here_and_nothing_is_left_behind(minigpt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    code, out, err = minigpt("selftest")
    assert (code, err) == (0, "")
    assert all(check.name in out for check in CHECKS) and "failed" not in out
    assert "minigpt works on this machine" in out
    assert torch.equal(torch.rand(3), expected), "the selftest moved the random state"
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "break_it", "said"),
    [
        ("versions", lambda m: m.setitem(sys.modules, "regex", None), "regex"),
        ("versions", lambda m: m.setattr(torch, "__version__", "2.1.0"), "torch 2.1.0 is older than 2.6"),
        ("device", lambda m: m.setattr(attempts, "default_device", raises), "RuntimeError: no kernel image"),
        ("device", lambda m: m.setattr(torch.Tensor, "cpu", lambda self: 0 * self), "differs from the CPU's"),
        ("forward", lambda m: m.setattr(MLP, "forward", lambda self, x: x * float("nan")), "not finite"),
        (
            "forward",
            lambda m: m.setitem(ATTENTION_FUNCTIONS, "sdpa", scales_otherwise),
            "'sdpa' gives other logits than 'naive'",
        ),
        (
            "causality",
            lambda m: m.setitem(ATTENTION_FUNCTIONS, "tiled", looks_ahead),
            "attn_impl = 'tiled': The logits at place",
        ),
        ("learning", lambda m: m.setattr(torch.optim.AdamW, "step", lambda self: None), "steps on one batch, the loss"),
        ("tokenizers", lambda m: m.setattr(CharTokenizer, "decode", lambda self, ids: "?"), "CharTokenizer turns"),
        ("tokenizers", lambda m: m.setattr(BPETokenizer, "encode", lambda self, text: [65]), "BPETokenizer turns"),
        ("checkpoint", lambda m: m.setattr(save_load, "read_weights", lambda *a: None), "other logits after it was"),
        (
            "checkpoint",
            lambda m: m.setattr(save_load, "verify_checksum", lambda path: None),
            "as if nothing were wrong",
        ),
    ],
)
def test_a_check_fails_once_what_it_checks_is_broken(outcome, monkeypatch, name, break_it, said):
    with monkeypatch.context() as broken:
        break_it(broken)
        found = outcome(name)
    assert not found.passed and said in found.found and "\n" not in found.found


def test_a_damaged_shipped_model_is_noticed(outcome, monkeypatch, tmp_path):
    shutil.copytree(asset_path("checkpoints/tiny"), tmp_path / "tiny")
    with (tmp_path / "tiny" / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    monkeypatch.setattr(selftest, "asset_path", lambda name: tmp_path / "tiny")
    found = outcome("shipped model")
    assert not found.passed and "checksum" in found.found


def test_a_failure_is_told_with_its_remedy_and_keeps_nothing_from_being_tried(minigpt, monkeypatch):
    checks = [Check("first", raises, "Do [this]."), Check("second", lambda: "all [bold]well", "Do that.")]
    monkeypatch.setattr(selftest, "CHECKS", checks)
    code, out, _ = minigpt("selftest")
    assert code == 1
    assert "RuntimeError: no kernel image" in out and "first: Do [this]." in out
    assert "all [bold]well" in out and "Do that." not in out and "works on this machine" not in out


def test_every_check_has_a_name_of_its_own_and_a_remedy():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.remedy.endswith(".") for check in CHECKS)


def test_what_it_imports_is_what_the_package_needs():
    try:
        requirements = metadata.requires("minigpt-book")
    except metadata.PackageNotFoundError:
        pytest.skip("minigpt is not installed")
    needed = [each for each in requirements if "extra ==" not in each]
    assert {re.match(r"[\w-]+", each)[0] for each in needed} == set(attempts._NEEDED)
    assert f"torch>={'.'.join(map(str, attempts._OLDEST_TORCH))}" in needed
