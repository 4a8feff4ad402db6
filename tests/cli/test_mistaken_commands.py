"""Every mistake on the command line is told in one sentence, with an exit code, and never with a traceback."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mistakes import Mistake, commands, make_places, mistakes, run

OFTEN_RIGHT = "a value that does not fit"  # except where it does


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mistaken")


@pytest.fixture(scope="module")
def places(folder) -> dict[str, Path]:
    return make_places(folder)


@pytest.fixture
def there(folder, monkeypatch) -> None:
    """Be where the command lines write what they write."""
    monkeypatch.chdir(folder)


@pytest.fixture
def little_memory() -> None:
    """Let a model of a million channels be refused, instead of filling the machine."""
    resource = pytest.importorskip("resource", reason="only Unix can limit the memory")
    earlier = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000, earlier[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, earlier)


def some(places: dict[str, Path], count: int, seed: int) -> list[Mistake]:
    """Return some of the mistakes, from all commands alike."""
    drawn = random.Random(seed)
    by_command: dict[str, list[Mistake]] = {}
    for mistake in mistakes(places):
        by_command.setdefault(mistake.words[0], []).append(mistake)
    return [drawn.choice(drawn.choice(list(by_command.values()))) for _ in range(count)]


def try_them(chosen: list[Mistake], places: dict[str, Path]) -> None:
    for mistake in chosen:
        told = run(mistake.words)
        assert told.held, (mistake.words, told)
        assert told.code != 0 or mistake.kind == OFTEN_RIGHT, mistake
        shutil.rmtree(places["new"], ignore_errors=True)
        places["new"].unlink(missing_ok=True)


def test_there_are_many_of_every_command(places):
    made = list(mistakes(places))
    assert len(made) > 1000
    for name, _ in commands():
        assert sum(" ".join(mistake.words).startswith(name) for mistake in made) > 2


def test_a_mistake_is_a_sentence(places, there, little_memory):
    try_them(some(places, 40, seed=0), places)


@pytest.mark.slow
def test_two_hundred_mistakes_are_sentences(places, there, little_memory):
    try_them(some(places, 200, seed=1), places)


@pytest.mark.slow
def test_the_program_itself_says_the_same(places, there):
    surely = [mistake for mistake in mistakes(places) if mistake.kind != OFTEN_RIGHT and "\0" not in mistake.words]
    strange = Mistake(
        ("train", "--preset", str(places["preset"]), "--text", os.fsdecode(b"\xff.txt"), "--out", "x"), ""
    )
    for mistake in [*random.Random(2).sample(surely, 5), strange]:
        command = [sys.executable, "-m", "minigpt", *mistake.words]
        ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
        assert ended.returncode in (1, 2)
        assert ended.stderr.strip() and b"Traceback" not in ended.stderr
