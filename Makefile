# make demo · make test · make bench · make lint          (each sets up what it needs first)
.PHONY: setup demo test test-long bench lint clean

PYTHON := .venv/bin/python
# In the long run only: measured, it makes the tests on the in-memory hypervisor take nearly twice their time.
COVERAGE := --cov=orchestrator --cov-report=term:skip-covered

# One process for what needs a box, which waits most of the time, and one for the rest.
PARALLEL := -n 2

setup:  ## system packages and .venv; seconds when nothing is missing
	@scripts/setup

demo: setup  ## the main job, on a real guest
	@$(PYTHON) -m tests.demo

test: setup
	@$(PYTHON) -m pytest -m "not long" $(PARALLEL)

test-long: setup  ## slower and wider
	@$(PYTHON) -m pytest $(COVERAGE) $(PARALLEL)

bench: setup
	@$(PYTHON) -m tools.bench

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
