"""The folder `space`: what the hub reads in it fits the package and the repository."""

import tomllib
from pathlib import Path

import yaml

from scripts.stamp import read_address

ROOT = Path(__file__).parents[2]


def test_the_space_is_what_the_hub_reads():
    card = (ROOT / "space" / "README.md").read_text("utf-8")
    values = yaml.safe_load(card.split("---\n")[1])
    assert values["sdk"] == "gradio" and (ROOT / "space" / values["app_file"]).is_file()
    assert len(values["short_description"]) <= 60
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    least = project["optional-dependencies"]["app"][0].removeprefix("gradio>=")
    assert values["sdk_version"].split(".")[0] == least.split(".")[0]
    wanted = (ROOT / "space" / "requirements.txt").read_text("utf-8")
    assert f"{project['name']} @ git+{read_address(ROOT).repository}\n" in wanted
