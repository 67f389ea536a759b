"""The page: its numbers are those of the standings, names are text, and what is not sound is flagged."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.leaderboard.page.page import to_html
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.publishing.evidence import command_of
from beliefbench.publishing.publish import publish_all
from beliefbench.publishing.several import verify_all


class Tables(HTMLParser):
    """The tables of a page by their ids: rows of cells, texts with what is smaller in them after a bar."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.rows: list[list[str]] | None = None
        self.cell: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attrs).get("id") or "", [])
        elif tag == "tr" and self.rows is not None:
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = []
        elif tag == "small" and self.cell is not None:
            self.cell.append("|")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None and self.rows:
            self.rows[-1].append(" ".join("".join(self.cell).split()))
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)


@pytest.fixture(scope="module")
def page(small) -> str:
    return to_html(small)


def test_the_numbers_are_those_of_the_standings(small, page):
    for group in small.groups():
        table = Tables(page).tables[f"domain-{group[0].fields['domain']}-table"]
        heads, lines = table[1], table[2:-1]
        assert heads[:3] == ["rank", "agent", "0"]
        assert len(lines) == len(group)
        for row, line in zip(group, lines, strict=True):
            cell = dict(zip(heads, line, strict=True))
            assert cell["rank"].split("|")[0] == str(row.fields["rank"])
            assert cell["agent"].startswith(row.fields["agent"])
            for one in row.rounds:
                assert cell[str(one["round"])] == f"{100 * one['accuracy']:.1f}"
            final, diagnostics = row.final, row.diagnostics[-1]
            ends = [final["accuracy_lo"], final["accuracy_hi"]]
            assert cell["95%"] == ("\u2013" if None in ends else "\u2013".join(f"{100 * end:.1f}" for end in ends))
            assert cell["gap closed, %"].split("|")[0] == f"{100 * diagnostics['gap_closed']:.1f}".replace(
                "-", "\u2212"
            )
            if row.fields["probabilistic"]:
                assert cell["KL exact"] == f"{final['kl_exact']:.3f}"
                assert cell["log score"] == f"{final['log_score']:.3f}"
                null = diagnostics["ece_null"]
                said = "" if null is None else f"|null {100 * null:.1f}"
                assert cell["ECE, %"] == f"{100 * final['ece']:.1f}{said}"
                slope, low, high = (diagnostics[f"update_slope{end}"] for end in ("", "_lo", "_hi"))
                said = f"{slope:.2f}" if low is None else f"{slope:.2f}|{low:.2f} to {high:.2f}"
                said = said.replace("-", "\u2212")
                assert cell["update slope"] == said.replace("\u22120.00", "0.00")
            else:
                assert cell["KL exact"] == cell["log score"] == "\u2013"
            assert row.skill is not None
            assert cell["P(best), %"] == ("\u2013" if row.skill.best is None else f"{100 * row.skill.best:.1f}")
            assert cell["R-hat"] == f"{row.skill.rhat:.3f}"


def test_an_unsound_fit_is_flagged_with_the_reason(small, page):
    for group in small.groups():
        table = Tables(page).tables[f"domain-{group[0].fields['domain']}-table"]
        fits = {line[1]: line[table[1].index("fit")] for line in table[2:-1]}
        assert fits["noisy fit not sound"] == "not sound|R-hat 1.234"
        assert fits["exact"] == "sound"
    assert page.count("fit is not sound for noisy: R-hat 1.234") == 2


def test_who_is_told_the_truth_is_marked(page):
    lines = Tables(page).tables["domain-made-up-table"]
    assert [line[1] for line in lines[2:-1] if "*" in line[1]] == ["told*"]


def test_names_notes_and_settings_are_text_and_never_code(page):
    assert page.count("<script") == page.count("</script>") == 2
    assert (
        escape("""<script>alert("1")</script> & 'co'""").replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page
    )


def test_nothing_is_fetched(page):
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert addresses
    assert all(one.startswith(("#", "data:,")) for pair in addresses for one in pair if one)


def test_ids_are_given_once_and_links_lead_somewhere(page):
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]*)"', page)) | set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(ids)


def test_it_is_the_same_page_each_time(small, page):
    assert to_html(small) == page


def test_the_command_that_repeats_each_run_is_there(small, page):
    for row in small.rows:
        command = escape(command_of(row.record)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
        assert f"<code>{command}</code>" in page
        assert row.record.key in page


def test_a_conversation_is_what_was_asked_and_answered(tmp_path):
    bb.run("flights-2", "first", users=4, rounds=2, heldout=3, results=tmp_path)
    flights = bb.load_domain("flights-2")
    episodes = bb.Episodes(flights, bb.Protocol(4, 2, 3))
    page = to_html(read_leaderboard(tmp_path))
    assert page.count("Help me select the best flights for my trips.") == 3
    text = " ".join(page.split())
    for user in range(3):
        for number in range(2):
            described = [flights.describe(option) for option in episodes.options[user, number]]
            asked = " ".join(f"Flight {1 + place}: {words}" for place, words in enumerate(described))
            wanted = int(episodes.chosen[user, number])
            said = "is correct." if wanted == 0 else f"is incorrect. I prefer Flight {1 + wanted}."
            assert asked in text
            after = text[text.index(asked) + len(asked) :]
            assert re.match(
                r"</p></li>\s*<li[^>]*><span[^>]*>agent</span><p>The best option is Flight 1.</p></li>\s*"
                rf"<li[^>]*><span[^>]*>user</span><p>Your option Flight 1 {re.escape(said)}",
                after,
            )
    for option in range(3):
        before, after = (f"<td>{100 * episodes.exact[0, stage, 0, option]:.1f}</td>" for stage in (0, 2))
        assert f"<td>\u2013</td>{before} <td>\u2013</td>{after}".replace(" ", "") in page.replace(" ", "")


def test_a_domain_that_is_not_installed_is_said_to_be_missing(page):
    assert page.count("The conversations on made-up cannot be shown: ") == 5  # once an agent


def test_a_published_run_is_called_intact_once_it_is_verified_here_and_until_it_is_edited(tmp_path):
    bb.run("flights-2", "first", users=4, rounds=1, heldout=3, results=tmp_path / "local")
    assert publish_all(tmp_path / "local", tmp_path / "out", print)
    badge = '<span class="badge plain">intact</span>'
    assert badge not in to_html(read_leaderboard(tmp_path / "out"))
    assert all(report.intact for report in verify_all(tmp_path / "out"))
    assert to_html(read_leaderboard(tmp_path / "out")).count(badge) == 3
    (record,) = (tmp_path / "out").rglob("run.json")
    record.write_text(record.read_text() + " ")
    assert badge not in to_html(read_leaderboard(tmp_path / "out"))


def test_without_a_fit_there_are_no_columns_of_the_skill_model(tmp_path, simulate):
    simulate(tmp_path, "made-up", "one", users=2, rounds=1, sets=4)
    page = to_html(read_leaderboard(tmp_path))
    assert "P(best), %" not in page
    assert "R-hat" not in page
    assert "P(A beats B)" not in page
    assert 'id="overview"' not in page


def test_published_figures_stand_apart_where_they_are_asked_for(tmp_path, simulate):
    simulate(tmp_path, "hotels", "one", users=3, rounds=1, sets=4)
    board = read_leaderboard(tmp_path)
    assert "Published elsewhere" not in to_html(board)
    page = to_html(board, reference=True)
    assert '<th scope="row">Gemma 2 9B</th><td>Bayesian</td><td>53</td><td>66</td>' in page
    assert "17:1238" in page


def test_two_tables_of_one_domain_are_told_apart(tmp_path, simulate):
    for users in (3, 4):
        simulate(tmp_path, "made-up", "one", users=users, rounds=1, sets=4)
    page = to_html(read_leaderboard(tmp_path))
    for users in (3, 4):
        assert f">made-up, {users} users</a>" in page


def test_no_rounds_is_a_page_too(tmp_path, simulate):
    simulate(tmp_path, "made-up", "one", users=3, rounds=0, sets=4)
    assert "After round 0" in to_html(read_leaderboard(tmp_path))


def test_a_folder_without_runs_gives_a_page_that_says_so(tmp_path):
    page = to_html(Leaderboard([], ["a is damaged <b>."]))
    assert "There are no finished runs here." in page
    assert "a is damaged &lt;b&gt;." in page


def test_the_command_writes_the_page_and_the_pictures(call, tmp_path, simulate):
    simulate(tmp_path / "results", "made-up", "one", users=3, rounds=1, sets=4)
    made = ("--results", "results", "--format", "html", "--out", "page.html", "--pictures", "pictures")
    status, out, err = call("leaderboard", *made)
    assert (status, out) == (0, "")
    assert "8 pictures are in 'pictures'." in err
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    names = {file.name for file in (tmp_path / "pictures").iterdir()}
    assert {"made-up.learning-curves.svg", "made-up.reliability.png"} <= names


def test_a_folder_that_cannot_be_written_is_named(call, tmp_path, simulate):
    simulate(tmp_path / "results", "made-up", "one", users=3, rounds=1, sets=4)
    Path(tmp_path / "file").write_text("")
    status, _, err = call("leaderboard", "--results", "results", "--pictures", "file")
    assert status == 2
    assert "'file' cannot be written" in err


def test_agents_on_some_domains_stand_apart_and_two_seeds_are_one_domain(tmp_path, make_run):
    toys = {"name": "toys", "version": "1", "parameters": {}}
    for number, (agent, seed) in enumerate([("both", 0), ("both", 1), ("some", 0)]):
        make_run(tmp_path, agent, [[3, 8 - number], [5, 6]], seed=seed)
    make_run(tmp_path, "both", [[3, 4], [5, 6]], domain={**toys, "name": "games"})
    page = to_html(read_leaderboard(tmp_path))
    overview = page[page.index('id="overview"') : page.index('id="domain-')]
    apart = overview.index("on some domains only")
    assert overview.index('">both</a>') < apart < overview.index('">some</a>')
    assert "of 1 domain<" in overview
    assert "of 2 domains" not in overview
    assert "2 agents \u00b7 2 domains \u00b7 4 runs" in page
