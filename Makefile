# Two commands on a fresh machine with Python 3.11+, pip and make:
#   make demo   the main job, results in demo/
#   make test   all checks and tests
PYTHON ?= python3
BIN := .venv/bin

# One BLAS thread per process: the work is spread over processes.
export OPENBLAS_NUM_THREADS := 1
export MPLBACKEND := Agg

.PHONY: demo test lint check notebooks docs benchmarks clean

demo: .venv/.installed
	$(BIN)/zerohm demo --out demo

test: lint check notebooks docs

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2

notebooks: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 --nbmake --nbmake-timeout=300 notebooks

docs: .venv/.installed-dev
	rm -rf docs/api/generated
	$(BIN)/sphinx-build -W --keep-going -n -q -j 2 -c docs . build/site
	$(BIN)/python docs/check_site.py build/site

benchmarks: .venv/.installed-dev
	$(BIN)/python benchmarks/crossbar_read.py
	$(BIN)/python benchmarks/transfer_matrix.py
	$(BIN)/python benchmarks/crossbar_solvers.py
	$(BIN)/python benchmarks/training_with_wires.py
	$(BIN)/python benchmarks/noisezo_accuracy.py
	$(BIN)/python benchmarks/cells_in_time.py
	$(BIN)/python benchmarks/pulse_fit.py
	$(BIN)/python benchmarks/fit_levy2024.py
	$(BIN)/python benchmarks/photonic_propagation.py
	$(BIN)/python benchmarks/photonic_decomposition.py
	$(BIN)/python benchmarks/photonic_training.py
	$(BIN)/python benchmarks/integer_forward.py
	$(BIN)/python benchmarks/quantized_training.py
	$(BIN)/python benchmarks/ffzero_accuracy.py
	$(BIN)/python benchmarks/ffzero_figures.py
	$(BIN)/python benchmarks/ffzero_convolutional.py
	$(BIN)/python benchmarks/ffzero_photonic.py
	$(BIN)/python benchmarks/sweep_overhead.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/node_noise_speed.py
	$(BIN)/python benchmarks/node_noise_accuracy.py
	$(BIN)/python benchmarks/noisezo_control.py
	$(BIN)/python benchmarks/energy_comparison.py
	$(BIN)/python benchmarks/noise_as_resource.py
	$(BIN)/python benchmarks/noise_in_time.py estimates
	$(BIN)/python benchmarks/noise_in_time.py accuracy
	$(BIN)/python benchmarks/training_faults.py
	$(BIN)/python benchmarks/fuzz.py

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
