"""Folders of the user's own: where compiled programs go, and that a choice of the user's is respected."""

import os

import pytest

from beliefbench import folders

NAMES = ("JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Whatever is set is taken back."""
    for name in NAMES:
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_compiled_programs_are_kept_for_each_kind_of_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "user_cache_path", lambda name: tmp_path / name)
    found = []
    for processor in ("one", "another"):
        monkeypatch.setattr(folders, "_processor", lambda processor=processor: processor)
        del os.environ["JAX_COMPILATION_CACHE_DIR"]
        folders.keep_compiled_programs()
        found.append(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert found[0] != found[1]
    assert all(one.startswith(str(tmp_path / "beliefbench" / "jax")) for one in found)


def test_a_folder_that_the_user_names_is_used(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    before = os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]
    folders.keep_compiled_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"
    assert os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] == before
