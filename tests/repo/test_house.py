"""The house: what stands where, that imports only run downwards, and that the field's names are used."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {
    *("README.md", "Makefile", "pyproject.toml", "_config.yml", "_toc.yml", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("CITATION.cff", "LICENSE", "LICENSE-prose.md", "requirements.txt", "requirements-bench.txt"),
    *("requirements-plays.txt", ".ci", ".github", ".gitattributes", ".gitignore", ".pre-commit-config.yaml"),
    *(
        "book",
        "chapters",
        "minigpt",
        "checkpoints",
        "results",
        "experiments",
        "benchmarks",
        "scripts",
        "space",
        "tests",
    ),
}
ORDER = [
    "utils",
    "config",
    "planning",
    "model",
    "tokenizer",
    "data",
    "generation",
    "evaluation",
    "checkpoint",
    "training",
    "notebook",
    "exercises",
    "app",
    "cli",
]
BINARY = ("checkpoints/", "book/_static/")
# Names of the first edition that no code and no page may use again; each has the field's name now.
OLD_NAMES = """
attend_naive attend_sdpa attend_flash attend_triton ATTENDS repeat_heads join_heads head_norm NoCache NO_CACHE
RECOMPUTED initialise new_cache require_components default_norm default_attention default_mlp default_position
SquaredReLU LearnedPosition SinusoidalPosition RotaryPosition LinearBias score_bias acts_inside TiledAttention
seen_tiles tile_of_scores keep_top_k keep_top_p keep_min_p scale_by_temperature penalise_repetition stream_ids
last_logits can_cache ONE_BY_ONE decode_stream until_stop to_writing_layout to_int8_kernels row_steps LiveMemory
pick_device choose_device describe_machine memory_floor loss_by_place recited_share copied_places batches_in_order
validation_share random_batch require_windows require_ids TextMeter TextSize token_sizes replace_text draft_of
clear_leftovers in_turn JsonConfig mlp_hidden kv_heads clip_norm eval_windows whole_preset lines_of special_ids
last_cut learn_merges learn_merges_fast merge_word their_tokenizer our_tokenizer their_settings their_name
our_config their_config to_our_layout to_their_layout lies_transposed is_name require_honest_size measure_rounding
require_readable backward_in_pieces finish_step_on_interrupt orthogonalise move_orthogonally move_like_adamw
decay_groups warmup_cosine SingleProcess require_shares cut_like pick_precision current_random_state
restore_random_state seeded_random_state unchanged_randomness is_first_process ResourceMeter settings_of
reasons_to_stop is_ruined RUINED take_step PreparingRun take_up NOTED_EVERY characters_of is_divisible
encode_in_order part_numbers reported_device this_device matrix_speed expected_speed sent_bytes binding_tokens
size_text time_text FREE_SHARE vital_signs NO_MATTER told_to_the_visitor read_whole read_number started_again
split_into_tokens open_material read_passage alone_at encode_here go_back_to has_kernel head_bias head_size look_up
not_utf8 noted_every on_demand OnDemandGroup over_all require_free require_length spread_over state_of tokens_of
way_out whole_model whole_state writes_to_stream begin_worker end_with_parent read_envelope log_total
"""


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_root_holds_what_the_house_has_room_for():
    assert {name.split("/")[0] for name in tracked()} <= TOP


def test_nothing_binary_lies_elsewhere():
    binary = [name for name in tracked() if b"\0" in (ROOT / name).read_bytes() and not name.startswith(BINARY)]
    assert not binary


def test_the_package_has_at_most_fourteen_entries():
    entries = {path.name for path in (ROOT / "minigpt").iterdir() if not path.name.startswith("__")} - {"py.typed"}
    entries = {entry.removesuffix(".py") for entry in entries}
    assert entries == {*ORDER}


def imports() -> dict[str, set[str]]:
    """Return the modules of the package that each module imports, wherever in its text."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "minigpt").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minigpt":
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                found[name] |= {each if is_module(each) else node.module for each in inside}
    return found


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def room(module: str) -> int:
    return ORDER.index(module.split(".")[1])


def test_no_import_runs_upwards():
    inner = {name: targets for name, targets in imports().items() if name not in ("minigpt", "minigpt.__main__")}
    upwards = [
        f"{name} imports {target}"
        for name, targets in inner.items()
        for target in targets
        if target != "minigpt" and room(target) > room(name)
    ]
    assert not upwards


def test_no_module_imports_itself_on_a_detour():
    graph = {name: targets - {name} for name, targets in imports().items() if name != "minigpt"}
    while leaves := [name for name, targets in graph.items() if not targets & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"these import each other: {sorted(graph)}"


def test_the_old_names_are_gone():
    pattern = re.compile(r"\b(" + "|".join(OLD_NAMES.split()) + r")\b")
    texts = [name for name in tracked() if name.endswith((".py", ".ipynb", ".md", ".toml", ".js", ".json"))]
    own = {"tests/repo/test_house.py", "scripts/renumber.py", "checkpoints/gpt2-small/tokenizer.json", "CHANGELOG.md"}
    left = {
        f"{name}: {word}"
        for name in texts
        if name not in own and not name.startswith("checkpoints/plays-bpe/tokenizer")
        for word in pattern.findall((ROOT / name).read_text("utf-8"))
    }
    assert not left


def test_functions_that_only_their_own_file_calls_are_private():
    """A reader of a module sees by the names what is for others and what is not."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    kinds = (".py", ".pyi", ".md", ".ipynb", ".toml", ".yml", "Makefile")
    files = [ROOT / name for name in listed if name.endswith(kinds) and (ROOT / name).is_file()]
    words = {path: set(re.findall(r"\w+", path.read_text("utf-8"))) for path in files}
    modules = [path for path in (ROOT / "minigpt").rglob("*.py") if path.parent.name != "exercises"]
    lonely = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if not any(node.name in found for other, found in words.items() if other != path)
    }
    assert not lonely


def test_no_module_imports_what_is_private_in_another():
    found = {
        f"{path.relative_to(ROOT)}: {alias.name}"
        for path in (ROOT / "minigpt").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minigpt")
        for alias in node.names
        if alias.name.startswith("_")
    }
    assert not found


def test_reading_a_model_waits_for_no_compiler_and_no_other_process():
    """Each takes more than a second to import, and only training needs them."""
    code = "import sys, minigpt.checkpoint, minigpt.generation.generate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch._dynamo", "torch.distributed.tensor", "torch.distributed.fsdp"} & set(done.stdout.split())
