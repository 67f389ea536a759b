"""What a training shows of its progress where there is no terminal."""

from io import StringIO

from rich.console import Console

from beliefbench.teaching.progress import progress_bar
from beliefbench.teaching.trainer import Progress


def shown(steps: int, validated: int | None = None) -> list[str]:
    page = StringIO()
    with progress_bar(Console(file=page, width=80)) as on_progress:
        for step in range(steps + 1):
            found = {"agreement": 0.5, "kl_exact": 0.25} if step == validated else None
            on_progress(Progress(step, steps, None if step == 0 else 1 / step, found))
    return page.getvalue().splitlines()


def test_a_pipe_has_a_line_for_each_tenth_of_the_steps():
    lines = shown(1000)
    assert lines[:3] == ["step 0 of 1000", "step 100 of 1000, loss 0.010", "step 200 of 1000, loss 0.005"]
    assert lines[-1] == "step 1000 of 1000, loss 0.001"
    assert len(lines) == 11
    assert shown(2) == ["step 0 of 2", "step 1 of 2, loss 1.000", "step 2 of 2, loss 0.500"]


def test_validation_has_a_line_whenever_it_comes():
    assert "step 55: agreement 50.0%, KL from exact 0.250 nats" in shown(1000, validated=55)


def test_a_call_that_ends_at_once_prints_nothing():
    page = StringIO()
    with progress_bar(Console(file=page)):
        pass
    assert page.getvalue() == ""
