"""What devices tell each other: the formula beside a ring that really passes numbers round."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import GPTConfig, UserError, model_preset
from minigpt.planning.communication import (
    FSDP_PASSES,
    Cluster,
    StepTime,
    allreduce_bytes,
    communication_bound_tokens,
    step_time,
)
from minigpt.planning.counting import num_parameters, training_flops
from minigpt.planning.devices import DEVICES

CONFIG = GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8)
CLUSTER = Cluster(DEVICES["a100"], per_node=8, intra_node_bandwidth=200e9, inter_node_bandwidth=25e9)


def passed_round(vectors: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[int]]:
    """Sum vectors (P,) in a ring, a chunk at a time to the next device; return the sums, and what each has sent."""
    n = len(vectors)
    chunks = [list(vector.clone().chunk(n)) for vector in vectors]
    sent = [0] * n
    for first, adds in ((0, True), (1, False)):  # gather the sums, then hand them round
        for turn in range(n - 1):
            moves = [(device, (device + first - turn) % n) for device in range(n)]
            parcels = [chunks[device][chunk].clone() for device, chunk in moves]
            for (device, chunk), parcel in zip(moves, parcels, strict=True):
                neighbour = chunks[(device + 1) % n]
                neighbour[chunk] = neighbour[chunk] + parcel if adds else parcel
                sent[device] += parcel.numel()
    return [torch.cat(each) for each in chunks], sent


@given(st.integers(2, 9), st.integers(1, 5))
def test_a_ring_sends_what_the_formula_says(n, size):
    vectors = [torch.randn(n * size, dtype=torch.double) for _ in range(n)]
    sums, sent = passed_round(vectors)
    for each in sums:
        torch.testing.assert_close(each, torch.stack(vectors).sum(0))
    share = allreduce_bytes(CONFIG, n) / (4 * num_parameters(CONFIG))
    assert sent == [round(share * n * size)] * n


def test_one_device_has_nobody_to_tell():
    assert allreduce_bytes(CONFIG, 1) == 0
    alone = step_time(CONFIG, CLUSTER, 1, 1024, mfu=0.4)
    assert alone.communication == 0 and alone.efficiency == 1 and alone.overlapped == alone.forward + alone.backward


def test_a_step_by_hand():
    gpt2 = model_preset("gpt2-small-32k")
    found = step_time(gpt2, CLUSTER, 16, 8192, mfu=0.4)
    assert found.forward + found.backward == pytest.approx(8192 * training_flops(gpt2) / (0.4 * 312e12))
    assert found.backward == pytest.approx(2 * found.forward)
    assert found.communication == pytest.approx(2 * 15 / 16 * 4 * 134_601_216 / 25e9)
    within = step_time(gpt2, CLUSTER, 8, 8192, mfu=0.4).communication
    assert within == pytest.approx(2 * 7 / 8 * 4 * 134_601_216 / 200e9)


def test_the_longer_of_two_that_overlap_counts():
    assert StepTime(1.0, 2.0, 1.5).overlapped == 3.0 and StepTime(1.0, 2.0, 1.5).efficiency == 1
    assert StepTime(1.0, 2.0, 5.0).overlapped == 6.0 and StepTime(1.0, 2.0, 5.0).efficiency == 0.5


@pytest.mark.parametrize("devices", [2, 8, 64])
@pytest.mark.parametrize("passes", [2, FSDP_PASSES])
def test_at_the_binding_number_of_tokens_both_take_as_long(devices, passes):
    tokens = communication_bound_tokens(CONFIG, CLUSTER, devices, 0.4, passes=passes)
    found = step_time(CONFIG, CLUSTER, devices, max(1, round(1000 * tokens)), 0.4, passes=passes)
    assert found.backward == pytest.approx(1000 * found.communication, rel=0.01)
    assert communication_bound_tokens(CONFIG, CLUSTER, devices, 0.4, passes=FSDP_PASSES) == pytest.approx(
        1.5 * communication_bound_tokens(CONFIG, CLUSTER, devices, 0.4)
    )


def test_a_number_that_cannot_be_is_named():
    with pytest.raises(UserError, match="devices = 0 must be at least 1"):
        allreduce_bytes(CONFIG, 0)
    with pytest.raises(UserError, match="tokens = 0 must be at least 1"):
        step_time(CONFIG, CLUSTER, 8, 0, 0.4)
    with pytest.raises(UserError, match="mfu = 4 must be above 0 and at most 1"):
        step_time(CONFIG, CLUSTER, 8, 5, 4)
