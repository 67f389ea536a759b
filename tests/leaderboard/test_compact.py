"""The leaderboard on one screen: one table of at most 25 lines at 80 columns, whatever the runs are."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from beliefbench.leaderboard.forms.compact import to_compact
from beliefbench.leaderboard.overview import overview_of
from beliefbench.leaderboard.ranking import read_leaderboard

TOYS = {"name": "toys", "version": "1", "parameters": {}}


def shown(results: Path, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    to_compact(read_leaderboard(results), console)
    return console.file.getvalue().splitlines()


def row(lines: list[str], agent: str) -> list[str]:
    (line,) = (line for line in lines if line[3:].startswith(f"{agent} "))
    return line.split()


def test_it_holds_rank_accuracy_by_round_interval_ece_and_kl(three_runs):
    lines = shown(three_runs)
    assert lines[1] == "toys (version 1): 3 users, 1 round, 10 held-out sets, seed 0"
    assert lines[2].split() == ["#", "agent", "0", "1", "95%", "ECE", "KL"]
    assert row(lines, "hand") == ["2", "hand", "40.0", "70.0", "-", "10.0", "0.23"]  # too few users
    assert row(lines, "chooses")[-2:] == ["-", "-"]
    assert "chooses: 4-bit weights" in lines
    assert row(lines, "oracle*")[:2] == ["1", "oracle*"]
    assert [line for line in lines if line.startswith("*: sees the users' true preferences.")]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_fits_one_screen_whatever_the_number_of_agents_and_rounds(tmp_path, make_run, width):
    for number in range(30):
        name = f"prompted:organisation-{number:02}/a-model-with-a-long-name"
        make_run(tmp_path, name, [[number % 10] * 21] * 3, note="a note " * 30)
    lines = shown(tmp_path, width)
    assert len(lines) == 25
    assert max(map(len, lines)) <= min(width, 80)
    assert "and 14 more: --full" in "\n".join(lines)
    stages = lines[2].split()[2:-3]
    assert stages[0] == "0"
    assert stages[1:] == [str(stage) for stage in range(22 - len(stages), 21)]  # the latest rounds


def test_notes_on_agents_are_one_line_each_and_give_way_to_agents(tmp_path, make_run):
    for number in range(15):
        make_run(tmp_path, f"agent-{number}", [[number % 10, 5]] * 3, note=f"note {number}, " * 20)
    lines = shown(tmp_path)
    assert len(lines) == 25
    assert sum(line.startswith("agent-") for line in lines) == 2
    assert max(map(len, lines)) == 80


def test_agents_asked_about_fewer_users_have_no_rank_and_are_below_the_others(tmp_path, make_run):
    make_run(tmp_path, "all", [[3, 6], [5, 6], [3, 6]])
    make_run(tmp_path, "worse", [[3, 5], [5, 5], [3, 5]])
    make_run(tmp_path, "lucky", [[9, 9], [9, 10]], population=3)
    lines = shown(tmp_path)
    assert [row(lines, agent)[0] for agent in ("all", "worse", "lucky")] == ["1", "2", "-"]
    assert [line.split()[1] for line in lines[4:8]] == ["all", "worse", "of", "lucky"]
    assert lines[6].strip() == "2 of 3 users: no rank"
    assert "3 users: too few to compare agents, and for an interval." in lines


def test_few_users_are_said_to_be_few_and_how_large_an_ece_is_by_chance(tmp_path, make_run, monkeypatch):
    make_run(tmp_path, "hand", [[3, 8], [5, 6], [4, 7]] * 16)
    (note,) = [line for line in shown(tmp_path) if line.startswith("48 users: too few to compare agents.")]
    null = read_leaderboard(tmp_path).rows[0].diagnostics[-1]["ece_null"]
    assert note.endswith(f"Chance alone gives an ECE of up to {100 * null:.1f}.")
    monkeypatch.setattr("beliefbench.leaderboard.forms.compact.FEW_USERS", 3)
    assert not [line for line in shown(tmp_path) if "too few" in line]


def test_of_two_agents_of_one_name_a_run_with_fewer_users_has_a_name_and_no_rank(tmp_path, make_run):
    for dtype, last in (("float32", 8), ("bfloat16", 7)):
        make_run(tmp_path, "hand", [[3, last], [5, 6], [4, 7]], settings={"dtype": dtype})
    make_run(tmp_path, "hand", [[9, 9], [9, 10]], population=3, settings={"dtype": "float32"})
    rows = {row.label: row.fields["rank"] for row in read_leaderboard(tmp_path).rows}
    assert rows == {
        "hand (dtype float32)": 1,
        "hand (dtype bfloat16)": 2,
        "hand (dtype float32) (2 of 3 users)": None,
    }
    lines = [line.strip() for line in shown(tmp_path)]
    assert lines[lines.index("2 of 3 users: no rank") + 1].startswith("- hand (dtype float32) (2")


def test_domains_weigh_the_same_and_only_agents_on_all_of_them_are_ranked(tmp_path, make_run):
    for name in ("everywhere", "half"):
        make_run(tmp_path, name, [[3, 8], [5, 6]])
    make_run(tmp_path, "everywhere", [[3, 3], [5, 1], [3, 1], [3, 3]], domain={**TOYS, "name": "games"})
    make_run(tmp_path, "better", [[3, 9], [5, 9]])
    make_run(tmp_path, "better", [[3, 9], [5, 9], [3, 9], [3, 9]], domain={**TOYS, "name": "games"})
    lines = shown(tmp_path)
    assert lines[1] == "Means over 2 domains, each of the same weight"
    assert row(lines, "better")[:4] == ["1", "better", "37.5", "90.0"]
    assert row(lines, "everywhere")[:4] == ["2", "everywhere", "37.5", "45.0"]
    assert row(lines, "half")[:2] == ["-", "half"]
    order = [line[3:].split()[0] for line in lines[4:8]]
    assert order == ["better", "everywhere", "some", "half"]


def test_two_seeds_of_a_domain_are_one_domain(tmp_path, make_run):
    make_run(tmp_path, "both", [[3, 8], [5, 6]])
    make_run(tmp_path, "both", [[3, 4], [5, 4]], seed=1)
    make_run(tmp_path, "one", [[3, 9], [5, 9]])
    agents = {one.agent: one for one in overview_of(read_leaderboard(tmp_path).groups())}
    assert (agents["both"].domains, agents["both"].everywhere, len(agents["both"].rows)) == (1, True, 2)
    assert agents["one"].everywhere
    assert agents["both"].mean(lambda row: row.final["accuracy"]) == pytest.approx(0.55)


def test_of_one_domain_the_runs_with_the_most_answers_are_shown(tmp_path, make_run):
    make_run(tmp_path, "small", [[3, 8], [5, 6]])
    make_run(tmp_path, "large", [[3, 8], [5, 6], [5, 6]])
    lines = shown(tmp_path)
    assert row(lines, "large")[0] == "1"
    assert not [line for line in lines if "small" in line]
    assert lines[-1] == "--full shows all metrics, and 1 more group of other users, sets or seeds."


def test_an_empty_leaderboard_prints_nothing(tmp_path):
    assert shown(tmp_path) == []
