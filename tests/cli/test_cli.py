"""The command line: it does what it says, and every mistake is one sentence and an exit code."""

import json
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest
import torch

from minigpt import CharTokenizer, GPTConfig, TrainConfig, Trainer, UserError, checkpoint, config, generate, read_run
from minigpt.cli.train import _training_device
from minigpt.data.corpora import CORPORA

NANO = {
    "description": "The smallest of all.",
    "model": {"vocab_size": 99, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8, "dropout": 0.1},
    "training": {"max_steps": 6, "batch_size": 2, "eval_every": 2, "save_every": 2, "warmup_steps": 1},
}


def preset_of(values: dict) -> config.Preset:
    model, training = GPTConfig(**values["model"]), TrainConfig(**values["training"])
    return config.Preset(model=model, training=training)


@pytest.fixture
def nano(monkeypatch):
    """A preset small enough to be trained in no time, beside the real ones."""
    monkeypatch.setitem(config.PRESETS, "nano", preset_of(NANO))


@pytest.fixture
def train(minigpt, nano, text_file):
    """Train the smallest preset on the text: `train(out, *options)`."""
    return lambda out, *options: minigpt("train", "--preset", "nano", "--text", text_file, "--out", out, *options)


def weights(folder: Path) -> list[torch.Tensor]:
    return list(checkpoint.load(folder).model.state_dict().values())


def same(first: Path, second: Path) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


COMMANDS = ("train", "generate", "evaluate", "presets", "params", "plan", "data", "app")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
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
    assert all(name in out for name in config.preset_names())
    assert "3,221,825" in out


def test_presets_shows_one_in_full(minigpt):
    code, out, _ = minigpt("presets", "tiny-shakespeare")
    assert code == 0
    assert "3,221,825 parameters" in out and "learning_rate" in out
    assert config.load_preset("tiny-shakespeare").description in out


def test_a_preset_can_be_printed_changed_and_used(minigpt, tmp_path, text_file):
    code, out, _ = minigpt("presets", "tiny_char", "--json")
    assert code == 0
    values = json.loads(out)
    values["model"] |= {"n_layer": 1, "n_embd": 8, "block_size": 8}
    values["training"] |= {"max_steps": 1, "batch_size": 1, "eval_sequences": 1}
    own = tmp_path / "my own.json"
    own.write_text(json.dumps(values))
    code, out, _ = minigpt("presets", own)
    assert code == 0 and config.load_preset("tiny_char").description in out and "2,904 parameters" in out
    code, out, _ = minigpt("train", "--preset", own, "--text", text_file, "--out", tmp_path / "run")
    assert code == 0 and "not the 256 of the preset" in out
    assert checkpoint.load(tmp_path / "run").model.config.n_embd == 8
    assert read_run(tmp_path / "run" / "log.jsonl").header["preset"] == str(own)


def test_a_model_can_be_given_size_by_size(minigpt, tmp_path, text_file):
    sizes = ("--n-layer", 1, "--n-head", 1, "--n-embd", 8, "--block-size", 8, "--mlp-dim", 9, "--no-bias")
    out = tmp_path / "run"
    run = ("--text", text_file, "--out", out, "--max-steps", 1, "--batch-size", 2)
    code, _, _ = minigpt("train", *sizes, "--tie-weights", *run)
    assert code == 0
    config = checkpoint.load(out).model.config
    assert (config.mlp_dim, config.bias, config.tie_weights, config.block_size) == (9, False, True, 8)
    assert "preset" not in read_run(out / "log.jsonl").header


def test_params_adds_up(minigpt, saved, model):
    code, out, _ = minigpt("params", "--preset", "tiny-shakespeare", "--all")
    assert code == 0 and "3,221,825" in out.splitlines()[-2]
    assert "blocks.3.mlp.down.weight" in out and "288 x 768" in out
    _, out, _ = minigpt("params", "--checkpoint", saved)
    assert f"{sum(parameter.numel() for parameter in model.parameters()):,}" in out.splitlines()[-2]
    _, smaller, _ = minigpt("params", "--preset", "tiny_char", "--vocab-size", "65", "--all")
    assert "65 x 192" in smaller


def test_training_leaves_a_run_that_can_be_used(train, minigpt, tmp_path, text):
    code, out, _ = train(tmp_path / "run", "--max-steps", "5", "--seed", "3")
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


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_and_can_be_resumed(train, minigpt, tmp_path, monkeypatch, number, expected):
    train(tmp_path / "whole")
    real = Trainer.train_step

    def interrupted_step(trainer):
        if trainer.step == 2:
            signal.raise_signal(number)
        return real(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted_step)
    code, out, _ = train(tmp_path / "run")
    assert code == expected
    again = f"minigpt train --resume --out {tmp_path / 'run'} --text '{tmp_path / 'my text.txt'}'"
    assert f"Stopped after step 3 and saved; go on with: {again}\n" in out
    assert checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"] == 3
    monkeypatch.setattr(Trainer, "train_step", real)
    code, out, _ = minigpt(*shlex.split(again)[1:])
    assert code == 0 and "complete at step 6, since all 6 steps are taken." in out
    assert same(tmp_path / "run" / "last", tmp_path / "whole" / "last")
    assert same(tmp_path / "run" / "best", tmp_path / "whole" / "best")


def test_a_second_ctrl_c_stops_at_once_and_loses_nothing_saved(train, tmp_path, monkeypatch):
    real = Trainer.train_step

    def interrupted_step(trainer):
        if trainer.step == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return real(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted_step)
    code, _, err = train(tmp_path / "run")
    assert code != 0 and "Traceback" not in err
    assert checkpoint.read_trainer_state(tmp_path / "run" / "last")["step"] == 4


def test_a_finished_run_says_how_to_go_further(train, tmp_path):
    train(tmp_path / "run")
    code, out, _ = train(tmp_path / "run", "--resume")
    assert code == 0 and "complete at step 6, since all 6 steps are taken" in out and "--max-steps 12\n" in out
    code, _, _ = train(tmp_path / "run", "--resume", "--max-steps", "8")
    assert code == 0
    assert [record.step for record in read_run(tmp_path / "run" / "log.jsonl").records] == list(range(1, 9))


@pytest.mark.parametrize("every, moved", [(3, "--target-loss [0-9.]+"), (6, "--max-steps 12 --target-loss [0-9.]+")])
def test_every_limit_that_a_run_has_reached_is_named(train, tmp_path, every, moved):
    code, out, _ = train(tmp_path / "run", "--eval-every", every, "--target-loss", 9)
    assert code == 0 and re.search(rf"Train it further: minigpt train --resume .* {moved}\n$", out), out


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
    _, out, _ = minigpt(*arguments, "--num-samples", 2)
    first, second = out.rstrip("\n").split("\n---\n")
    assert first != second
    assert minigpt(*arguments)[1] == first + "\n"


def test_a_corpus_can_be_shown_and_saved(minigpt, tmp_path, monkeypatch):
    monkeypatch.delitem(CORPORA, "foundation")  # which takes a while to build
    monkeypatch.setitem(CORPORA, "little", lambda: "abc\nab\né")
    code, out, _ = minigpt("data", "list")
    assert code == 0 and "little: 8 characters, 5 distinct." in out
    _, out, _ = minigpt("data", "show", "little", "--characters", "4")
    assert out.endswith("abc\n\n") and r"'\nabcé'" in out
    code, _, _ = minigpt("data", "save", "little", tmp_path / "little.txt")
    assert code == 0 and (tmp_path / "little.txt").read_bytes() == "abc\nab\né".encode()
    code, _, err = minigpt("data", "save", "little", tmp_path / "little.txt")
    assert code == 1 and "little.txt exists already; choose another name." in err


# --- mistakes: (arguments, what the sentence says); {x} stands for a path of the test

BESIDE_NANO = (
    "A preset fixes the architecture, so --n-layer, --bias cannot stand beside --preset nano; to change it on purpose, "
    "write `minigpt presets nano --json > my.json`, edit n_layer, bias there, and use my.json."
)
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
    ("train --preset nano --text {text} --out {new} --max-steps 0", "max_steps = 0 must be at least 1"),
    ("train --preset nano --text {text} --out {new} --batch-size -1", "batch_size = -1 must be at least 1"),
    ("train --preset nano --text {text} --out {new} --learning-rate 0", "learning_rate = 0.0 must be above 0"),
    ("train --preset nano --text {text} --out {new} --learning-rate nan", "learning_rate = nan must be above 0"),
    ("train --preset nano --text {text} --out {new} --seed -1", "seed = -1 must be"),
    (
        "train --preset nano --text {text} --out {diverged} --learning-rate 1e30",
        "with a lower learning_rate than 1e+30",
    ),
    ("train --preset nano --text {text} --out {under_a_file}", "cannot be written"),
    ("train --preset nano --text {text} --out {run}", "already holds a run; resume it, or choose another folder"),
    ("train --preset nano --text {other} --out {run} --resume", "was trained on another text (my text.txt) than"),
    ("train --preset nano --text {text} --out {run} --resume --seed 5", "leave out --seed"),
    ("train --preset nano --text {text} --out {new} --resume", "new holds no run to go on with"),
    ("train --preset nano --text {text} --out {new} --learning-rate 1e-9", "lower it too (on the command line: --min-"),
    (
        "train --preset nano --text {text} --out {new} --optimizer sgd",
        "no optimizer = 'sgd'; choose one of adamw, muon",
    ),
    (
        "train --preset nano --text {text} --out {new} --grad-accum-steps 3",
        "grad_accum_steps = 3 must be from 1 up to batch_size",
    ),
    ("train --preset nano --text {text} --out {new} --target-loss 0", "target_loss = 0.0 must be above 0; leave it"),
    ("train --preset nano --text {text} --out {new} --device gpu", "There is no device 'gpu'; choose one of cpu,"),
    ("train --preset nano --text {text} --out {new} --patience 0", "patience = 0 must be at least 1; leave it out"),
    ("train --preset tiny --text {text} --out {run} --resume", "not begun with the preset tiny; leave out --preset"),
    ("train --text {text} --out {run} --resume --n-head 2", "leave out --n-head"),
    ("train --preset nano --text {text} --out {new} --n-layer 8 --no-bias", BESIDE_NANO),
    ("train --preset {own} --text {text} --out {new} --n-embd 8", "on purpose, edit n_embd in that file"),
    ("train --text {text} --out {new} --n-layer 2 --n-head 2", "all of its sizes; --block-size, --n-embd is missing"),
    ("train --text {text} --out {new} --n-layer 1 --n-head 2 --n-embd 7 --block-size 8", "n_embd = 7 is not divisible"),
    ("train --preset {missing}.json --text {text} --out {new}", "missing.txt.json does not exist"),
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
    ("evaluate --checkpoint {saved} --text {text} --json {text}", "my text.txt exists already; choose another name"),
    ("presets nan", "There is no preset 'nan'"),
    ("presets {missing}.json", "missing.txt.json does not exist"),
    ("presets {wrong}", 'wrong.json, line 6: "model": n_embd = 9 is not divisible by n_head = 2; try n_embd = 8'),
    ("presets --json", "Name the preset to print"),
    ("params", "Name a model with --preset, or give all of its sizes"),
    ("params --preset nano --checkpoint {saved}", "--preset and --checkpoint each name a model to count"),
    ("params --checkpoint {saved} --vocab-size 5", "--checkpoint already says which model is meant"),
    ("params --preset nano --vocab-size 0", "vocab_size = 0 must be at least 1"),
    ("data show nothing", "There is no corpus 'nothing'"),
    ("data save nothing {new}", "There is no corpus 'nothing'"),
]
MISUSED = [
    "train",
    "trane --out {new}",
    "train --out {new} --max-steps many",
    "train --out {new} --stepss 5",
    "generate --checkpoint {saved}",
    "generate --checkpoint {saved} --prompt a --num-samples 0",
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
    found["own"] = tmp_path / "own.json"
    found["own"].write_text(json.dumps(NANO))
    found["wrong"] = tmp_path / "wrong.json"
    found["wrong"].write_text(
        json.dumps(NANO | {"model": NANO["model"] | {"n_embd": 9}}, indent=0).replace("{\n", "{ ")
    )
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


def test_a_target_ends_the_run_early_and_says_so(train, tmp_path):
    code, out, _ = train(tmp_path / "run", "--target-loss", 100)
    assert code == 0 and "complete at step 2, since the validation loss of " in out
    assert "has reached the target of 100." in out and "--target-loss" in out.splitlines()[-1]


def test_a_run_out_of_patience_goes_on_with_more(train, minigpt, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "validate", lambda self: 3.0 + self.step)
    code, out, _ = train(tmp_path / "run", "--patience", 1)
    assert code == 0
    assert "complete at step 4, since 1 evaluation in a row brought no lower validation loss than 5.0000." in out
    again = out.splitlines()[-1].removeprefix("Train it further: minigpt ")
    assert again.endswith("--patience 2")
    code, out, _ = minigpt(*shlex.split(again))
    assert code == 0 and "complete at step 6" in out


def test_settings_that_may_change_on_the_way(train, tmp_path):
    train(tmp_path / "run", "--learning-rate", 0.01, "--min-learning-rate", 0.001)
    code, _, _ = train(tmp_path / "run", "--resume", "--max-steps", 8, "--learning-rate", 0.002)
    assert code == 0
    run = read_run(tmp_path / "run" / "log.jsonl")
    assert run.header["resumed"][-1]["changes"] == {"max_steps": 8, "learning_rate": 0.002}
    assert run.records[5].learning_rate > 0.001 and max(record.learning_rate for record in run.records[6:]) <= 0.002


def test_a_text_without_the_presets_prompt_is_sampled_from_its_first_line(minigpt, nano, tmp_path, monkeypatch):
    (tmp_path / "own.txt").write_text("\n  the first line of all\n" + "and another one\n" * 20)
    wanting = NANO | {"training": NANO["training"] | {"sample_every": 6, "sample_prompt": "ROMEO:", "sample_tokens": 1}}
    monkeypatch.setitem(config.PRESETS, "wanting", preset_of(wanting))
    code, _, _ = minigpt("train", "--preset", "wanting", "--text", tmp_path / "own.txt", "--out", tmp_path / "run")
    run = read_run(tmp_path / "run" / "log.jsonl")
    assert code == 0 and run.records[-1].sample.startswith("the first line of all")
    assert run.header["training"]["sample_prompt"] == "the first line of all"


def test_the_paths_in_printed_commands_are_quoted(train, tmp_path, monkeypatch):
    _, out, _ = train(tmp_path / "my run")
    assert f"minigpt generate --checkpoint '{tmp_path / 'my run'}' --prompt" in out


def test_tensorboard_is_written_beside_the_log_or_missed_in_a_sentence(train, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, _, err = train(tmp_path / "run", "--tensorboard")
    assert code == 1 and "TensorBoard is not installed; run pip install tensorboard, or leave it out." in err


def test_a_numbered_gpu_is_the_one_that_is_computed_on(monkeypatch):
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert [_training_device(name) for name in ("cuda:1", "cuda")] == [torch.device("cuda", 1), torch.device("cuda")]
    assert current == [torch.device("cuda", 1)]
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert _training_device("cuda") == torch.device("cuda")
    with pytest.raises(
        UserError, match="torchrun gives each process a GPU of its own; write --device cuda, not cuda:1"
    ):
        _training_device("cuda:1")
