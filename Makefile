# make demo: set everything up and run the main job on the sample backups
# make test: set everything up and run the tests (MARKERS= for all of them, as CI does)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARKERS ?= not slow and not browser and not postgres and not dask
DEMO ?= demo

.PHONY: demo test check docs sample wheelhouse clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,postgres,dask]"
	touch $@

demo: $(VENV)/.ready
	$(BIN)/datacut demo --out $(DEMO)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -m "$(MARKERS)"

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.ready
	$(BIN)/datacut contracts doc > docs/data-dictionary.md
	$(BIN)/python -m tests.traceability > docs/traceability.md

sample: $(VENV)/.ready
	$(BIN)/datacut sample --mpans 5000 --seed 1 --defects 0.05 --out sample_data

# every wheel that a participant without a network needs: pip install --no-index --find-links wheelhouse datacut
wheelhouse: $(VENV)/.ready
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir wheelhouse ".[postgres,split]"

clean:
	rm -rf $(VENV) demo out wheelhouse .pytest_cache .mypy_cache .ruff_cache .hypothesis
