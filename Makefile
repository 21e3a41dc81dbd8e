# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
# Another Python: make test PYTHON=python3.12 VENV=.venv-3.12

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: help demo test lint types imports unit docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     set everything up, then find bugs in real handlers"
	@echo "make test     set everything up, then pass the tests: lint, types, imports, unit"
	@echo "make docs     write the pages of docs/ that come from the tables of the code"
	@echo "make bench    set everything up, then measure"
	@echo "make clean    remove everything that was built or cached"

demo: $(READY)
	$(BIN)/python examples/demo.py

test: lint types imports unit

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/python -m pytest -n 2

docs: $(READY)
	HANDSHAKER_GOLDEN=write $(BIN)/python -m pytest -q tests/harness/test_documentation.py -k up_to_date

bench: $(READY)
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Made anew when the dependencies may have changed; an unfinished installation leaves no stamp behind.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "handshaker needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
