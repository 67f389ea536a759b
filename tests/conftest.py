"""What several tests share: flights, the paper's people written down anew in NumPy, and a domain worked by hand."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.cli import main as cli
from beliefbench.domain import describe_features

ROOT = Path(__file__).parent.parent
VERSIONS = ("jax", "numpyro", "pymc")
# Half of the tests' time is compiling; with these flags of the pinned jaxlib it takes less. Exact answers are the same
# bits: tests/running/test_rows.py holds those of the default flags.
QUICK_COMPILATION = (
    "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", default="0-0", metavar="FIRST-LAST", help="seeds of tests that depend on one draw")
    parser.addoption("--report", metavar="FILE", help="write what each test found to this Markdown file")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the report: each test, its outcome, its seconds, and the figures that it recorded as properties."""
    if not (file := config.getoption("--report")):
        return
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    lines = [
        f"| `{one.nodeid.removeprefix('tests/')}` | {one.outcome} | {one.duration:.0f} | "
        f"{'; '.join(f'{name}: {value}' for name, value in one.user_properties).replace('|', chr(92) + '|')} |"
        for one in sorted(reports, key=lambda one: one.nodeid)
        if one.when == "call"
    ]
    head = (
        "# Reference figures\n\nWhat `make reference` found: tests that take minutes each, not part of `make test`.\n"
        f"Made {date.today().isoformat()}, with {', '.join(f'{name} {version(name)}' for name in VERSIONS)}.\n\n"
        "| test | outcome | seconds | figures |\n|---|---|---|---|\n"
    )
    Path(file).write_text(head + "\n".join(lines) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes of the tests, commands too, use what one of them compiled (half of their time is compiling),
    and find none of the data that was imported on this machine."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # several threads of each worker would wait for those of the others
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script; children would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["BELIEFBENCH_DATA"] = str(config.cache.mkdir("no-data"))
    if config.option.markexpr == "not reference":  # what takes minutes of computing is compiled as users have it
        os.environ.setdefault("XLA_FLAGS", QUICK_COMPILATION)
    folder = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("compiled")))
    os.environ.update(JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0", JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1")
    jax.config.update("jax_compilation_cache_dir", folder)  # read from the environment when JAX was imported
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_collection_finish() -> None:
    """Keep what all modules hold out of garbage collection, which otherwise looks through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a ``draw_seed`` at each seed of ``--seeds``: how the figures in its docstring were seen."""
    if "draw_seed" in metafunc.fixturenames:
        first, last = map(int, metafunc.config.getoption("--seeds").split("-"))
        metafunc.parametrize("draw_seed", range(first, last + 1))


@pytest.fixture
def record_property(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Record a figure as text: the processes of xdist pass no NumPy numbers to each other."""
    return lambda name, value: record_property(name, str(value))


@pytest.fixture(autouse=True)  # tests replace functions that compute what is kept
def _nothing_kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beliefbench.running.derived.user_cache_path", tmp_path_factory.mktemp("kept").joinpath)


@pytest.fixture(scope="session")
def flights() -> bb.Domain:
    return bb.load_domain("flights")


@pytest.fixture(scope="session")
def people() -> np.ndarray:
    """The 624 people of the paper, float[624, 4], in its order: index 0 is all -1, 623 is all +1."""
    return np.array([vector for vector in product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=4) if any(vector)])


class Simulator:
    """Flights and the people who choose among them, in NumPy integers: without NumPyro and ``beliefbench``."""

    def __init__(self, people: np.ndarray) -> None:
        self.half_weights = np.rint(2 * people).astype(int)

    def options(self, rng: np.random.Generator, *shape: int) -> np.ndarray:
        """Draw option sets from the paper's grids, float[*shape, 3, 4]."""
        tenths = [rng.integers(0, 11, size=(*shape, 3)) / 10 for _ in range(4)]
        tenths[2] = rng.integers(0, 3, size=(*shape, 3)) / 2
        return np.stack(tenths, axis=-1)

    def best(self, person: np.ndarray, options: np.ndarray) -> np.ndarray:
        """Return which options are a person's best, bool[..., 3]; ties are decided in integers.

        person int[...], options float[..., 3, 4].
        """
        rewards = (np.rint(10 * options).astype(int) * self.half_weights[person][..., None, :]).sum(axis=-1)
        return rewards == rewards.max(axis=-1, keepdims=True)

    def choose(self, rng: np.random.Generator, person: np.ndarray, options: np.ndarray) -> np.ndarray:
        """Return one of the best options at random, int[...]."""
        best = self.best(person, options)
        return np.where(best, rng.random(best.shape), -1.0).argmax(axis=-1)


@pytest.fixture(scope="session")
def simulator(people: np.ndarray) -> Simulator:
    return Simulator(people)


COIN = bb.Feature("shine", "shine", (0.0, 0.5, 1.0), lambda value: f"{value:.1f}")


def coin_domain(name: str, hit: float, prior: float = 0.75, **changes: object) -> bb.Domain:
    """Two people: 0 likes shine (with probability ``prior``), 1 dislikes it.

    Each names their favourite with probability ``hit``, and each other option with half of the rest. Options have one
    feature.
    """

    def model(options, choices=None):
        person = numpyro.sample("person", dist.Categorical(jnp.array([prior, 1 - prior])))
        reward = numpyro.deterministic("reward", (1.0 - 2.0 * person) * options[..., 0])
        favourite = reward.argmax(axis=-1)[..., None] == jnp.arange(3)
        numpyro.sample("choice", dist.Categorical(probs=jnp.where(favourite, hit, (1 - hit) / 2)), obs=choices)

    def draw(key, sets):
        # Three different values in random order, so that nobody is ever torn between two favourites.
        orders = jax.vmap(lambda at: jax.random.permutation(at, 3))(jax.random.split(key, sets))
        return (orders / 2.0)[..., None]

    settings = {"version": "1", "item": "Coin", "features": (COIN,), "model": model, "draw": draw}
    settings |= {"describe": describe_features((COIN,)), "parameters": {"hit": hit, "prior": prior}}
    return bb.Domain(name=name, **(settings | changes))


@pytest.fixture(scope="session")
def coins() -> bb.Domain:
    """Right 8 times in 10: nothing ever contradicts it."""
    return coin_domain("coins", hit=0.8)


@pytest.fixture(scope="session")
def sure_coins() -> bb.Domain:
    """Always right: naming the middle option, or now the highest and now the lowest, is a contradiction."""
    return coin_domain("sure-coins", hit=1.0)


@pytest.fixture(scope="session")
def make_coins():
    """``make_coins(name, hit=..., prior=..., **fields of Domain)``: more of the same kind."""
    return coin_domain


@pytest.fixture
def plugin_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path for packages of the test's own; their modules are forgotten after it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def plugin_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for plugin files of the test's own, as ``--plugins`` takes it; what it brought is then forgotten."""
    from beliefbench.plugins import sources

    folder = tmp_path / "plugins"
    folder.mkdir()
    yield folder
    sources.forget_plugin_folders()


@pytest.fixture
def trips_folder(plugin_folder: Path) -> Path:
    """A folder with a plugin file: the domain ``trips``, which is flights-2 under another name."""
    (plugin_folder / "trips.py").write_text(
        "from dataclasses import replace\n\nfrom beliefbench.domains.flights import flights_2\n\n"
        "trips = replace(flights_2, name='trips')\nDOMAINS = {'trips': trips}\n"
    )
    return plugin_folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is shipped: a wheel of this repository, built anew."""
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    # From a copy, so that no earlier build leaves files in it.
    for folder in ("bench", "domains", "agents"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    # With the setuptools that is here, so that the test needs no network.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of imported data, empty."""
    folder = tmp_path / "data"
    monkeypatch.setenv("BELIEFBENCH_DATA", str(folder))
    return folder


CHAT_TEMPLATE = """{{ bos_token }}{% for message in messages %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif -%}
[{{ message.role }}]{{ message.content | trim }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"""


@pytest.fixture
def make_model(tmp_path):
    """Saves a tiny model with a byte-level tokenizer that sets <s> before what it reads."""

    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    def make(template: str | None = CHAT_TEMPLATE, **config):
        folder = tmp_path / "model"
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {letter: at for at, letter in enumerate(["<s>", "</s>", *letters])}
        inner = Tokenizer(models.BPE(vocabulary, []))
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        torch.manual_seed(0)
        small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        known = transformers.Qwen2Config(
            vocab_size=len(vocabulary), num_key_value_heads=2, bos_token_id=0, eos_token_id=1, **small
        )
        transformers.Qwen2ForCausalLM(known).save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))
        return folder

    return make


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """``call("run", "--users", "0") -> (exit status, standard output, standard error)``, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["beliefbench", *arguments])
        capsys.readouterr()  # what the test's own preparations said
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models lose more to threads that wait for each other than they gain."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
