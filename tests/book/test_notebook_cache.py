import pytest

from scripts import notebook_cache as cache


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "minigpt").mkdir()
    (tmp_path / "minigpt" / "model.py").write_text("width = 1")
    monkeypatch.delenv("MINIGPT_DATA", raising=False)
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(cache, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(cache, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(cache, "KEY", tmp_path / "cache" / "key")
    cache.refresh("smoke")
    (tmp_path / "cache" / "executed").touch()
    return tmp_path


def test_an_unchanged_package_keeps_the_executed_chapters(checkout):
    cache.refresh("smoke")
    assert (checkout / "cache" / "executed").exists()


def test_compiled_files_do_not_count(checkout):
    (checkout / "minigpt" / "__pycache__").mkdir()
    (checkout / "minigpt" / "__pycache__" / "model.pyc").write_text("compiled")
    cache.refresh("smoke")
    assert (checkout / "cache" / "executed").exists()


def test_another_tier_forgets_them(checkout):
    cache.refresh("cpu")
    assert not (checkout / "cache" / "executed").exists()


def test_a_changed_package_forgets_them(checkout):
    (checkout / "minigpt" / "model.py").write_text("width = 2")
    cache.refresh("smoke")
    assert not (checkout / "cache" / "executed").exists()


def test_other_data_forget_them(checkout, monkeypatch):
    monkeypatch.setenv("MINIGPT_DATA", "somewhere")
    cache.refresh("smoke")
    assert not (checkout / "cache" / "executed").exists()


def test_a_failed_build_names_the_report(checkout, capsys):
    (checkout / "reports").mkdir()
    (checkout / "reports" / "01_characters.err.log").touch()
    cache.report_failure()
    assert "01_characters.err.log" in capsys.readouterr().out
