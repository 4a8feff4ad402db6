"""`check_run` speaks in sentences, draws, and says when there is nothing to compare with."""

import base64
import re
from dataclasses import replace

import pytest

from minigpt import Corpus, GPTConfig, RunLog, TrainConfig, UserError, model_preset
from minigpt.notebook import check_run
from tests.notebook.test_comparison import MEAN, reference_band, run  # noqa: F401
from tests.notebook.test_reference_bands import record

MODEL = GPTConfig(vocab_size=65, block_size=8, n_layer=1, n_head=1, n_embd=8)


def test_a_normal_run(reference_band):  # noqa: F811
    checkup = check_run(run(MEAN), reference_band=reference_band)
    assert checkup.normal is True
    assert (
        str(checkup) == "Normal: the run stays within the band of 3 reference runs (the test, a text, seeds 1, 2, 3)."
    )


def test_a_run_outside_says_where(reference_band):  # noqa: F811
    checkup = check_run(run([value + 1 for value in MEAN]), reference_band=reference_band)
    assert checkup.normal is False
    assert "The training loss is above the band: 3.200 at step 60, theirs 2.100 to 2.300." in str(checkup)
    assert "The validation loss is above the band" in str(checkup)


def test_a_run_that_nothing_explains_says_so(reference_band):  # noqa: F811
    checkup = check_run(run([value - 0.5 for value in MEAN]), reference_band=reference_band)
    assert checkup.normal is False and not checkup.causes
    assert "None of the known causes fits; compare your code with the book's" in str(checkup)


def test_causes_are_numbered_and_come_with_a_check(reference_band):  # noqa: F811
    records = [replace(one, learning_rate=9.0) for one in run([4.0, 4.0, 4.0, 4.0, 4.0, 4.0])]
    text = str(check_run(records, reference_band=reference_band))
    assert re.search(r"Likely causes, in order:\n1\. The learning rate is too high: .*\n   To check: ", text)


def test_the_page_shows_picture_and_sentences(reference_band):  # noqa: F811
    checkup = check_run(run([value + 1 for value in MEAN]), reference_band=reference_band)
    page = checkup._repr_html_()
    alt, drawing = re.search(r'<img alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)">', page).groups()
    assert alt.startswith("The run beside the reference runs. Outside")
    assert b"<svg" in base64.b64decode(drawing)
    assert all(finding.split(":")[0] in page for finding in checkup.findings)


def test_the_picture_shows_both_curves_over_their_bands(reference_band):  # noqa: F811
    training, validation = check_run(run(MEAN, gap=0.1), reference_band=reference_band).figure.axes
    (line,) = training.get_lines()
    assert list(line.get_xdata()) == reference_band.steps and list(line.get_ydata()) == pytest.approx(MEAN)
    (line,) = validation.get_lines()
    assert list(line.get_ydata()) == pytest.approx([value + 0.1 for value in MEAN])
    assert len(training.collections) == len(validation.collections) == 2


@pytest.mark.parametrize("steps", [60, 45, 10])
def test_a_run_in_progress_is_compared_as_far_as_it_has_come(reference_band, steps):  # noqa: F811
    assert check_run(run(MEAN)[:steps], reference_band=reference_band).normal is True


def test_a_run_without_evaluations_is_judged_by_its_training(reference_band):  # noqa: F811
    checkup = check_run([replace(one, validation_loss=None) for one in run(MEAN)], reference_band=reference_band)
    assert checkup.normal is True and checkup._repr_html_()


def test_a_run_shorter_than_an_interval_gets_general_signs(reference_band):  # noqa: F811
    checkup = check_run(run(MEAN)[:9], reference_band=reference_band)
    assert checkup.normal is None
    assert "shorter than the first 10 steps of the reference runs, so only general signs" in str(checkup)


def test_a_run_that_nobody_knows_gets_general_signs():
    checkup = check_run(run(MEAN), model=MODEL, corpus="my diary")
    assert checkup.normal is None
    assert "There are no reference runs of this model on my diary, so only general signs can be checked." in str(
        checkup
    )
    assert "The first loss, 4.00, is near ln 65 = 4.17" in str(checkup)
    assert checkup._repr_html_()
    training = TrainConfig(max_steps=7)
    assert "no reference runs of 7 steps" in str(
        check_run(run(MEAN), model=MODEL, training=training, corpus="my diary")
    )


def test_records_alone_do_not_say_what_was_trained():
    assert "(pass model=… and corpus=…)" in str(check_run(run(MEAN)))


@pytest.mark.parametrize("corpus", [Corpus("my diary", "text"), "my diary", {"name": "my diary"}])
def test_the_corpus_is_named_by_hand_or_by_the_header(corpus):
    if isinstance(corpus, dict):
        checkup = check_run(RunLog({"model": MODEL.to_dict(), "corpus": corpus}, run(MEAN)))
    else:
        checkup = check_run(run(MEAN), model=MODEL, corpus=corpus)
    assert "on my diary" in str(checkup)


def test_a_loss_that_is_no_number_is_the_first_thing_said(reference_band):  # noqa: F811
    records = run(MEAN)
    records[20] = replace(records[20], loss=float("nan"))
    checkup = check_run(records, reference_band=reference_band)
    assert checkup.normal is False
    assert "The loss is not a number from step 21 on." in str(checkup)
    assert checkup.causes[0].name == "the learning rate is too high"
    assert check_run([record(1, float("inf"))])._repr_html_()
    assert "from step 1 on" in str(check_run([record(1, 4.0, float("nan")), record(2, 4.0)]))


def test_settings_that_differ_are_listed(reference_band):  # noqa: F811
    reference_band = replace(reference_band, model=MODEL.to_dict(), training=TrainConfig().to_dict())
    own = MODEL.replace(dropout=0.3), TrainConfig(batch_size=2)
    text = str(check_run(run(MEAN), model=own[0], training=own[1], reference_band=reference_band))
    assert "dropout = 0.3 (theirs: 0.0), batch_size = 2 (theirs: 16)" in text


@pytest.mark.parametrize(("history", "message"), [([], "no record yet"), ([1, 2], "holds \\[1\\], not a StepMetrics")])
def test_something_else_than_records_is_named(history, message):
    with pytest.raises(UserError, match=message):
        check_run(history)


def test_the_recorded_run_of_the_book_has_no_reference_runs():
    from minigpt import asset_path, read_run

    checkup = check_run(read_run(asset_path("results/tiny-shakespeare.jsonl")))
    assert checkup.normal is None and "no reference runs of 6,000 steps" in str(checkup)
    assert model_preset("tiny-shakespeare").n_embd == 288
