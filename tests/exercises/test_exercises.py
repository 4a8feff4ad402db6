"""The framework behind the exercises, tried on small exercises of its own."""

import contextlib
import functools
import io
import random
import sys
import threading
import time

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minigpt.exercises import check
from minigpt.exercises.engine.checking import Exercise, exercise
from minigpt.exercises.engine.display import Hints, hints
from minigpt.exercises.engine.expectations import (
    Mistake,
    accepted,
    brief,
    diagnose,
    expect_close,
    expect_equal,
    expect_shape,
    expect_type,
    random_tensor,
    unchanged,
)
from minigpt.exercises.engine.loading import all_exercises
from minigpt.utils.errors import UserError

SCORES = random_tensor(3, 3)
DOUBLED = "each value is doubled once too often"


@exercise(chapter="99_test", hints=("Look at `dim`.", "Use the *last* dimension."))
def weigh(attempt):
    """Turn scores `(T, T)` into weights whose rows sum to one."""
    wrong = {"softmax runs over the queries, not the keys": SCORES.softmax(0)}
    diagnose(attempt(SCORES), SCORES.softmax(-1), wrong)
    return "every row sums to one"


@exercise(chapter="99_test", hints=("one", "two"), kind="module")
def doubler(attempt):
    """A module that doubles its input."""
    layer = attempt()
    x = torch.ones(2)
    with unchanged(x=x):
        expect_close(layer(x), torch.full((2,), 2.0), DOUBLED)


@exercise(chapter="99_test", hints=("one", "two"), in_place=True)
def fill_with_ones(attempt):
    """Fill the tensor with ones, in place."""
    tensor = torch.zeros(3)
    attempt(tensor)
    expect_equal(tensor, torch.ones(3), "the tensor is not full of ones")


@exercise(chapter="99_test", hints=("one", "two"))
def sort_items(attempt):
    """Return the items, sorted."""
    expect_equal(attempt([2, 1]), [1, 2], "the order is wrong")
    expect_equal(attempt([]), [], "an empty list stays empty")


def said(one: Exercise, attempt: object) -> str:
    outcome = one.examine(attempt)
    assert outcome.verdict == "wrong", outcome
    assert "Traceback" not in outcome.message and "\n" not in outcome.message
    return outcome.message


def right_softmax(scores):
    return scores.softmax(-1)


def raises(error):
    raise error


def test_right_answer_is_ticked(capsys):
    assert weigh(right_softmax) is True
    assert capsys.readouterr().out == "✓ weigh: every row sums to one.\n"
    assert doubler.examine(nn.Identity).verdict == "wrong"


def test_wrong_answer_is_named_and_points_to_the_hints(capsys):
    assert weigh(lambda scores: scores.softmax(0)) is False
    assert capsys.readouterr().out == (
        '✗ weigh: softmax runs over the queries, not the keys.\n  For a nudge: hints("weigh")\n'
    )


def stub(*arguments, **named):
    raise NotImplementedError


def stub_with_message(scores):
    raise NotImplementedError("your code here")


def silent_stub(scores):
    pass


def ellipsis_stub(scores):
    return ...


@pytest.mark.parametrize("attempt", [stub, stub_with_message, silent_stub, ellipsis_stub, None, ...])
def test_a_stub_is_not_attempted(attempt, capsys):
    assert weigh.examine(attempt).verdict == "unattempted"
    assert weigh(attempt) is False
    assert capsys.readouterr().out.startswith("○ weigh: not attempted yet")


class StubModule(nn.Module):
    def __init__(self):
        super().__init__()
        raise NotImplementedError


class SilentModule(nn.Module):
    def forward(self, x):
        pass


class NoForward(nn.Module):
    pass


@pytest.mark.parametrize("attempt", [StubModule, SilentModule, NoForward])
def test_a_stub_of_a_class_is_not_attempted(attempt):
    assert doubler.examine(attempt).verdict == "unattempted"


def test_an_operation_that_torch_lacks_is_no_stub():
    assert "raised NotImplementedError in line" in said(weigh, lambda scores: scores.long().softmax(-1))


class InPlace(nn.Module):
    def forward(self, x):
        return x.mul_(2)


class Unfit(nn.Module):
    def __init__(self, width):
        super().__init__()


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (InPlace, "changes its input `x` in place"),
        (Unfit, "using your class or its answer failed with TypeError"),
        (lambda x: 2 * x, "a class is asked for"),
        (InPlace(), "without brackets"),
        (dict, "inherit from `nn.Module`"),
    ],
)
def test_classes(attempt, says):
    assert says in said(doubler, attempt)


def loses_itself(scores):
    return loses_itself(scores)


def changes_its_input(scores):
    scores -= scores.max()
    return scores.softmax(-1)


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (SCORES, "pass the function itself, not what it returns"),
        (42, "pass the function itself"),
        (nn.Softmax, "a function is asked for, but this is a class"),
        (lambda: 1, "has the parameters ()"),
        (lambda scores, mask: scores, "missing a required argument: 'mask'"),
        (lambda scores: 1 / 0, "raised ZeroDivisionError in line"),
        (lambda scores: "abc", "the answer is of type str, but Tensor is asked for"),
        (lambda scores: scores.tolist(), "the answer is of type list, but Tensor is asked for"),
        (lambda scores: Unprintable(), "of type Unprintable"),
        (lambda scores: scores[0], "the answer has shape (3,), not (3, 3)"),
        (lambda scores: scores * float("nan"), "contains NaN"),
        (lambda scores: scores * 0, "the answer is 0.0 at position [0, 0], but it should be"),
        (loses_itself, "calls itself without end (RecursionError in line"),
        (changes_its_input, "changes its input `scores` in place"),
        (lambda scores: raises(Hostile()), "raised Hostile in line"),
        (lambda scores: raises(SystemExit(3)), "raised SystemExit in line"),
        (lambda scores: raises(BaseException("odd")), "raised BaseException in line"),
        (lambda scores: raises(ValueError("first\nsecond")), ": first."),
        (functools.partial(torch.softmax, dim=0), "softmax runs over the queries"),
    ],
)
def test_every_misfortune_gets_one_sentence(attempt, says):
    before = SCORES.clone()
    assert says in said(weigh, attempt)
    assert torch.equal(SCORES, before)


def test_the_learners_own_line_is_quoted():
    assert "`wrong = scores @ torch.ones(7)`" in said(weigh, fails_on_its_own_line)


def fails_on_its_own_line(scores):
    wrong = scores @ torch.ones(7)
    return wrong


def test_none_on_some_inputs_is_a_mistake():
    assert "every branch" in said(sort_items, lambda items: sorted(items) if items else None)


def test_sorting_a_list_in_place_is_noticed():
    def sorts_in_place(items):
        items.sort()
        return items

    assert "changes its input `items` in place" in said(sort_items, sorts_in_place)
    assert sort_items.examine(sorted).verdict == "right"


def test_in_place_exercises_may_change_and_return_nothing():
    def fills(tensor):
        tensor.fill_(1)

    assert fill_with_ones.examine(fills).verdict == "right"
    assert "not full of ones" in said(fill_with_ones, lambda tensor: None)
    assert fill_with_ones.examine(stub).verdict == "unattempted"


@exercise(chapter="99_test", hints=("one", "two"), without=("softmax", "autograd"))
def weigh_by_hand(attempt):
    """Turn scores `(T, T)` into weights, without the library's softmax."""
    expect_close(attempt(SCORES), SCORES.softmax(-1), "the weights are wrong")


@pytest.mark.parametrize("softmax", [torch.softmax, torch.Tensor.softmax, nn.functional.softmax, torch.log_softmax])
def test_what_an_exercise_forbids_is_noticed(softmax):
    used = softmax(SCORES, -1)
    message = said(weigh_by_hand, lambda scores: softmax(scores, -1) - used + SCORES.softmax(-1))
    assert message == "the answer is right, but the exercise asks you to do without `softmax`."
    assert weigh_by_hand.examine(lambda scores: scores.exp() / scores.exp().sum(-1, keepdim=True)).verdict == "right"
    assert "the weights are wrong" in said(weigh_by_hand, lambda scores: softmax(scores, -1) + 1)


def test_autograd_may_be_forbidden_in_all_its_forms():
    def gradient(scores, by):
        leaf = scores.clone().requires_grad_()
        by((leaf**2).sum() / 2, leaf)
        return SCORES.exp() / SCORES.exp().sum(-1, keepdim=True)

    for by in (torch.autograd.grad, lambda y, leaf: y.backward(), lambda y, leaf: torch.autograd.backward(y)):
        assert "do without `autograd`" in said(weigh_by_hand, lambda scores, by=by: gradient(scores, by))


def test_a_session_on_another_device_does_not_matter():
    with torch.device("meta"):
        assert weigh.examine(lambda scores: torch.zeros(3, 3) + scores.softmax(-1)).verdict == "right"


def never_ends(scores):
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def test_an_endless_loop_is_stopped_with_its_line():
    impatient = Exercise("weigh", "99_test", ("a", "b"), weigh.checker, seconds=0.2)
    message = said(impatient, never_ends)
    assert "still running after 0.2 seconds in line" in message and message.endswith("does a loop never end?")


def test_checks_work_outside_the_main_thread():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(weigh.examine(right_softmax).verdict))
    thread.start()
    thread.join()
    assert verdicts == ["right"]


def test_keyboard_interrupt_passes_through():
    with pytest.raises(KeyboardInterrupt):
        weigh.examine(lambda scores: raises(KeyboardInterrupt()))


def test_wrong_use_of_the_check_does_not_raise(capsys):
    assert weigh() is False and weigh(right_softmax, right_softmax) is False and weigh(attempt=right_softmax) is False
    assert capsys.readouterr().out.count("give it one thing, your own function: check.weigh(weigh).") == 3


def test_the_session_is_left_as_it_was():
    def disturbs(scores):
        torch.set_grad_enabled(False)
        torch.manual_seed(torch.randint(99, ()).item())
        numpy.random.seed(1)
        random.seed(1)
        return torch.rand(3, 3)

    def states():
        numpy_state = tuple(str(part) for part in numpy.random.get_state())
        return torch.get_rng_state().tolist(), numpy_state, random.getstate(), torch.is_grad_enabled()

    before = states()
    assert weigh.examine(disturbs) == weigh.examine(disturbs)
    assert states() == before


def test_an_ascii_terminal_gets_a_line_too(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert weigh(right_softmax)


@pytest.mark.parametrize(
    ("helper", "arguments"),
    [
        (expect_equal, (True, 2, "m")),
        (expect_equal, ((0, 1), [0, 2], "m")),
        (expect_equal, ([0, 1], torch.tensor([0, 1]), "m")),
        (expect_equal, ({0, 1}, [0, 1], "m")),
        (expect_equal, ({"a": 1}, {"a": 2}, "m")),
        (expect_equal, ("a", "b", "m")),
        (expect_close, (1.1, 1.0, "m")),
        (expect_close, (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]), "m")),
        (expect_shape, ([1], (1,))),
        (expect_type, (1, str)),
        (expect_type, (1.0, int)),
        (expect_type, (torch.tensor(1.0), int)),
        (expect_type, (torch.ones(2), (list, tuple))),
        (expect_type, (1, bool)),
    ],
)
def test_expectations_fail(helper, arguments):
    with pytest.raises(Mistake):
        helper(*arguments)


def test_expectations_hold():
    expect_equal((0, 1), [0, 1], "m")
    expect_equal({"a": [1, (2.0, "b")]}, {"a": [1, (2.0, "b")]}, "m")
    expect_equal(torch.tensor([0, 1]), torch.tensor([0.0, 1.0]), "m")
    expect_close(torch.tensor(1.0), 1, "m")
    expect_close(torch.tensor([float("nan"), float("inf")]), torch.tensor([float("nan"), float("inf")]), "m")
    expect_close([torch.ones(2)], [torch.ones(2)], "m")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1], tuple),
        ((1,), list),
        (numpy.int64(1), int),
        (numpy.float32(1), float),
        (numpy.bool_(True), bool),
        (torch.tensor(1), int),
        (torch.tensor(True), bool),
        (torch.tensor(1.0, requires_grad=True), torch.Tensor),
        (numpy.ones(3), torch.Tensor),
    ],
)
def test_one_rule_says_which_types_are_taken(value, kind):
    expect_type(value, kind)


NUMBERS = st.one_of(st.integers(-999, 999), st.booleans(), st.floats(-1e6, 1e6, width=32))
ANSWERS = st.recursive(NUMBERS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def in_other_types(answer, draw):
    """The same answer in types of the reader's choice."""
    if isinstance(answer, list):
        return draw(st.sampled_from([list, tuple]))(in_other_types(item, draw) for item in answer)
    if isinstance(answer, dict):
        return {key: in_other_types(item, draw) for key, item in answer.items()}
    if isinstance(answer, str):
        return answer
    as_float = [numpy.float64, lambda number: torch.tensor(number, dtype=torch.float64)]
    kinds = [lambda number: number, lambda number: numpy.asarray(number)[()], numpy.asarray, torch.tensor]
    return draw(st.sampled_from(kinds + (as_float if isinstance(answer, float) else [])))(answer)


@pytest.mark.slow
@given(answer=ANSWERS, data=st.data())
def test_an_answer_is_the_same_in_other_types(answer, data):
    other = in_other_types(answer, data.draw)
    expect_close(accepted(other), answer, "m")
    expect_close(other, answer, "m")


def test_tensors_of_float64_and_arrays_are_tensors():
    assert weigh.examine(lambda scores: scores.double().softmax(-1)).verdict == "right"
    assert weigh.examine(lambda scores: scores.softmax(-1).numpy()).verdict == "right"
    assert accepted(torch.ones(2, dtype=torch.float64)).dtype == torch.float32
    assert accepted(torch.ones(2, dtype=torch.float16)).dtype == torch.float16


def test_diagnose_refuses_an_input_that_shows_nothing():
    with pytest.raises(ValueError, match="choose another input"):
        diagnose(torch.ones(1), torch.ones(1), {"the sign is wrong": torch.ones(1)})


def test_brief_never_raises():
    assert brief(Unprintable()) == "a value of type Unprintable"
    assert brief([0.123456, "a"]) == "[0.1235, 'a']"
    assert len(brief("x" * 999)) == 80


def test_hints_are_escaped_static_html():
    shown = Hints("weigh", ("Is `a < b` *really* so? <b>", "two"))._repr_html_()
    assert shown.count("<details") == 2 and "<script" not in shown
    assert "a &lt; b</code> <em>really</em> so? &lt;b&gt;" in shown
    assert repr(Hints("weigh", ("one",))) == "Hint 1 for weigh: one"


def test_a_power_in_a_hint_is_no_emphasis():
    shown = Hints("weigh", ("A / N**alpha + B / D**(beta + 1) is *the* law",))._repr_html_()
    assert "A / N**alpha + B / D**(beta + 1) is <em>the</em> law" in shown


def test_unknown_names_are_answered_with_the_nearest(monkeypatch):
    from minigpt.exercises.engine import loading

    monkeypatch.setattr(loading, "all_exercises", lambda: {"weigh": weigh})
    with pytest.raises(AttributeError, match="no exercise called 'wiegh': did you mean weigh"):
        _ = check.wiegh
    with pytest.raises(UserError, match="did you mean weigh"):
        hints("wiegh")
    assert dir(check) == ["weigh"] and not hasattr(check, "_repr_html_")
    assert check.weigh is weigh and "check.weigh: Turn scores" in repr(check)


def test_all_exercises_load():
    assert list(dir(check)) == sorted(all_exercises())
