"""What runs code or commands that a file brings stands nowhere in the package, but for plugin files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUN_TEXT = {"eval", "exec", "compile"}
LOADERS = {
    *("torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pandas.read_pickle"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
}
PLUGIN_FILES = ("plugins/sources.py", {"exec", "compile"})
"""A plugin file is the user's own program."""


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What a module does that may run what it reads: imports of picklers, and calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.partition(".")[0] in PICKLERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLERS:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in RUN_TEXT or called in LOADERS or (called.endswith((".eval", ".query")) and node.args):
                yield called
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and ast.unparse(keyword.value) != "False":
                    yield f"{called}({keyword.arg}=...)"


@pytest.mark.parametrize("folder", ["bench", "domains", "agents"])
def test_nothing_runs_what_it_reads(folder):
    found = {}
    for file in (ROOT / folder).rglob("*.py"):
        calls = set(unsafe(ast.parse(file.read_text())))
        if file.as_posix().endswith(PLUGIN_FILES[0]):
            assert calls == PLUGIN_FILES[1]
        elif calls:
            found[str(file)] = calls
    assert not found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("eval(text)", "eval"),
        ("torch.load(file)", "torch.load"),
        ("yaml.load(text)", "yaml.load"),
        ("subprocess.run(text, shell=True)", "subprocess.run(shell=...)"),
        ("np.load(file, allow_pickle=True)", "np.load(allow_pickle=...)"),
        ("frame.eval(text)", "frame.eval"),
    ],
)
def test_the_search_finds_what_it_looks_for(code, expected):
    assert list(unsafe(ast.parse(code))) == [expected]
