"""The pictures: drawn from the rows, the same each time, small, and to be told apart in grey."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from beliefbench.leaderboard.page import styles
from beliefbench.leaderboard.page.page import TEMPLATES
from beliefbench.leaderboard.page.pictures import PICTURES, agreement_and_kl, draw_all, exact_curve, learning_curves
from beliefbench.leaderboard.page.svg import VARIABLES, as_png, as_svg, inline_svg
from beliefbench.leaderboard.ranking import read_leaderboard


@pytest.fixture(scope="module")
def group(small):
    return next(group for group in small.groups() if group[0].fields["domain"] == "flights-2")


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2)."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_lines_are_told_apart_without_colour():
    found = styles.styles_of(map(str, range(50)))
    assert len({(str(style.dash), style.mark) for style in found.values()}) == 50


def test_lines_and_words_stand_out_on_either_ground():
    css = (TEMPLATES / "page.css").read_text("utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in css.split("@media", 2)[:2])
    assert [light[f"line-{number}"] for number in range(len(styles.COLOURS))] == list(styles.COLOURS)
    for scheme in (light, dark):
        for name in ("ink", "soft", "accent", "warn", "good"):
            assert contrast(scheme[name], scheme["paper"]) >= 4.5, name
        for number in range(len(styles.COLOURS)):
            assert contrast(scheme[f"line-{number}"], scheme["paper"]) >= 4.5, number


def test_curves_are_those_of_the_rows(group):
    lines = {line.get_label(): line for line in learning_curves(group).axes[0].lines}
    for row in group:
        name = f"{row.fields['agent']}{'*' if row.fields['privileged'] else ''}"
        name = name if len(name) <= 26 else f"{name[:25]}…"
        assert np.allclose(lines[name].get_ydata(), [one["accuracy"] for one in row.rounds])
    assert np.allclose(lines["exact answer"].get_ydata(), exact_curve(group))
    left, right = agreement_and_kl(group).axes[:2]
    assert np.allclose(left.lines[0].get_ydata(), [one["agreement"] for one in group[0].rounds])
    stating = [row for row in group if row.fields["probabilistic"]]
    assert np.allclose(right.lines[1].get_ydata(), [one["kl_exact"] for one in stating[1].rounds])


def test_the_exact_curve_needs_no_exact_agent(group):
    (exact,) = (row for row in group if row.fields["agent"] == "exact")
    others = [row for row in group if row is not exact]
    # `exact` names the first of options that tie, the exact answer each equally often.
    assert np.allclose(exact_curve(others), [one["accuracy"] for one in exact.rounds], atol=0.05)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_same_file_each_time_and_small(group, name):
    once, again = (PICTURES[name](group, None) for _ in range(2))
    assert once is not None
    assert as_svg(once) == as_svg(again)
    assert as_png(once) == as_png(again)
    assert len(as_svg(once)) < 100_000


def test_a_picture_in_a_page_has_its_colours_and_ids_of_its_own(group):
    svg = inline_svg(learning_curves(group), "here", 'of "all"')
    assert svg.startswith('<svg role="img" aria-label="of &quot;all&quot;" viewBox=')
    assert not [colour for colour in VARIABLES if colour in svg]
    assert all(one.startswith("here-") for one in re.findall(r' id="([^"]*)"', svg))
    assert "xmlns" not in svg


def test_agents_that_only_choose_have_no_reliability_and_no_updates(tmp_path, simulate):
    simulate(tmp_path, "made-up", "one", users=3, probabilistic=False)
    (group,) = read_leaderboard(tmp_path).groups()
    drawn = {name: draw(group, None) for name, draw in PICTURES.items()}
    assert [name for name, figure in drawn.items() if figure is None] == ["reliability", "updates"]


def test_all_are_written(small, tmp_path):
    files = draw_all(small, tmp_path / "new" / "folder")
    assert len(files) == 2 * 2 * len(PICTURES)
    assert all(Path(file).stat().st_size > 1000 for file in files)
