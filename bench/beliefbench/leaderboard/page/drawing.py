"""The page's pictures with their captions, drawn by several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from markupsafe import Markup

from beliefbench.leaderboard.page.pictures import PICTURES
from beliefbench.leaderboard.page.styles import Styles, percent
from beliefbench.leaderboard.page.svg import inline_svg
from beliefbench.leaderboard.row import Row, sound

FEW = 4  # groups that are drawn sooner than another process has started
CAPTIONS = {
    "learning-curves": (
        "Learning curves",
        "Accuracy after each round with its 95% interval. The broad line is the exact Bayesian answer to the same "
        "questions. On average over users, no agent that knows only the choices can be more accurate.",
    ),
    "reliability": (
        "Calibration",
        "The share of right answers at each probability that the agent gave to its chosen option. A "
        "calibrated agent is on the diagonal. The bars show how many answers have each probability. The second number "
        "after ECE is the ECE that a calibrated agent with the same probabilities stays below, 95 times in 100.",
    ),
    "agreement-and-kl": (
        "Distance to the exact answer",
        "Left: the share of answers that name the same option as the exact answer. Right: the KL divergence from the "
        "exact probabilities to the agent's.",
    ),
    "updates": (
        "Size of updates",
        "The change of P(the option that the user wants) from round to round, against the same change in the exact "
        "answer. Small dots: some of the answers. Large dots: means of twelve groups of answers. Shaded: the middle "
        "80%. Line: least squares over all rounds. On the diagonal, the agent changes its probabilities as much as "
        "the exact answer does. A flatter line: too little. A steeper line: too much.",
    ),
}

Pictures = list[dict[str, Any]]


@contextmanager
def drawn(
    groups: Sequence[list[Row]], anchors: Sequence[str], styles: Styles
) -> Iterator[list[Callable[[], Pictures]]]:
    """Draw the pictures of groups of rows; give, for each group, a function that waits for its pictures.

    Matplotlib draws with one thread, so several groups are drawn by as many processes as there are processor cores.
    """
    workers = min(os.cpu_count() or 1, len(groups))
    each = list(zip(groups, anchors, strict=True))
    if len(groups) < FEW or workers == 1:
        yield [partial(_pictures, group, anchor, styles) for group, anchor in each]
        return
    # Not forked: the threads of JAX, which may have been loaded, would be lost.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        yield [processes.submit(_pictures, group, anchor, styles).result for group, anchor in each]


def _pictures(group: list[Row], anchor: str, styles: Styles) -> Pictures:
    pictures = []
    group = sound(group)
    for name, draw in PICTURES.items():
        figure = draw(group, styles) if group else None
        if figure is None:
            continue
        title, caption = CAPTIONS[name]
        # Matplotlib and `inline_svg` escape all text in it.
        svg = Markup(inline_svg(figure, f"{anchor}-{name}", _described(name, title, group)))  # nosec B704
        pictures.append({"title": title, "caption": caption, "svg": svg})
    return pictures


def _described(name: str, title: str, group: list[Row]) -> str:
    """Return what a picture shows, for those who cannot see it; the tables hold the numbers."""
    if name != "learning-curves":
        return f"{title} {', '.join(row.label for row in group)}. The numbers are in the table above."
    ends = "; ".join(
        f"{row.label} {percent(row.rounds[0]['accuracy'])} to {percent(row.final['accuracy'])}" for row in group
    )
    return f"{title}: accuracy before the first and after the last round, in percent: {ends}."
