"""What is read from elsewhere cannot run code here, leave its folder, or be other than it was when it was chosen."""

import ast
import json
import re
from pathlib import Path

import pytest

from minigpt import CharTokenizer, UserError, load_tokenizer, prepare_shards
from minigpt.checkpoint.hub import HUB_FILES, is_repo_id
from minigpt.data.documents import TextSource, split_documents
from minigpt.data.download import datasets
from minigpt.data.shards import is_plain_name, open_shards

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("minigpt", "tools", "benchmarks", "apps") for path in (ROOT / folder).rglob("*.py")
)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RUN_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
ESCAPES = ("../train.bin", "/etc/passwd", "..", ".", "", "a/b.bin", "a\\b.bin", "C:\\x", "C:x", "a\0b", 5, None)


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Return the calls in a file, each with the dotted name of what is called."""
    tree = ast.parse(path.read_text("utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def named(call: ast.Call) -> dict[str, object]:
    """Return the constants that a call gives by name."""
    return {each.arg: getattr(each.value, "value", None) for each in call.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_file_that_is_read_can_run_code(path):
    imported = {
        (name.name if isinstance(node, ast.Import) else node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    assert not imported & RUN_CODE
    for name, call in calls(path):
        if name in ("torch.load", "torch.serialization.load"):
            assert named(call).get("weights_only") is True, f"line {call.lineno}"
        if name in ("np.load", "numpy.load"):
            assert not named(call).get("allow_pickle"), f"line {call.lineno}"
        if name.endswith(".extractall"):
            assert named(call).get("filter") == "data", f"line {call.lineno}: an archive can leave its folder"
        assert name not in ("yaml.load", "yaml.unsafe_load", "torch.hub.load", "os.system"), f"line {call.lineno}"
        assert not named(call).get("shell"), f"line {call.lineno}"
        assert not named(call).get("trust_remote_code"), f"line {call.lineno}"


def test_chapters_read_no_pickles():
    for path in sorted(ROOT.glob("chapters/**/*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert "weights_only=False" not in code and not re.search(r"^\s*(import|from) pickle", code, re.MULTILINE), path


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_in_a_manifest_cannot_leave_its_folder(tmp_path, name):
    assert not is_plain_name(name)
    source = TextSource("text", "a few words\n" * 20)
    prepare_shards(split_documents([source], val_fraction=0.2), CharTokenizer("\n adeforsw"), tmp_path / "shards")
    manifest = json.loads((tmp_path / "shards" / "shards.json").read_text())
    manifest["parts"]["train"]["shards"][0]["file"] = name
    (tmp_path / "shards" / "shards.json").write_text(json.dumps(manifest))
    (tmp_path / "shards" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"shards\.json"):
        open_shards(tmp_path / "shards")


@pytest.mark.parametrize("type", ["O", "|O", "<f4", "<u8", ">u2", "", None, ["<u2"]])
def test_a_manifest_cannot_make_other_things_of_the_bytes_than_ids(tmp_path, type):
    source = TextSource("text", "a few words\n" * 20)
    prepare_shards(split_documents([source], val_fraction=0.2), CharTokenizer("\n adeforsw"), tmp_path / "shards")
    manifest = json.loads((tmp_path / "shards" / "shards.json").read_text())
    (tmp_path / "shards" / "shards.json").write_text(json.dumps(manifest | {"type": type}))
    (tmp_path / "shards" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"shards\.json"):
        open_shards(tmp_path / "shards")


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", "a/b/c", "a", "a/b\n", "a/..", "~/x", "https://x/y"])
def test_a_name_on_the_hub_is_a_name(name):
    assert not is_repo_id(name)


def test_only_files_that_cannot_hold_code_are_fetched_from_the_hub():
    assert all(
        Path(file).name == file and Path(file).suffix in (".json", ".safetensors", ".md", "") for file in HUB_FILES
    )


def test_every_published_data_set_is_pinned():
    for dataset in datasets().values():
        assert re.fullmatch(r"[0-9a-f]{40}", dataset.revision), dataset.name
        for file in dataset.train + dataset.validation:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) and file.size > 0, file.path
            assert is_plain_name(file.name)


def test_a_tokenizer_is_data_and_no_path(tmp_path):
    for values in ({"kind": "../char"}, {"kind": "builtins.eval"}, {"kind": ["char"]}):
        (tmp_path / "tokenizer.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match="holds a tokenizer of kind"):
            load_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_no_more_than_it_has_to(path):
    text = path.read_text("utf-8")
    assert re.search(r"^permissions:\n  contents: read\n(?! )", text, re.MULTILINE), "nothing but reading, for all jobs"
    granted = set(re.findall(r"^ +([a-z-]+): write$", text, re.MULTILINE))
    assert granted <= ({"pages", "id-token"} if path.name == "publish.yml" else set())
    for used in re.findall(r"uses: (.*)", text):
        own = used.startswith("./.github/workflows/")
        pinned = re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v[\d.]+", used)
        assert own or pinned, f"{used} is not pinned to a commit"
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "pull_request_target" not in text and "github.event" not in text and "github.head_ref" not in text


def test_every_requirement_is_pinned():
    for path in ROOT.glob("requirements*.txt"):
        lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        assert lines and all(
            re.match(r"[A-Za-z0-9._-]+(\[.*\])?==[^*]+$", line.partition(";")[0].strip()) for line in lines
        )
