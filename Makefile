# `make` lists the targets. Each makes .venv when it is missing or out of date; nothing else is installed.
PYTHON ?= python3
PYTHON_NEW ?= $(firstword $(foreach name,python3.13 python3.12,$(shell $(name) -c 'print("$(name)")' 2>/dev/null)))
BIN := .venv/bin
STAMP := .venv/.installed
MIN := .venv-min
NEW := .venv-new
# The largest first: they take longest and run side by side, so the last to run should be short.
TUTORIALS := $(shell ls -S tutorials/*.ipynb)
NOTEBOOKS := $(TUTORIALS) $(wildcard notebooks/*.ipynb)
BENCHMARKS := $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))
BUILT := build/tutorials
# How many CPUs this process may use, by its affinity and its cgroup
CPUS = $(BIN)/python -c 'import joblib; print(joblib.cpu_count())'
EXECUTED := $(TUTORIALS:tutorials/%=$(BUILT)/%)
# The tests of test-min and test-new; to choose some of them: make TESTS="tests/model tests/nn ..." test-min
TESTS ?= tests simplechrome_tk --ignore=tests/browser

# A deprecation warns of what a later version will do, so on the lowest versions it is no error.
EARLIER := $(foreach kind,DeprecationWarning FutureWarning PendingDeprecationWarning,-W ignore::$(kind))

# Settings in the user's shell and home must not change the packages, kernel, settings or plot backend that are used.
unexport JUPYTER_PATH MPLBACKEND PYTHONHOME PYTHONPATH
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
tutorials test test-min test-new: export IPYTHONDIR := $(CURDIR)/.venv/ipython
tutorials test test-min test-new: export JUPYTER_CONFIG_DIR := $(CURDIR)/.venv/jupyter
tutorials test test-min test-new: export JUPYTER_DATA_DIR := $(CURDIR)/.venv/jupyter
tutorials test test-min test-new: export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

.DEFAULT_GOAL := help
.PHONY: help tutorials publish pictures test test-min test-new lab bench lint

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

tutorials: $(STAMP)  ## Run the tutorials in full on real data; executed copies and figures go to build/tutorials
	@rm -rf $(BUILT) && mkdir -p $(BUILT)
	@$(MAKE) --no-print-directory --jobs=$$($(CPUS)) $(EXECUTED)
	@$(BIN)/python -m nbconvert --log-level WARN --to markdown --output-dir $(BUILT) $(EXECUTED)
	@$(BIN)/python -c 'import sys, nbformat; [print(output.get("text") or output["data"]["text/plain"]) \
		for path in sys.argv[1:] for cell in nbformat.read(path, 4).cells \
		if "figures" in cell.metadata.get("tags", []) for output in cell.outputs]' $(EXECUTED)
	@echo "Executed tutorials, as notebooks and as markdown with their figures as PNG files:" && find $(BUILT) -type f | sort

# Each notebook computes on one thread: as many of them run side by side as this process may use CPUs, by its affinity
# and its cgroup. `make tutorials` runs them all, always, and stops at the first that fails.
$(BUILT)/%.ipynb: tutorials/%.ipynb
	@OMP_NUM_THREADS=1 $(BIN)/python -m nbconvert --to notebook --execute --ExecutePreprocessor.kernel_name=python3 \
		--output-dir $(BUILT) $<

publish:  ## Put what `make tutorials` made, trimmed, in place of the tutorials, to be committed with outputs
	$(BIN)/python -m nbconvert --log-level WARN --to notebook --output-dir tutorials \
		--ClearMetadataPreprocessor.enabled=True --ClearMetadataPreprocessor.preserve_cell_metadata_mask "tags" \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask "kernelspec" \
		--TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_all_outputs_tags progress \
		$(wildcard $(BUILT)/*.ipynb)
	$(BIN)/python .ci/shrink_figures.py $(patsubst $(BUILT)/%,tutorials/%,$(wildcard $(BUILT)/*.ipynb))

pictures: $(STAMP)  ## Draw the pictures of README and gallery again, with the model that comes with the package (needs Chromium)
	SIMPLECHROME_TK_REQUIRE_DATA=1 SIMPLECHROME_TK_REQUIRE_BROWSER=1 $(BIN)/python -m pytest -q tests/browser/pictures.py

# Test modules, and then notebooks, run side by side; those in a browser wait for nothing but the page, and run alone.
test: lint  ## Everything CI runs: lint, tests and doctests, those in a browser, then every notebook with shrunken parameters
	$(BIN)/python -m pytest -n $$($(CPUS)) --dist loadfile --ignore=tests/browser
	$(BIN)/python -m pytest tests/browser
ifneq ($(strip $(NOTEBOOKS)),)
	SIMPLECHROME_TK_QUICK=1 $(BIN)/python -m pytest -n $$($(CPUS)) -W default --nbmake --nbmake-kernel=python3 \
		--nbmake-timeout=900 $(NOTEBOOKS)
endif

test-min: $(MIN)/.installed  ## The tests on the lowest versions that pyproject.toml allows, torch excepted
	@$(MIN)/bin/python .ci/dependencies.py installed
	$(MIN)/bin/python -m pytest $(EARLIER) $(TESTS)
	@echo "test-min leaves out: the lowest torch (it is that of constraints.txt), the browser and the notebooks."

test-new: $(NEW)/.installed  ## The tests on the newest versions of all, under Python 3.13 or 3.12 (or PYTHON_NEW=...)
	@$(NEW)/bin/python .ci/dependencies.py installed
	$(NEW)/bin/python -m pytest $(TESTS)
	@echo "test-new leaves out: the browser, the notebooks, and CUDA where this machine has no GPU."

lint: $(STAMP)  ## Style, types and layers: ruff check, ruff format, mypy, lint-imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
lab: $(STAMP)  ## Open JupyterLab in tutorials/, with notebooks/ beside it
	$(BIN)/python -m jupyterlab --FileContentsManager.preferred_dir=tutorials $(AS_ROOT) $(LAB_OPTIONS)

bench: $(STAMP)  ## Run each benchmark in turn
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Installing into .venv (a few minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# On top of .venv, whose packages a path file adds behind its own: pip then replaces the direct dependencies, and of
# the others only what does not go with them, and so leaves torch where it is.
$(MIN)/.installed: $(STAMP) .ci/dependencies.py
	@echo "Installing the lowest versions into $(MIN), on top of .venv ..."
	@$(BIN)/python -m venv --clear $(MIN)
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(MIN)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tested_set.pth
	@$(BIN)/python .ci/dependencies.py lowest > $(MIN)/lowest.txt
	@$(MIN)/bin/python -m pip install --quiet --disable-pip-version-check -c $(MIN)/lowest.txt -e '.[test]'
	@touch $@

$(NEW)/.installed: pyproject.toml
	@test -n "$(PYTHON_NEW)" && $(PYTHON_NEW) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
		{ echo "test-new needs Python 3.12 or newer: make PYTHON_NEW=/path/to/python3.13 test-new"; exit 1; }
	@echo "Installing the newest versions into $(NEW), under $$($(PYTHON_NEW) --version) ..."
	@$(PYTHON_NEW) -m venv --clear $(NEW)
	@$(NEW)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@
