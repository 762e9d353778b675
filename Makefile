# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -n)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -y -qq
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
CPU_WHEELS := https://download.pytorch.org/whl/cpu
SSHD := --no-install-recommends openssh-server
# Two processes share the test files, in the order of tests/conftest.py, with one thread of linear algebra each.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PYTEST := $(THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
.PHONY: demo test test-all lint docs bench clean servers

# Where there is no GPU torch is the build for processors, which is a tenth of the other.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@command -v nvidia-smi >/dev/null || \
	  $(PIP) --no-deps --retries 0 --timeout 30 --index-url $(CPU_WHEELS) torch 2>/dev/null || \
	  echo "no answer from $(CPU_WHEELS): torch comes from the usual index"
	$(PIP) -e ".[dev,docs]"
	touch $(STAMP)

# A data set, a short training, and how good it is beside a trained model and the exact solvers: in demo/.
demo: $(STAMP)
	rm -rf demo && mkdir demo
	cd demo && ../$(BIN)/qdata generate --kernel m3 --n 100000 --validation 5000
	cd demo && ../$(BIN)/qdata plot store/m3.zarr
	cd demo && ../$(BIN)/qtrain eigen --data store/m3.zarr --model mlp --updates 4000 --evaluate-every 500
	cd demo && ../$(BIN)/qtrain evaluate runs/m3-mlp hamiltonian-m3 --data store/m3.zarr --figure levels.png
	@echo "figures: demo/m3-samples.png demo/levels.png demo/runs/m3-mlp/figures/learning.png"

# An OpenSSH server for the tests of sharing, where apt can bring one; without it they are skipped.
servers:
	@test -x /usr/sbin/sshd || ! command -v apt-get >/dev/null || \
	  { $(APT) install $(SSHD) || { $(APT) update && $(APT) install $(SSHD); }; } >/dev/null 2>&1 || \
	  echo "no OpenSSH server could be installed: its tests are skipped"

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

bench: $(STAMP)
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/stream.py
	$(BIN)/python benchmarks/stream.py --batch 100
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/step.py --updates 80
	$(BIN)/python benchmarks/propagators.py
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/rollout.py
	$(BIN)/python benchmarks/gru_update.py
	$(BIN)/python benchmarks/derivatives.py
	$(BIN)/python benchmarks/foreign.py
	$(BIN)/python benchmarks/page.py

clean:
	rm -rf $(VENV) demo docs/_build build dist *.egg-info
