"""The record of the n-gram models: their known losses, the best order, and the experiment in miniature."""

import json
import sys

import pytest

from minigpt import Corpus, asset_path
from minigpt.evaluation.ngram import NGram

RECORD = json.loads(asset_path("results/ngram.json").read_text(encoding="utf-8"))
LOSSES = {
    (corpus, case["order"], case["discount"]): case["loss"]
    for corpus, about in RECORD["corpora"].items()
    for case in about["cases"]
}
KNOWN = {
    "tinyshakespeare": {2: 2.4839, 5: 1.5663, 6: 1.5385, 7: 1.5470},
    "foundation": {6: 1.4231, 8: 1.3673},
}


def test_it_holds_every_order_with_both_discounts_on_every_corpus():
    corpora = ("tinyshakespeare", "shakespeare-plays", "foundation")
    assert LOSSES.keys() == {(c, order, d) for c in corpora for order in range(1, 11) for d in (0.75, "modified")}
    assert {"date", "processor", "threads"} <= RECORD["machine"].keys()


def test_the_losses_are_those_that_are_known():
    for corpus, known in KNOWN.items():
        for order, nats in known.items():
            assert LOSSES[corpus, order, 0.75] == pytest.approx(nats, abs=5e-4)


def test_three_discounts_are_better_than_one_from_the_third_order_on():
    for (corpus, order, discount), loss in LOSSES.items():
        if discount == "modified" and order >= 3:
            assert loss < LOSSES[corpus, order, 0.75]


@pytest.mark.parametrize(("corpus", "best"), [("tinyshakespeare", 6), ("shakespeare-plays", 7), ("foundation", 10)])
def test_more_context_helps_up_to_the_best_order_and_no_further(corpus, best):
    losses = [LOSSES[corpus, order, 0.75] for order in range(1, 11)]
    assert losses[:best] == sorted(losses[:best], reverse=True)
    assert losses[best - 1 :] == sorted(losses[best - 1 :])


def test_the_experiment_in_miniature(tmp_path, monkeypatch, text):
    from experiments import ngram

    monkeypatch.setattr(ngram, "load_corpus", lambda name: Corpus(name, text))
    out = tmp_path / "ngram.json"
    monkeypatch.setattr(sys, "argv", ["ngram", "--corpora", "shakespeare-plays", "--highest", "2", "--out", str(out)])
    ngram.main()
    about = json.loads(out.read_text("utf-8"))["corpora"]["shakespeare-plays"]
    assert [(case["order"], case["discount"]) for case in about["cases"]] == [
        (order, discount) for order in (1, 2) for discount in (0.75, "modified")
    ]
    split, vocab_size = ngram.load_characters("shakespeare-plays")
    assert about["cases"][2]["loss"] == round(NGram.fit(split.train, 2, vocab_size).loss(split.validation), 5)
