"""A training that is stopped, or killed, goes on from its last whole checkpoint and ends with the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from beliefbench.language.local.checkpoints import locate
from beliefbench.teaching.folder import latest_checkpoint
from beliefbench.teaching.training import Settings, teach

pytestmark = pytest.mark.usefixtures("one_thread")

COMMAND = (sys.executable, "-c", "from beliefbench.cli.main import main; main()", "teach", "run")


def test_a_stopped_training_ends_with_the_same_weights(make_model, make_data, tmp_path):
    base, data, settings = locate(str(make_model())), make_data("posterior"), Settings(batch=2, learning_rate=0.001)
    teach(base, data, tmp_path / "whole", settings)

    def stop(progress):
        if list((tmp_path / "stopped").glob("checkpoints/*/trainer_state.json")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(base, data, tmp_path / "stopped", settings, on_progress=stop)
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    done = []
    teach(base, data, tmp_path / "stopped", settings, on_progress=lambda progress: done.append(progress.step))
    assert done[0] > 1, "it began anew"
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.reference
def test_a_killed_training_ends_with_the_same_weights(make_model, make_data, tmp_path):
    base, data = make_model(), make_data("posterior", users=8)
    files = ["--base", str(base), "--data", str(data), "--batch", "2", "--learning-rate", "0.001", "--validate", "0"]
    settings = Settings(batch=2, learning_rate=0.001)
    teach(locate(str(base)), data, tmp_path / "whole", settings)
    killed = subprocess.Popen(
        [*COMMAND, *files, "--out", str(tmp_path / "killed")],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    done = []
    teach(
        locate(str(base)), data, tmp_path / "killed", settings, on_progress=lambda progress: done.append(progress.step)
    )
    assert done[0] > 1, "it began anew"
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    from safetensors.numpy import save_file

    for step in (4, 8, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        save_file({"weight": np.arange(9.0)}, folder / "model.safetensors")
        (folder / "trainer_state.json").write_text("{}")
    newest = tmp_path / "checkpoint-12" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-5])
    (tmp_path / "checkpoint-8" / "trainer_state.json").write_text('{"step"')
    assert latest_checkpoint(tmp_path).name == "checkpoint-4"
    assert latest_checkpoint(tmp_path / "nowhere") is None
