# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -n)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -y -qq
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
CPU_WHEELS := https://download.pytorch.org/whl/cpu
CPU_TORCH := $(PIP) --no-deps --retries 0 --timeout 30 --index-url $(CPU_WHEELS) torch
# Distributions with their sha256, where there is a lock for this Python; they need no constraints.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
LOCK := $(if $(filter Linux-x86_64,$(shell uname -s -m | tr " " -)),$(wildcard locks/cpu-$(VERSION).txt))
LOCKED := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps
SSHD := --no-install-recommends openssh-server
CHROMIUM := --no-install-recommends chromium fonts-dejavu-core
# Two processes share the test files, in the order of tests/conftest.py, with one thread of linear algebra each.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PYTEST := $(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
.PHONY: demo test test-all lint docs bench clean servers locks licences

# Where there is no GPU torch is the build for processors, which is a tenth of the other, and all else is what
# the lock says. A GPU has its own torch, which brings libraries of its own: versions are then constrained alone.
$(STAMP): pyproject.toml constraints.txt $(LOCK)
	$(PYTHON) -m venv $(VENV)
	@if command -v nvidia-smi >/dev/null; then $(PIP) -e ".[dev,docs]"; \
	elif ! $(CPU_TORCH) 2>/dev/null; then \
	  echo "no answer from $(CPU_WHEELS): torch comes from the usual index"; $(PIP) -e ".[dev,docs]"; \
	elif [ -n "$(LOCK)" ]; then \
	  $(LOCKED) --require-hashes -r $(LOCK) && $(LOCKED) --no-build-isolation -e .; \
	else $(PIP) -e ".[dev,docs]"; fi
	touch $(STAMP)

# A data set, a short training, and how good it is beside a trained model and the exact solvers: in demo/.
demo: $(STAMP)
	rm -rf demo && mkdir demo
	cd demo && ../$(BIN)/qdata generate --kernel m3 --n 100000 --validation 5000
	cd demo && ../$(BIN)/qdata plot store/m3.zarr
	cd demo && ../$(BIN)/qtrain eigen --data store/m3.zarr --model mlp --updates 4000 --evaluate-every 500
	cd demo && ../$(BIN)/qtrain evaluate runs/m3-mlp hamiltonian-m3 --data store/m3.zarr --figure levels.png
	@echo "figures: demo/m3-samples.png demo/levels.png demo/runs/m3-mlp/figures/learning.png"

# An OpenSSH server for the tests of sharing and a browser for those of the explorer, where apt can bring them;
# without them they are skipped.
servers:
	@test -x /usr/sbin/sshd || ! command -v apt-get >/dev/null || \
	  { $(APT) install $(SSHD) || { $(APT) update && $(APT) install $(SSHD); }; } >/dev/null 2>&1 || \
	  echo "no OpenSSH server could be installed: its tests are skipped"
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || \
	  { $(APT) install $(CHROMIUM) || { $(APT) update && $(APT) install $(CHROMIUM); }; } >/dev/null 2>&1 || \
	  echo "no chromium could be installed: its tests are skipped"

# The fast tier: what every change must pass.
test: $(STAMP) lint docs
	$(PYTEST) -m "not slow"

# The slow tier and nothing else: kills, clusters, servers, whole papers, the tutorial.
test-all: $(STAMP) servers
	$(PYTEST) -m slow

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/python docs/make_cli.py --check
	$(BIN)/sphinx-build -W --keep-going -q -n -b html docs docs/_build/html

# Name, version and licence of every distribution installed.
licences: $(STAMP)
	@$(BIN)/python locks/licences.py

# New locks, after a change of pyproject.toml or constraints.txt; needs uv. Torch is not in them (see above),
# nor what only its build for GPUs needs. uv keeps what a lock has where it may.
OF_GPUS := triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
  cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
locks:
	for python in 3.11.7 3.12 3.13; do \
	  echo "setuptools>=77" | uv pip compile pyproject.toml - --extra dev --extra docs -c constraints.txt \
	    --quiet --generate-hashes --no-annotate --custom-compile-command 'make locks' \
	    $(addprefix --no-emit-package ,torch $(OF_GPUS)) --python-version $$python \
	    --python-platform x86_64-manylinux_2_28 -o locks/cpu-$${python%.7}.txt || exit 1; \
	done

bench: $(STAMP)
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/solvers.py
	$(BIN)/python benchmarks/scaling.py --figure docs/scaling.png
	$(BIN)/python benchmarks/stream.py
	$(BIN)/python benchmarks/stream.py --batch 100
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/step.py --updates 80
	$(BIN)/python benchmarks/eigensolver.py
	$(BIN)/python benchmarks/propagators.py
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/rollout.py
	$(BIN)/python benchmarks/gru_update.py
	$(BIN)/python benchmarks/derivatives.py
	$(BIN)/python benchmarks/foreign.py
	$(BIN)/python benchmarks/certify.py
	$(BIN)/python benchmarks/intervals.py
	$(BIN)/python benchmarks/propagate.py
	$(BIN)/python benchmarks/driven_emulators.py --window-updates 30000
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/page.py

clean:
	rm -rf $(VENV) demo docs/_build build dist *.egg-info
