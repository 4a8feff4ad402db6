"""The figures show the numbers that they are given."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import RunLog, StepMetrics
from minigpt.notebook import plots


def record(step: int, loss: float, validation_loss: float | None = None) -> StepMetrics:
    return StepMetrics(
        step=step,
        loss=loss,
        learning_rate=0.1,
        gradient_norm=1.0,
        seconds=1.0,
        tokens_per_second=1.0,
        peak_memory_mb=1.0,
        validation_loss=validation_loss,
    )


RECORDS = [record(1, 4.0), record(2, 3.0, 3.5), record(3, 2.0), record(4, 1.0, 2.5)]


def curves(axes) -> dict[str, tuple[list, list]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def texts(ticks) -> list[str]:
    return [tick.get_text() for tick in ticks]


def test_loss_curves_draw_training_validation_and_baselines():
    drawing = plots.loss_curves({"live": RECORDS, "recorded": RunLog({}, RECORDS[:2])}, {"guess": 4.17}, "title")
    (axes,) = drawing.axes
    found = curves(axes)
    assert found["live: training"] == ([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0])
    assert found["live: validation"] == ([2, 4], [3.5, 2.5])
    assert found["recorded: training"] == ([1, 2], [4.0, 3.0])
    assert found["guess"][1] == [4.17, 4.17]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(found)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss (nats per token)")
    assert axes.get_title(loc="left") == "title"


def test_a_run_without_evaluation_has_no_validation_curve():
    (axes,) = plots.loss_curves({"live": RECORDS[:1]}).axes
    assert list(curves(axes)) == ["live: training"]


def test_many_runs_each_get_a_curve():
    (axes,) = plots.loss_curves({str(i): RECORDS for i in range(9)}).axes
    assert len(curves(axes)) == 18


@given(st.lists(st.floats(-100, 100), max_size=300), st.floats(0.001, 0.5))
def test_smoothing_is_a_trailing_mean(values, share):
    width = max(1, round(len(values) * share))
    smoothed = plots.smooth(values, share)
    assert len(smoothed) == len(values)
    for place, value in enumerate(smoothed):
        window = values[max(0, place + 1 - width) : place + 1]
        assert value == pytest.approx(sum(window) / len(window), abs=1e-9)


def test_lines_draw_each_curve():
    (axes,) = plots.line_plot({"a": ([1, 2], [3, 4]), "b": (torch.arange(2), torch.ones(2))}, "x", "y", "both").axes
    assert curves(axes) == {"a": ([1, 2], [3, 4]), "b": ([0, 1], [1.0, 1.0])}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


def test_a_heatmap_shows_the_matrix_its_labels_and_its_numbers():
    matrix = torch.tensor([[0.0, 0.25, 1.0], [0.5, 0.75, 0.125]], requires_grad=True)
    drawing = plots.heatmap(matrix, ["r0", "r1"], ["c0", "c1", "c2"], "title", "x", "y", ".2f")
    (axes,) = drawing.axes
    assert torch.equal(torch.from_numpy(axes.images[0].get_array().data), matrix.detach())
    assert texts(axes.get_xticklabels()) == ["c0", "c1", "c2"] and texts(axes.get_yticklabels()) == ["r0", "r1"]
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {(0, 0): "0.00", (1, 0): "0.25", (2, 0): "1.00", (0, 1): "0.50", (1, 1): "0.75", (2, 1): "0.12"}
    assert [text.get_color() for text in axes.texts].count("white") == 2, "numbers on dark cells are light"


def test_a_heatmap_takes_a_plain_list():
    (axes,) = plots.heatmap([[1, 2], [3, 4]]).axes
    assert axes.images[0].get_array().tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(("heads", "panels"), [(1, 1), (3, 3), (4, 6)])
def test_attention_maps_draw_one_panel_a_head(heads, panels):
    weights = torch.rand(heads, 4, 4)
    drawing = plots.attention_maps(weights, ["a", " ", "\n", "$"])
    assert len(drawing.axes) == panels
    for head, axes in enumerate(drawing.axes):
        assert axes.get_visible() == (head < heads)
        if head < heads:
            assert torch.equal(torch.from_numpy(axes.images[0].get_array().data), weights[head])
            assert axes.get_title(loc="left") == f"head {head}"
            assert texts(axes.get_xticklabels()) == texts(axes.get_yticklabels()) == ["a", "␣", "↵", r"\$"]


def test_a_single_attention_map_needs_no_head():
    (axes,) = plots.attention_maps(torch.rand(2, 2), "ab", titles=["only"]).axes
    assert axes.get_title(loc="left") == "only"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_figures_take_tensors_from_a_gpu():
    matrix = torch.rand(2, 2, device="cuda")
    for drawing in (plots.heatmap(matrix), plots.attention_maps(matrix, "ab"), plots.token_bars(matrix[0], "ab")):
        assert drawing._repr_svg_()


def test_token_bars_show_the_likeliest_first():
    (axes,) = plots.token_bars(torch.tensor([0.1, 0.6, 0.3]), ["a", "\n", " "], most=2).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.3])
    assert texts(axes.get_yticklabels()) == ["↵", "␣"]
    assert axes.yaxis_inverted()


def test_figures_are_drawn_in_the_page_once_and_without_pyplot():
    drawing, axes = plots.new_figure()
    axes.set_title("shown")
    svg = drawing._repr_svg_()
    assert svg.startswith("<?xml") and svg.rstrip().endswith("</svg>")
    import matplotlib._pylab_helpers

    assert not matplotlib._pylab_helpers.Gcf.figs, "a figure known to pyplot would show twice"


@pytest.mark.parametrize("token", ["$x$", "$", "", " ", "\n", "é", "_^", "\\"])
def test_any_token_can_be_a_label(token):
    assert plots.token_bars(torch.tensor([1.0]), [token])._repr_svg_()
    assert plots.attention_maps(torch.eye(1), [token])._repr_svg_()
