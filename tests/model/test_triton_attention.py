"""The Triton kernel computes the formula; without a GPU, Triton's interpreter runs it, in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed: pip install triton", allow_module_level=True)

PROGRAM = """
import torch
from minigpt.model.attention import naive_attention
from minigpt.utils.errors import UserError
from minigpt.model.triton_attention import triton_attention

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(1)
for shape in [(1, 1, 1, 16), (2, 3, 70, 16), (1, 2, 64, 24), (1, 1, 130, 48)]:
    q, k, v = torch.randn(3, *shape, device=device)
    torch.testing.assert_close(triton_attention(q, k, v)[0], naive_attention(q, k, v)[0], atol=1e-5, rtol=1e-5)
turned = torch.randn(3, 1, 20, 2, 16, device=device).transpose(-2, -3)
torch.testing.assert_close(triton_attention(*turned)[0], naive_attention(*turned)[0], atol=1e-5, rtol=1e-5)
large = 100 * torch.randn(3, 1, 1, 70, 16, device=device)
torch.testing.assert_close(triton_attention(*large)[0], naive_attention(*large)[0])
half = torch.randn(3, 1, 1, 70, 16, device=device).half()
exact = naive_attention(*half.float())[0]
torch.testing.assert_close(triton_attention(*half)[0].float(), exact, atol=5e-3, rtol=5e-3)
for wrong, word in [((q.requires_grad_(), k, v), "backward"), ((q[:, :, -1:].detach(), k, v), "one shape")]:
    try:
        triton_attention(*wrong)
    except UserError as error:
        assert word in str(error)
    else:
        raise AssertionError(word)
print("agrees")
"""


def test_the_kernel_computes_the_formula():
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})
    command = [sys.executable, "-c", PROGRAM]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert outcome.stdout.strip() == "agrees", outcome.stderr
