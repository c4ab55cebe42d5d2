PYTHON ?= python3
BIN := .venv/bin
DATE := 2026-11-15
ADVISORIES := pypi
export RELATED_PINS_HOME ?= demo/home

.PHONY: demo test lint audit kill bench calibration report clean

demo: demo/sample/pins.parquet  ## a simulated sample through the whole daily job
	$(BIN)/related-pins daily --source demo/sample --date $(DATE)

demo/sample/pins.parquet: | .venv/runtime
	$(BIN)/related-pins sample demo/sample

report: .venv/runtime  ## the demo's report again, from its database
	$(BIN)/related-pins report --date $(DATE)

test: .venv/dev  ## the whole test suite
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

lint: .venv/dev  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: .venv/dev  ## known vulnerabilities of the pinned packages; asks an advisory service
	@$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict \
		--progress-spinner off $(if $(filter pypi,$(ADVISORIES)),,--vulnerability-service osv \
		--osv-url $(ADVISORIES)) || { echo "Not clean, or not audited: a vulnerability is named above," \
		"or the advisory service cannot be reached from here." >&2; exit 1; }

kill: .venv/dev  ## the daily job killed 5 times in each of its steps, and what is left compared
	$(BIN)/python -m tests.kill_harness --each 5

bench: .venv/dev  ## speed, as ratios against what one would otherwise write
	for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

calibration: .venv/dev  ## the harness against thousands of worlds with known truth
	OMP_NUM_THREADS=1 $(BIN)/python -m experiments.proof.calibration --write docs/calibration.md

clean:  ## everything that make has made
	rm -rf .venv demo build dist *.egg-info

.venv/pip:
	$(PYTHON) -m venv .venv
	touch $@

.venv/runtime: .venv/pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/runtime
