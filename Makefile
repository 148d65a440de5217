# Every target does its own set-up: nothing is needed but Python 3.11 or newer, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin
# Without compiling ahead: Python compiles what it imports, a small part of what is installed.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
SHOP ?= shop
HOST ?= 127.0.0.1
PORT ?= 8000

.PHONY: install run test coverage lint lint-deploy bench bench-serving bench-quality bench-scale bench-tuning bench-calibration bench-evaluation bench-exploration bench-experiments bench-replay bench-email bench-metrics bench-coverage clean
.DELETE_ON_ERROR:

# What Python has compiled is kept, wherever an environment says otherwise: tests start hundreds of processes, and each
# would compile its libraries anew.
export PYTHONDONTWRITEBYTECODE =

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing Bookmatch into .venv"
	@$(PIP) --editable .
	@touch $@

.venv/.installed-test .venv/.installed-lint .venv/.installed-bench .venv/.installed-deploy: .venv/.installed-%: .venv/.installed
	@$(PIP) --editable '.[$*]'
	@touch $@

# One sample shop, built once: simulated, imported and trained, each step only when its result is missing.
run: .venv/.installed
	@PYTHON=$(PYTHON) SHOP=$(SHOP) sh scripts/sample-shop.sh
	@$(BIN)/bookmatch serve --home $(SHOP) --host $(HOST) --port $(PORT) --hints

test: .venv/.installed-test
	@sh scripts/redis-for-tests.sh
	@sh scripts/browser-for-tests.sh
	$(BIN)/pytest --numprocesses=2 --dist=worksteal

# The same with what it covers; counting lines takes about as long again.
coverage: .venv/.installed-test
	@sh scripts/redis-for-tests.sh
	@sh scripts/browser-for-tests.sh
	$(BIN)/pytest --numprocesses=2 --dist=worksteal --cov --cov-report=term:skip-covered

lint: .venv/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every file in deploy/, with the tools that are here; TOOLS names folders of helm, promtool and the like.
lint-deploy: .venv/.installed-deploy
	@BIN=$(BIN) TOOLS=$(TOOLS) sh scripts/lint-deploy.sh

bench: .venv/.installed
	$(BIN)/python -m benchmarks

# Every real data set; FOLDER keeps the reports, and a stopped run goes on there; ONLY names some of the data sets.
bench-quality: .venv/.installed
	$(BIN)/python -m benchmarks.quality $(if $(FOLDER),--folder $(FOLDER)) $(if $(ONLY),--only $(ONLY))

# The reports of three real shops, to look at; FOLDER keeps stores and reports, ONLY names some of the shops.
bench-evaluation: .venv/.installed
	$(BIN)/python -m benchmarks.evaluation $(if $(FOLDER),--folder $(FOLDER)) $(if $(ONLY),--only $(ONLY))

# What an answer costs; FOLDER keeps the shop, ONLY names some of the rows.
bench-serving: .venv/.installed
	$(BIN)/python -m benchmarks.serving $(if $(FOLDER),--folder $(FOLDER)) $(if $(ONLY),--only $(ONLY))

# Lists for a million customers as a campaign's plan, then rendering and sending; FOLDER keeps the shop.
bench-email: .venv/.installed-bench
	$(BIN)/python -m benchmarks.email $(if $(FOLDER),--folder $(FOLDER))
	$(BIN)/python -m benchmarks.email_delivery

# 10 and 100 million events; FOLDER keeps the files, and a stopped run goes on there.
bench-scale: .venv/.installed
	$(BIN)/python -m benchmarks.scale $(if $(FOLDER),--folder $(FOLDER))

bench-tuning: .venv/.installed
	$(BIN)/python -m benchmarks.tuning

# How often an experiment looked at daily is wrong, and how often it finds what is there.
bench-experiments: .venv/.installed
	$(BIN)/python -m benchmarks.experiments

# How often the intervals of replays hold the truth, in simulated shops where it is known.
bench-replay: .venv/.installed
	$(BIN)/python -m benchmarks.replay

# What every metric of every model costs on 70,591 customers, and the same metrics by ranx; FOLDER keeps the models.
bench-metrics: .venv/.installed-bench
	$(BIN)/python -m benchmarks.metrics $(if $(FOLDER),--folder $(FOLDER))

# How often an evaluation's intervals hold the truth, in 16,000 simulated worlds; writes into docs/evaluation.md.
bench-coverage: .venv/.installed
	$(BIN)/python -m benchmarks.coverage

# Relevance on real data, and its plots.
bench-calibration: .venv/.installed
	$(BIN)/python -m benchmarks.calibration

# New items in simulated shops, with exploration and without.
bench-exploration: .venv/.installed
	$(BIN)/python -m benchmarks.exploration

clean:
	rm -rf .venv build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
