"""The real verifiers with a scripted model, in an environment of its own: it needs an earlier openai than the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.teaching.environment import Environment

ROOT = Path(__file__).parent.parent.parent
REPLIES = ("The best option is Flight 1.", "I cannot say.", "The best option is Flight 3.")
"""What the model says in rounds 1, 2 and 3."""

pytestmark = [pytest.mark.reference, pytest.mark.timeout(1200)]


class Model(BaseHTTPRequestHandler):
    """Answers with the reply of the round, and keeps what it was asked."""

    asked: ClassVar[list[list[dict]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body["messages"])
        text = REPLIES[sum(message["role"] == "user" for message in body["messages"]) - 1]
        kind, place = ("chunk", "delta") if body.get("stream") else ("", "message")
        choice = {"index": 0, "finish_reason": "stop", place: {"role": "assistant", "content": text}}
        said = {"id": "1", "created": 1, "model": "scripted", "choices": [choice]}
        sent = json.dumps(said | {"object": "chat.completion" + (f".{kind}" if kind else "")})
        sent = f"data: {sent}\n\ndata: [DONE]\n\n" if kind else sent
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if kind else "application/json")
        self.send_header("content-length", str(len(sent.encode())))
        self.end_headers()
        self.wfile.write(sent.encode())

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> Path:
    """The folder of the commands of an environment with verifiers."""
    folder = tmp_path_factory.mktemp("verifiers")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "pip", "install", "--quiet", "--editable", f"{ROOT}[verifiers]"]
    subprocess.run(pip, check=True)
    return folder / "bin"


def evaluate(commands: Path, folder: Path, address: str, *settings: str) -> subprocess.CompletedProcess:
    environ = os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "OPENAI_API_KEY": "x", "COLUMNS": "200"}
    model = ("--model", "scripted", "--client.base-url", address, "--client.api-key-var", "OPENAI_API_KEY")
    command = [commands / "vf-eval", "beliefbench-verifiers", *model, "--no-push", "--no-rich", *settings]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_rewards_are_those_of_the_environment(commands, address, tmp_path):
    Model.asked.clear()
    settings = ("-n", "2", "--env.taskset.domain", "flights-2", "--env.taskset.rounds", "3")
    done = evaluate(commands, tmp_path, address, *settings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (folder,) = (tmp_path / "outputs").iterdir()
    lines = [json.loads(line) for line in (folder / "traces.jsonl").read_text().splitlines()]
    traces = [trace for line in lines for trace in line.get("traces", [line])]
    assert len(traces) == 2
    for trace in traces:
        environment = Environment(bb.load_domain("flights-2"), rounds=3)
        said = [environment.reset(trace["task"]["data"]["seed"])]
        steps = [environment.step(reply) for reply in REPLIES]
        said += [step.observation for step in steps[:-1]]
        rewards = [step.reward for step in steps]
        assert trace["rewards"]["mean_reward"]["score"] == pytest.approx(np.mean(rewards), abs=1e-12)
        for number, reward in enumerate(rewards, 1):
            assert trace["metrics"][f"reward_{number}"] == pytest.approx(reward, abs=1e-12)
        assert trace["metrics"]["unusable"] == pytest.approx(1 / 3)
        heard = [[message["content"] for message in asked if message["role"] == "user"] for asked in Model.asked]
        assert all(said[:turns] in heard for turns in (1, 2, 3))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (("domain", "nowhere"), "there is no domain 'nowhere'"),
        (("rounds", "0"), "rounds = 0; expected 1 to 1,000."),
        (("users", "0"), "expected users of 1 or more"),
        (("seed", "9999999"), "expected 0 to 2,147,483,647."),
        (("reward", "none"), "Input should be 'exact' or 'user'"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(commands, address, tmp_path, setting, said):
    Model.asked.clear()
    done = evaluate(commands, tmp_path, address, "-n", "1", f"--env.taskset.{setting[0]}", setting[1])
    assert done.returncode != 0
    assert said in " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert "Traceback" not in done.stdout + done.stderr
    assert not Model.asked
