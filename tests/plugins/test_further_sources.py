"""Functions registered as `beliefbench.sources`: what they return can be asked for; a broken one fails alone."""

from __future__ import annotations

import pytest

import beliefbench as bb
from beliefbench.plugins.sources import broken_sources

SOURCES = """
import beliefbench as bb
from beliefbench.plugins.sources import Source

def right():
    return [Source("shelf/flights", "a shelf", lambda: bb.load_domain("flights-2"), "shelf/flights")]

def raises():
    raise KeyError("shelf")

def strings():
    return ["shelf"]
"""


@pytest.fixture
def install(plugin_path):
    def installed(name: str) -> None:
        metadata = plugin_path / "shelf-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[beliefbench.sources]\nshelf = shelf:{name}\n")
        (plugin_path / "shelf.py").write_text(SOURCES)

    return installed


def test_what_a_source_brings_is_listed(install):
    assert "shelf/flights" not in bb.list_domains()
    install("right")
    assert "shelf/flights" in bb.list_domains()
    assert broken_sources() == []


@pytest.mark.parametrize(
    ("name", "says"), [("raises", "KeyError: 'shelf'"), ("strings", "returned 'shelf'"), ("missing", "AttributeError")]
)
def test_a_broken_source_is_told_and_harms_no_other(install, name, says):
    install(name)
    (error,) = broken_sources()
    assert str(error).startswith(f"source 'shelf' (shelf:{name}) provides nothing: ")
    assert says in str(error)
    assert bb.load_domain("flights-2").item == "Flight"
