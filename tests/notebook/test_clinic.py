"""The symptom clinic: every symptom is made on purpose, proved by an assertion, and fixed; the page itself is run."""

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "chapters" / "appendix_symptoms.ipynb"
CELLS = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(PAGE.read_text("utf-8"))["cells"]]
WHOLE = "\n".join(source for _, source in CELLS)
SYMPTOMS = re.split(r"^### (?=\d+\. )", WHOLE.split("## When your symptom is not here")[0], flags=re.MULTILINE)[1:]


def test_there_are_a_dozen_and_more_numbered_through():
    numbers = [int(symptom.split(".")[0]) for symptom in SYMPTOMS]
    assert numbers == list(range(1, len(SYMPTOMS) + 1))
    assert len(SYMPTOMS) >= 12


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.splitlines()[0])
def test_a_symptom_is_proved_and_fixed(symptom):
    assert re.search(r"^\s*assert |assert_close", symptom, re.MULTILINE)
    assert re.search(r"fix(ed)?:\*\*", symptom, re.IGNORECASE)
