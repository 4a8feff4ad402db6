# `make` alone lists what there is to make.
PYTHON ?= python3
TIER ?= smoke
PORT ?= 8000
REPOSITORY ?=

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/ready
HTML := $(CURDIR)/_build/html
NOTEBOOKS = $(wildcard chapters/*.ipynb chapters/solutions/*.ipynb)
ONE_THREAD := OMP_NUM_THREADS=1
WORKERS ?= 2

ifeq ($(filter $(TIER),smoke cpu gpu),)
$(error TIER=$(TIER) is not a tier: choose smoke, cpu or gpu, as in `make book TIER=cpu`)
endif

export PYTHONUNBUFFERED := 1

.PHONY: help book test lint format unit quick coverage slow chapters browser faults audit bench colab wheel serve offline notebooks strip stamp measure pins clean

help:  ## List these targets.
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{printf "%-12s %s\n", $$1, $$2}'

book: $(READY)  ## Execute every notebook that changed and build the book (TIER=smoke, cpu or gpu).
	@$(BIN)/python -m scripts.execute_notebooks --tier $(TIER) --workers $(if $(filter gpu,$(TIER)),1,$(WORKERS))
	@echo "Building the book on the $(TIER) tier."
	@MINIGPT_TIER=$(TIER) PYTHONPATH=$(CURDIR) $(BIN)/jupyter-book build . -W -n --keep-going || { \
	  $(BIN)/python -m scripts.notebook_cache --failed; exit 1; }
	@echo "The book is built. Open it at:"
	@echo "file://$(HTML)/index.html"

test: lint unit slow chapters browser  ## Check the style, run all tests, execute every notebook, read the built book.

lint: $(READY)  ## Check the style of code and notebooks, and the types of the package.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## Put code and notebooks into the form that `make lint` asks for.
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

unit: $(READY)  ## Run the unit tests that are quick.
	@$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow and not browser"

quick: $(READY)  ## Run the quick tests of one folder, such as FOLDER=model.
	@test -n "$(FOLDER)" -a -d "tests/$(FOLDER)" || { \
	  echo "Name a folder of tests, as in \`make quick FOLDER=model\`: $$(ls -d tests/*/ | xargs -n1 basename | xargs)"; exit 1; }
	@$(ONE_THREAD) $(BIN)/python -m pytest -q -m "not slow and not browser" tests/$(FOLDER)

coverage: $(READY)  ## Run them and print, for each file of the package, the lines that none of them reaches.
	@$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow and not browser" \
	  --cov=minigpt --cov-branch --cov-report=term-missing:skip-covered

slow: $(READY)  ## Run the others: training, kills, several processes, a gigabyte of text.
	@$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) -m slow

chapters: $(READY)  ## Execute every chapter and solution that `make book` has not just executed.
	@$(BIN)/python -m scripts.execute_notebooks --tier $(TIER) --workers $(WORKERS)

browser: $(READY)  ## Read the built book in Chromium: every page, link, quiz and picture.
	@$(BIN)/python -m pytest -q -rs -n $(WORKERS) --dist loadgroup -m browser

# Nightly: each driver writes its record to results/faults, and can be called alone, with --help.
faults: $(READY)  ## Try to break everything, many times: kills, full disks, damaged files, bad input, other places.
	@$(ONE_THREAD) $(BIN)/python -m tests.faults.kills
	@$(ONE_THREAD) $(BIN)/python -m tests.faults.storage
	@$(ONE_THREAD) $(BIN)/python -m tests.faults.inputs
	@$(ONE_THREAD) $(BIN)/python -m tests.faults.led_by_coverage
	@$(ONE_THREAD) $(BIN)/python -m tests.faults.elsewhere

audit: $(READY)  ## Look for known weaknesses in the pinned packages; this asks pypi.org.
	@$(PYTHON) -m venv --clear _build/audit
	@_build/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit
	@_build/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement requirements.txt

bench: $(VENV)/peers  ## Measure minigpt beside other libraries, in turn (CASE="training tiny", QUICK=--quick).
	@$(BIN)/python -m benchmarks.bench $(QUICK) $(CASE)

colab: $(READY)  ## Execute every notebook in an environment like Colab's, without this repository (PYTHON=python3.13).
	@$(ONE_THREAD) $(BIN)/python -m scripts.check_colab --python $(PYTHON)

wheel: $(READY)  ## Build the package, install it alone, and run its tests where there is no repository.
	@$(ONE_THREAD) $(BIN)/python -m scripts.check_wheel

serve: $(READY)  ## Serve the built book on this machine (PORT=8000).
	@test -f $(HTML)/index.html || { echo "There is no built book yet; run \`make book\` first."; exit 1; }
	@echo "The book is at http://localhost:$(PORT)/ (Ctrl-C to stop)."
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

offline: book  ## Pack the site, the notebooks, the models and the wheel into one zip.
	@$(BIN)/python -m scripts.offline_zip

notebooks: $(READY)  ## Open the chapters in JupyterLab.
	@$(BIN)/jupyter lab chapters

strip: $(READY)  ## Remove all outputs from the notebooks.
	@$(BIN)/nbstripout --keep-id --extra-keys "metadata.language_info.version" $(NOTEBOOKS)

stamp: $(READY)  ## Write the repository's address and the measured times where they belong (REPOSITORY=owner/name).
	@$(BIN)/python -m scripts.stamp $(if $(REPOSITORY),--repository $(REPOSITORY))

measure: $(READY)  ## Measure each chapter's time and memory on one TIER, then stamp.
	@MINIGPT_TIER=$(TIER) $(BIN)/python -m scripts.measure_chapters --tier $(TIER)
	@$(BIN)/python -m scripts.stamp

pins: ## Freeze requirements.txt anew from pyproject.toml.
	@scripts/pins.sh $(PYTHON)

clean:  ## Remove the built book, its cache and the environment.
	@rm -rf _build $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis

# The environment is made anew when a pin changes; the package is installed anew when pyproject.toml does.
$(READY): $(VENV)/pinned pyproject.toml
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/peers: $(READY) requirements-bench.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --requirement requirements-bench.txt
	@touch $@

$(VENV)/pinned: requirements.txt requirements-plays.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "minigpt needs Python 3.11 or newer; name one with \`make PYTHON=python3.11 $(MAKECMDGOALS)\`."; exit 1; }
	@echo "Preparing $(VENV); this takes some minutes, once."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --requirement requirements-plays.txt
	@touch $@
