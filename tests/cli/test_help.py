"""Help: short options, options that every command has, and how errors of teaching name what differs."""

import pytest

from beliefbench.teaching.folder import _differences

COMMANDS = [
    *[(name,) for name in ("list", "run", "check", "import", "leaderboard", "export", "publish", "verify")],
    *[("teach", name) for name in ("data", "run", "student", "reader", "curves")],
]


@pytest.mark.parametrize("command", [(), ("teach",), *COMMANDS], ids=" ".join)
def test_h_is_help(call, command):
    status, out, _ = call(*command, "-h")
    assert (status, "Usage:" in out) == (0, True)


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("run",),
        ("check",),
        ("leaderboard",),
        ("verify",),
        *[("teach", n) for n in ("data", "student", "curves")],
    ],
    ids=" ".join,
)
def test_commands_that_load_a_domain_take_plugins(call, command):
    assert "--plugins" in call(*command, "-h")[1]


def test_another_training_is_told_by_the_settings_that_differ():
    known = {"base": "a" * 64, "seed": 0, "settings": {"batch": 128, "lora": 0}, "finished": "2026"}
    about = {"base": "b" * 64, "seed": 0, "settings": {"batch": 8, "lora": 0}}
    told = f'base is "{"a" * 39}... there and "{"b" * 39}... here; settings.batch is 128 there and 8 here'
    assert _differences(known, about) == told
    assert _differences(known, {"seed": 0, "settings": {"batch": 128}}) == ""
