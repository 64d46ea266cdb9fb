# `make` lists the targets. Each makes .venv when it is missing or out of date; nothing else is installed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TUTORIALS := $(wildcard tutorials/*.ipynb)
NOTEBOOKS := $(TUTORIALS) $(wildcard notebooks/*.ipynb)
BENCHMARKS := $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))
BUILT := build/tutorials

# What the user's shell and home hold must not change which packages, kernel, settings or plot backend are used.
unexport JUPYTER_PATH MPLBACKEND PYTHONHOME PYTHONPATH
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
tutorials test: export IPYTHONDIR := $(CURDIR)/.venv/ipython
tutorials test: export JUPYTER_CONFIG_DIR := $(CURDIR)/.venv/jupyter
tutorials test: export JUPYTER_DATA_DIR := $(CURDIR)/.venv/jupyter
tutorials test: export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

.DEFAULT_GOAL := help
.PHONY: help tutorials publish test lab bench lint

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

tutorials: $(STAMP)  ## Run the tutorials in full on real data; executed copies and figures go to build/tutorials
	@rm -rf $(BUILT) && mkdir -p $(BUILT)
	$(BIN)/python -m nbconvert --to notebook --execute --ExecutePreprocessor.kernel_name=python3 \
		--output-dir $(BUILT) $(TUTORIALS)
	@$(BIN)/python -m nbconvert --log-level WARN --to markdown --output-dir $(BUILT) $(TUTORIALS:tutorials/%=$(BUILT)/%)
	@$(BIN)/python -c 'import sys, nbformat; [print(output.get("text") or output["data"]["text/plain"]) \
		for path in sys.argv[1:] for cell in nbformat.read(path, 4).cells \
		if "figures" in cell.metadata.get("tags", []) for output in cell.outputs]' $(TUTORIALS:tutorials/%=$(BUILT)/%)
	@echo "Executed tutorials, as notebooks and as markdown with their figures as PNG files:" && find $(BUILT) -type f | sort

publish:  ## Put what `make tutorials` made, trimmed, in place of the tutorials, to be committed with outputs
	$(BIN)/python -m nbconvert --log-level WARN --to notebook --output-dir tutorials \
		--ClearMetadataPreprocessor.enabled=True --ClearMetadataPreprocessor.preserve_cell_metadata_mask "tags" \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask "kernelspec" \
		--TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_all_outputs_tags progress \
		$(wildcard $(BUILT)/*.ipynb)
	$(BIN)/python .ci/shrink_figures.py $(patsubst $(BUILT)/%,tutorials/%,$(wildcard $(BUILT)/*.ipynb))

test: lint  ## Everything CI runs: lint, tests and doctests, then every notebook with shrunken parameters
	$(BIN)/python -m pytest
ifneq ($(strip $(NOTEBOOKS)),)
	SIMPLECHROME_TK_QUICK=1 $(BIN)/python -m pytest -W default --nbmake --nbmake-kernel=python3 --nbmake-timeout=900 $(NOTEBOOKS)
endif

lint: $(STAMP)  ## Style and types: ruff check, ruff format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: $(STAMP)  ## Open JupyterLab in tutorials/, with notebooks/ beside it
	$(BIN)/python -m jupyterlab --ServerApp.preferred_dir=$(CURDIR)/tutorials $(LAB_OPTIONS)

bench: $(STAMP)  ## Run each benchmark in turn
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Installing into .venv (a few minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
