"""The command line: it does what it says, and every mistake is one sentence and an exit code."""

import json
import signal
import sys
from pathlib import Path

import pytest
import torch

from minigpt import CharTokenizer, Trainer, checkpoint, evaluate, generate, presets, read_run, split_text
from minigpt.cli import main

NANO = {
    "description": "The smallest of all.",
    "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8, "dropout": 0.1},
    "training": {"max_steps": 6, "batch_size": 2, "eval_every": 2, "save_every": 2, "warmup_steps": 1},
}


@pytest.fixture
def minigpt(monkeypatch, capsys):
    """Run the command and return its exit code and what it printed to each stream."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minigpt", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def nano(tmp_path, monkeypatch):
    """A preset small enough to be trained in no time, beside the real ones."""
    folder = tmp_path / "presets"
    folder.mkdir()
    for path in presets.FOLDER.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "nano.json").write_text(json.dumps(NANO))
    monkeypatch.setattr(presets, "FOLDER", folder)


@pytest.fixture
def text_file(tmp_path, text) -> Path:
    (tmp_path / "my text.txt").write_text(text)
    return tmp_path / "my text.txt"


@pytest.fixture
def train(minigpt, nano, text_file):
    """Train the smallest preset on the text: `train(out, *options)`."""
    return lambda out, *options: minigpt("train", "--preset", "nano", "--text", text_file, "--out", out, *options)


@pytest.fixture
def saved(tmp_path, model, tokenizer) -> Path:
    checkpoint.save(tmp_path / "saved", model, tokenizer)
    return tmp_path / "saved"


def weights(folder: Path) -> list[torch.Tensor]:
    return list(checkpoint.load(folder).model.state_dict().values())


def same(first: Path, second: Path) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


@pytest.mark.parametrize("command", [[], ["train"], ["generate"], ["evaluate"], ["presets"], ["params"], ["data"]])
def test_help_reads_well(minigpt, command):
    code, out, err = minigpt(*command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: minigpt {' '.join(command)}".strip() in out
    assert minigpt(*command, "-h")[1] == out


def test_without_a_command_there_is_help(minigpt):
    code, out, err = minigpt()
    assert code == 2 and "train" in out + err


def test_presets_lists_every_preset_with_its_size(minigpt):
    code, out, _ = minigpt("presets")
    assert code == 0
    assert all(name in out for name in presets.preset_names())
    assert "3,221,825" in out


def test_presets_shows_one_in_full(minigpt):
    code, out, _ = minigpt("presets", "tiny-shakespeare")
    assert code == 0
    assert "3,221,825 parameters" in out and "learning_rate" in out
    assert presets.describe_preset("tiny-shakespeare") in out


def test_params_adds_up(minigpt, saved, model):
    code, out, _ = minigpt("params", "--preset", "tiny-shakespeare")
    assert code == 0 and "3,221,825" in out.splitlines()[-2]
    assert "blocks.3.mlp.down.weight" in out and "288 x 768" in out
    _, out, _ = minigpt("params", "--checkpoint", saved)
    assert f"{sum(parameter.numel() for parameter in model.parameters()):,}" in out.splitlines()[-2]
    _, smaller, _ = minigpt("params", "--preset", "tiny_char", "--vocab-size", "65")
    assert "65 x 192" in smaller


def test_training_leaves_a_run_that_can_be_used(train, minigpt, tmp_path, text):
    code, out, _ = train(tmp_path / "run", "--steps", "5", "--seed", "3")
    assert code == 0
    assert "my text.txt: " in out and f"generate --checkpoint {tmp_path / 'run'}" in out
    run = read_run(tmp_path / "run" / "log.jsonl")
    assert [record.step for record in run.records] == [1, 2, 3, 4, 5]
    assert run.header["preset"] == "nano" and run.header["corpus"]["name"] == "my text.txt"
    assert (run.header["training"]["seed"], run.header["training"]["batch_size"]) == (3, 2)
    model, tokenizer = checkpoint.load(tmp_path / "run")
    assert tokenizer.characters == CharTokenizer.from_text(text).characters
    assert model.config.vocab_size == tokenizer.vocab_size
    code, out, _ = minigpt("generate", "--checkpoint", tmp_path / "run", "--prompt", "a", "--max-new-tokens", "9")
    assert code == 0 and len(out) == len("a") + 9 + len("\n")


def test_the_seed_decides_everything(train, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(hash(name))
        train(tmp_path / name, "--seed", seed)
    assert same(tmp_path / "a" / "last", tmp_path / "b" / "last")
    assert not same(tmp_path / "a" / "last", tmp_path / "c" / "last")


def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(train, tmp_path, monkeypatch):
    train(tmp_path / "whole")
    real = Trainer.take_step

    def interrupted_step(trainer):
        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)
        return real(trainer)

    monkeypatch.setattr(Trainer, "take_step", interrupted_step)
    code, out, _ = train(tmp_path / "run")
    assert code == 130
    assert "Stopped after step 3 and saved; go on with the same command and --resume" in out
    assert checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"] == 3
    monkeypatch.setattr(Trainer, "take_step", real)
    code, _, _ = train(tmp_path / "run", "--resume")
    assert code == 0
    assert same(tmp_path / "run" / "last", tmp_path / "whole" / "last")
    assert same(tmp_path / "run" / "best", tmp_path / "whole" / "best")


def test_a_second_ctrl_c_stops_at_once_and_loses_nothing_saved(train, tmp_path, monkeypatch):
    real = Trainer.take_step

    def interrupted_step(trainer):
        if trainer.step == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return real(trainer)

    monkeypatch.setattr(Trainer, "take_step", interrupted_step)
    code, _, err = train(tmp_path / "run")
    assert code != 0 and "Traceback" not in err
    assert checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"] == 4


def test_a_finished_run_says_how_to_go_further(train, tmp_path):
    train(tmp_path / "run")
    code, out, _ = train(tmp_path / "run", "--resume")
    assert code == 0 and "complete at step 6; go further with --resume --steps 12" in out
    code, _, _ = train(tmp_path / "run", "--resume", "--steps", "8")
    assert code == 0
    assert [record.step for record in read_run(tmp_path / "run" / "log.jsonl").records] == list(range(1, 9))


def test_generate_writes_what_the_package_writes(minigpt, saved, model, tokenizer):
    options = ["--max-new-tokens", 30, "--temperature", 0.9, "--top-k", 9, "--top-p", 0.95, "--min-p", 0.01]
    options += ["--repetition-penalty", 1.1, "--seed", 4]
    code, out, _ = minigpt("generate", "--checkpoint", saved, "--prompt", "a sm", *options)
    settings = {"temperature": 0.9, "top_k": 9, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.1}
    expected = generate(model, tokenizer, "a sm", max_new_tokens=30, seed=4, **settings)
    assert (code, out) == (0, expected + "\n")
    stop = expected[10:12]
    _, out, _ = minigpt("generate", "--checkpoint", saved, "--prompt", "a sm", *options, "--stop", "#", "--stop", stop)
    assert out == "a sm" + expected[4:].split(stop)[0] + "\n"


def test_several_samples_differ_and_are_told_apart(minigpt, saved):
    arguments = ("generate", "--checkpoint", saved, "--prompt", "a", "--max-new-tokens", 20, "--seed", 1)
    _, out, _ = minigpt(*arguments, "--samples", 2)
    first, second = out.rstrip("\n").split("\n---\n")
    assert first != second
    assert minigpt(*arguments)[1] == first + "\n"


def test_evaluate_measures_what_the_package_measures(minigpt, saved, model, tokenizer, text, text_file):
    code, out, _ = minigpt("evaluate", "--checkpoint", saved, "--text", text_file)
    expected = evaluate(model, split_text(text, tokenizer).validation, 8, tokenizer=tokenizer)
    assert (code, out) == (0, f"my text.txt, validation part: {expected}\n")
    _, out, _ = minigpt("evaluate", "--checkpoint", saved, "--text", text_file, "--part", "train", "--json")
    expected = evaluate(model, split_text(text, tokenizer).train, 8, tokenizer=tokenizer)
    values = json.loads(out)
    assert values["loss"] == pytest.approx(expected.loss) and values["n_tokens"] == expected.n_tokens
    assert values["bits_per_character"] == pytest.approx(expected.bits_per_character)
    assert (values["corpus"], values["part"]) == ("my text.txt", "train")


def test_a_corpus_can_be_shown_and_saved(minigpt, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules["minigpt.corpora"].CORPORA, "little", lambda: "abc\nab\né")
    code, out, _ = minigpt("data", "list")
    assert code == 0 and "little: 8 characters, 5 distinct." in out
    _, out, _ = minigpt("data", "show", "little", "--characters", "4")
    assert out.endswith("abc\n\n") and r"'\nabcé'" in out
    code, _, _ = minigpt("data", "save", "little", tmp_path / "little.txt")
    assert code == 0 and (tmp_path / "little.txt").read_bytes() == "abc\nab\né".encode()
    code, _, err = minigpt("data", "save", "little", tmp_path / "little.txt")
    assert code == 1 and "little.txt exists already; choose another name." in err


# --- mistakes: (arguments, what the sentence says); {x} stands for a path of the test

WRONG = [
    (
        "train --preset nan --text {text} --out {new}",
        "There is no preset 'nan' (did you mean 'nano'?); the presets are",
    ),
    ("train --preset nano --text {missing} --out {new}", "missing.txt does not exist"),
    ("train --preset nano --text {empty} --out {new}", "empty.txt is empty"),
    ("train --preset nano --text {short} --out {new}", "too few for one window of 8"),
    ("train --preset nano --text {binary} --out {new}", "binary.txt is not UTF-8 text (byte 1 cannot be read)"),
    ("train --preset nano --text {folder} --out {new}", "cannot be read"),
    ("train --preset nano --corpus nothing --out {new}", "There is no corpus 'nothing'"),
    ("train --preset nano --text {text} --out {new} --steps 0", "max_steps = 0 must be at least 1"),
    ("train --preset nano --text {text} --out {new} --batch-size -1", "batch_size = -1 must be at least 1"),
    ("train --preset nano --text {text} --out {new} --learning-rate 0", "learning_rate = 0.0 must be above 0"),
    ("train --preset nano --text {text} --out {new} --learning-rate nan", "learning_rate = nan must be above 0"),
    ("train --preset nano --text {text} --out {new} --seed -1", "seed = -1 must be"),
    ("train --preset nano --text {text} --out {diverged} --learning-rate 1e30", "start again with a lower"),
    ("train --preset nano --text {text} --out {under_a_file}", "cannot be written"),
    ("train --preset nano --text {text} --out {run}", "already holds a run; resume it, or choose another folder"),
    ("train --preset nano --text {other} --out {run} --resume", "was trained on another text (my text.txt) than"),
    ("train --preset nano --text {text} --out {run} --resume --seed 5", "leave out --seed"),
    ("train --preset nano --text {text} --out {new} --resume", "holds no"),
    ("generate --checkpoint {new} --prompt a", "holds no checkpoint"),
    ("generate --checkpoint {truncated} --prompt a", "model.safetensors"),
    ("generate --checkpoint {saved} --prompt Ω", "The character 'Ω' (U+03A9) at place 0"),
    ("generate --checkpoint {saved} --prompt=", "The prompt is empty"),
    ("generate --checkpoint {saved} --prompt a --temperature -1", "temperature = -1.0 must be"),
    ("generate --checkpoint {saved} --prompt a --top-k 0", "top_k = 0 must be at least 1"),
    ("generate --checkpoint {saved} --prompt a --top-p 2", "top_p = 2.0 must be above 0 and at most 1"),
    ("generate --checkpoint {saved} --prompt a --min-p -1", "min_p = -1.0 must lie between 0 and 1"),
    ("generate --checkpoint {saved} --prompt a --max-new-tokens -1", "max_new_tokens = -1 must not be negative"),
    ("generate --checkpoint {saved} --prompt a --repetition-penalty 0", "repetition_penalty = 0.0 must be"),
    ("evaluate --checkpoint {saved} --text {other}", "is not among the"),
    ("evaluate --checkpoint {saved} --text {empty}", "empty.txt is empty"),
    ("evaluate --checkpoint {saved} --text {missing}", "missing.txt does not exist"),
    ("presets nan", "There is no preset 'nan'"),
    ("params", "either --preset or --checkpoint, and not both"),
    ("params --preset nano --checkpoint {saved}", "either --preset or --checkpoint, and not both"),
    ("params --checkpoint {saved} --vocab-size 5", "a checkpoint has its own vocabulary"),
    ("params --preset nano --vocab-size 0", "vocab_size = 0 must be at least 1"),
    ("data show nothing", "There is no corpus 'nothing'"),
    ("data save nothing {new}", "There is no corpus 'nothing'"),
]
MISUSED = [
    "train",
    "trane --out {new}",
    "train --out {new} --steps many",
    "train --out {new} --stepss 5",
    "generate --checkpoint {saved}",
    "generate --checkpoint {saved} --prompt a --samples 0",
    "generate --prompt a",
    "evaluate --checkpoint {saved} --part all",
    "presets one two",
    "data",
    "data show",
]


@pytest.fixture
def paths(tmp_path, train, saved, text_file, model, tokenizer) -> dict[str, Path]:
    """Files and folders to make mistakes with."""
    found = {"text": text_file, "saved": saved, "new": tmp_path / "new", "folder": tmp_path, "run": tmp_path / "run"}
    found["diverged"] = tmp_path / "diverged"
    contents = {"empty": b"", "short": b"abc" * 5, "binary": b"a\xff", "other": "Ω".encode() * 99}
    for name, content in contents.items():
        found[name] = tmp_path / f"{name}.txt"
        found[name].write_bytes(content)
    found["missing"] = tmp_path / "missing.txt"
    found["under_a_file"] = text_file / "run"
    found["truncated"] = tmp_path / "truncated"
    checkpoint.save(found["truncated"], model, tokenizer)
    whole = (found["truncated"] / "model.safetensors").read_bytes()
    (found["truncated"] / "model.safetensors").write_bytes(whole[:99])
    train(found["run"])
    return found


def filled(line: str, paths: dict[str, Path]) -> list[str]:
    return [word.format(**paths) for word in line.split()]


def test_every_mistake_is_one_sentence_and_exit_code_1(minigpt, paths):
    before = read_run(paths["run"] / "log.jsonl")
    failures = []
    for line, sentence in WRONG:
        code, out, err = minigpt(*filled(line, paths))
        spoken = [line for line in err.splitlines() if line.startswith("minigpt: ")]
        one = len(spoken) == 1 and spoken[0].endswith(".") and ". " not in spoken[0]
        if not (code == 1 and sentence in err and one and "Traceback" not in out + err):
            failures.append(f"exit code {code}: minigpt {line}\n{out}{err}")
    assert not failures, "\n".join(failures)
    assert read_run(paths["run"] / "log.jsonl") == before


def test_every_misuse_is_exit_code_2(minigpt, paths):
    for line in MISUSED:
        code, out, err = minigpt(*filled(line, paths))
        assert code == 2, f"{line}\n{out}{err}"
        assert "Traceback" not in out + err
        assert not paths["new"].exists()


def test_a_full_disk_is_one_sentence(train, tmp_path, full_disk):
    with full_disk(500):
        code, _, err = train(tmp_path / "run")
    assert code == 1
    assert "could not be saved" in err and "Traceback" not in err
