# make demo       the main job on built-in data, in a few minutes
# make test       format, lint, types, tests (without the slow ones)
# make test-all   the slow tests too
# make lint       format, lint and types only
# make docs       the documentation site, in build/docs (open build/docs/index.html)
# make sbom       the pinned set as a CycloneDX software bill of materials, in build/sbom.json
# make vulnerabilities  known vulnerabilities of the pinned set; fails on any, and says so where it cannot look them up
# make package    wheel and sdist in dist/, and the demo from that wheel in an environment of its own
# make clean      remove what the targets made, the virtual environment included
#
# PYTHON=python3.12     which Python makes the environment
# TORCH_INDEX=URL       package index of another torch build, e.g. https://download.pytorch.org/whl/cpu
# TEST_WORKERS=2        test processes

PYTHON ?= python3
TORCH_INDEX ?=
TEST_WORKERS ?= 2

BIN := .venv/bin
READY := .venv/.ready
DOCS_READY := .venv/.ready-docs
TOOLS := build/tools
FRESH := build/fresh
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Read from the constraints, so that the version stands in one place.
TORCH := $(shell grep '^torch==' constraints.txt)
# Small models run fastest on one thread; several processes with a thread pool each wait for one another.
ONE_THREAD := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: demo test test-all lint docs sbom vulnerabilities package clean

# torch goes first and alone: its index may hold other versions of the packages it needs than the constraints name.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

$(DOCS_READY): $(READY)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $(DOCS_READY)

demo: $(READY)
	$(BIN)/ngdiff demo --output demo-output --overwrite

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(ONE_THREAD) $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS)

test-all: lint
	$(ONE_THREAD) $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) -m ''

# -E: every page is read anew, so that a warning is not lost by building twice.
docs: $(DOCS_READY)
	$(ONE_THREAD) $(BIN)/python -m sphinx -E -W --keep-going -n -b html docs build/docs

# Of the pinned set, whatever is installed here.
$(TOOLS)/.ready: .ci/tools.txt
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet --requirement .ci/tools.txt
	touch $(TOOLS)/.ready

sbom: $(TOOLS)/.ready
	$(TOOLS)/bin/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml \
	  --output-format JSON --output-reproducible --validate --output-file build/sbom.json

vulnerabilities: $(TOOLS)/.ready
	$(TOOLS)/bin/python .ci/vulnerabilities.py $(TOOLS)/bin/pip-audit constraints.txt build/vulnerabilities.json

# The wheel is built from the sdist, and installed without anything that only tests need.
package: $(TOOLS)/.ready
	rm -rf dist $(FRESH)
	$(TOOLS)/bin/python -m build --outdir dist .
	$(PYTHON) -m venv $(FRESH)
	$(FRESH)/bin/python -m pip --disable-pip-version-check install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	$(FRESH)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt dist/*.whl
	cd $(FRESH) && $(ONE_THREAD) bin/ngdiff demo --output demo && bin/ngdiff report demo --output report.html

clean:
	rm -rf .venv demo-output build dist docs/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
