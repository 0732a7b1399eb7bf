# make demo runs the main job on the sample backups, make test runs the quick tests; make help lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARKERS ?= not slow and not browser and not postgres and not dask
WORKERS ?= auto
TESTS ?= tests
DEMO ?= demo
# The tests of contracts and transforms: they run under coverage, which costs a quarter more, and the others without.
UNITS := $(addprefix tests/,contracts scheme rules augment policy risk messages dtc \
	ringfence attack privacy/test_leak_scan.py)
BRANCHES := 86
# Each of some hundred processes would compile the whole product, and the report's templates, again.
unexport PYTHONDONTWRITEBYTECODE
PIN = $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--python-version 3.12 --python-platform linux
# Workers and cores are as many: more threads of the column library cost a tenth more CPU and give nothing.
THREADS ?= 1
PYTEST = POLARS_MAX_THREADS=$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test check coverage all docs sample requirements release wheelhouse clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,si,postgres,dask]"
	touch $@

demo: $(VENV)/.ready  ## set everything up and run the main job on the sample backups
	$(BIN)/datacut demo --out $(DEMO)

test: $(VENV)/.ready  ## set everything up and run the quick tests
	$(PYTEST) -m "$(MARKERS)" $(TESTS)

coverage: $(VENV)/.ready  ## the tests of contracts and transforms, and how many of their branches they take
	$(PYTEST) -m "$(MARKERS)" --cov=contracts --cov=transforms --cov-branch --cov-report= --cov-fail-under=$(BRANCHES) $(UNITS)

all: check  ## everything, as CI runs it: check, and every test, slow ones too
	$(MAKE) test MARKERS=

check: $(VENV)/.ready  ## lint, format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.ready  ## write the data dictionary, the pages of processes and obligations and the schema of the evidence
	$(BIN)/datacut contracts doc > docs/data-dictionary.md
	$(BIN)/python -m contracts.documents.process_page > docs/processes.md
	$(BIN)/python -m tests.traceability > docs/traceability.md
	$(BIN)/python -m tests.points > docs/privacy-points.md
	$(BIN)/python -m contracts.documents.runbook > docs/runbook.md
	$(BIN)/python -m contracts.documents.evidence_schema > contracts/schema/evidence-1.json

sample: $(VENV)/.ready  ## write sample_data/ anew
	$(BIN)/datacut sample --mpans 5000 --seed 1 --defects 0.05 --published-keys --out sample_data

release: $(VENV)/.ready  ## wheel, source archive, list of parts with licences (CycloneDX) and their digests, in dist/
	$(BIN)/python -m tests.provenance --out dist

requirements: $(VENV)/.ready  ## pin what the images install, by hash and without addresses
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(PIN) --extra postgres -o requirements/participant.txt pyproject.toml
	$(PIN) --extra si --extra postgres --extra dask -o requirements/si.txt pyproject.toml
	echo "hatchling>=1.27" | $(PIN) -o requirements/build.txt -

wheelhouse: $(VENV)/.ready  ## every wheel for a machine without a network: pip install --no-index --find-links wheelhouse datacut
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir wheelhouse ".[postgres]"

clean:  ## remove everything that is not in the repository
	rm -rf $(VENV) demo out dist wheelhouse .pytest_cache .mypy_cache .ruff_cache .hypothesis
