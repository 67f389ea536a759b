"""What ``run --estimate`` says: counted from the protocol by hand, less what is answered, and nothing is asked."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import beliefbench as bb
from beliefbench.agent import Cost
from beliefbench.cli.estimate import Prices, estimates, print_estimates
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import UntilWidth
from beliefbench.running.answering import Job

PROTOCOL = {"users": 10, "rounds": 2, "heldout": 5}
ANSWERS = 10 * (6 + 6 + 5)


class Paid:
    """Costs a request an answer, 10 tokens for each and 100 more for each round that was told."""

    name, version, probabilistic, privileged, note = "paid", "1", False, False, None

    def __init__(self) -> None:
        self.asked = 0

    def identity(self) -> dict[str, str]:
        return {}

    def begin(self, brief, keys, truth=None):
        return 0

    def predict(self, state, options):
        self.asked += 1
        return bb.Prediction(np.zeros(options.shape[:2], dtype=int))

    def observe(self, state, options, recommended, chosen):
        return state + 1

    def cost(self, state, options) -> Cost:
        answers = int(np.prod(options.shape[:2]))
        return Cost(answers, answers * (10 + 100 * state), 0.5 * answers, written=4 * answers)


@pytest.fixture
def job(flights):
    def made(agent, **more):
        return Job(flights, agent, Protocol(**PROTOCOL), **more)

    return made


def test_it_adds_up_what_the_agent_tells_and_asks_nothing(job, tmp_path):
    agent = Paid()
    (one,) = estimates([job(agent)], tmp_path)
    assert one.answers == ANSWERS
    assert one.cost == Cost(ANSWERS, 10 * (6 * 10 + 6 * 110 + 5 * 210), 0.5 * ANSWERS, 4 * ANSWERS)
    assert agent.asked == 0
    assert not list(tmp_path.iterdir())


def test_what_is_answered_costs_nothing(job, flights, tmp_path):
    agent = Paid()

    def stop(done: int, total: int) -> None:
        if done == 10:  # all users at stage 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bb.run(flights, agent, **PROTOCOL, results=tmp_path, progress=stop)
    (one,) = estimates([job(agent)], tmp_path)
    assert one.answers == 10 * (6 + 5)
    assert one.cost.tokens == 10 * (6 * 110 + 5 * 210)
    bb.run(flights, agent, **PROTOCOL, results=tmp_path)
    (one,) = estimates([job(agent)], tmp_path)
    assert (one.answers, one.cost) == (0, Cost())


def test_another_agent_is_timed(job, flights, tmp_path):
    (one,) = estimates([job(bb.load_agent("bayesian", flights))], tmp_path)
    assert one.answers == ANSWERS
    assert one.cost.requests == one.cost.tokens == 0
    assert 0 < one.cost.seconds < 60


def test_a_rule_that_may_stop_it_makes_it_a_bound(job, tmp_path):
    found = estimates([job(Paid(), stopping=UntilWidth(0.1)), job(Paid())], tmp_path)
    page = io.StringIO()
    print_estimates(found, Console(file=page, width=100))
    said = page.getvalue()
    assert "What is left to do, at most" in said
    assert f"{2 * ANSWERS:,}" in said
    assert "2 min 50 s" in said  # 340 answers at half a second


def test_tokens_read_and_written_have_their_prices(job, tmp_path):
    page = io.StringIO()
    print_estimates(estimates([job(Paid())], tmp_path), Console(file=page, width=100), Prices(read=1000.0, written=2e6))
    read, written = 17_700 - 4 * ANSWERS, 4 * ANSWERS
    assert 10 * (6 * 10 + 6 * 110 + 5 * 210) == 17_700
    for number in (f"{read:,}", f"{written:,}", f"{read / 1000 + written * 2:,.2f}"):
        assert f" {number} " in page.getvalue()


def test_where_a_rule_may_stop_it_the_expected_number_of_users_is_that_of_the_exact_answer(flights, tmp_path):
    agent, protocol, rule = Paid(), Protocol(users=100, rounds=2, heldout=5), UntilWidth(0.12)
    (one,) = estimates([Job(flights, agent, protocol, stopping=rule)], tmp_path)
    done = bb.run(
        flights, bb.load_agent("bayesian", flights), users=100, rounds=2, heldout=5, until_width=0.12, results=tmp_path
    )
    assert one.expected == done.record.asked < 100
    page = io.StringIO()
    print_estimates([one], Console(file=page, width=200))
    assert f"expected to stop after {one.expected} of 100 users, with {one.expected}% of that" in page.getvalue()


@pytest.mark.parametrize("folder", ["models/", "[bold]模型/"])
def test_a_path_is_broken_after_a_slash_and_nothing_is_left_out(job, tmp_path, folder):
    path = f"/home/somebody/{folder * 5}final"
    page = io.StringIO()
    (one,) = estimates([job(Paid(), specs=("flights", f"prompted:{path}"))], tmp_path)
    print_estimates([one], Console(file=page, width=80))
    lines = page.getvalue().splitlines()
    parts = [word for line in lines for word in line.split() if "/" in word or word in ("prompted:", "final")]
    assert max(map(cell_len, lines)) <= 80
    assert len(parts) > 1
    assert "".join(parts) == f"prompted:{path}"


@pytest.mark.parametrize("prices", [None, Prices(read=1e6, written=1e6)])
def test_a_name_that_cannot_be_broken_is_shown_whole(job, tmp_path, prices):
    spec = f"prompted:{'Q' * 60}"
    page = io.StringIO()
    found = estimates([job(Paid(), specs=("webshop-portable-speakers", spec))], tmp_path)
    print_estimates(found, Console(file=page, width=80), prices)
    lines = page.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert "\u2026" not in page.getvalue()
    assert f"(1) {spec}" in page.getvalue() if prices else page.getvalue().count("Q") == 60


def test_the_command_asks_no_server(flights, tmp_path, monkeypatch, capsys):
    from beliefbench.cli import main as cli

    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # nobody answers there
    arguments = ["run", "--estimate", "--domain", "flights", "--users", "4", "--rounds", "1", "--heldout", "3"]
    arguments += ["--agent", f"endpoint:m,cache={tmp_path / 'cache'}", "--results", str(tmp_path / "results")]
    cli.app(arguments, standalone_mode=False)
    said = capsys.readouterr().out
    assert "endpoint:m" in said
    assert f"{4 * (4 + 3)}" in said
    assert not (tmp_path / "results").exists()


def test_prices_without_an_estimate_are_a_wrong_call(capsys):
    from beliefbench.cli import main as cli

    with pytest.raises(SystemExit, match="2"):
        cli.app(["run", "--price-in", "1"])
    assert "--price-in and --price-out need --estimate" in capsys.readouterr().err
