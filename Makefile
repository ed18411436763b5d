# The project's commands. `make demo` and `make test` do all their set-up themselves.
.PHONY: help setup demo test lint docs proof bench clean
.DEFAULT_GOAL := help
BIN := .venv/bin
# Hundreds of short processes run here: let them keep the bytecode of our own modules.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: ## Install what is missing: system packages (as root), uv, the locked environment
	@bash tools/setup.sh

demo: setup ## The main job on private sandboxes: move the data, prove it; move the stores, and bring them back
	@$(BIN)/membershift demo --cache .sandbox-cache

test: setup lint ## Lint, types, layers, documentation, and every test that is not a slow proof
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tools.reference --check

docs: setup ## Write docs/reference.md from the commands
	@$(BIN)/python -m tools.reference

proof: ## The slow proofs: kills at 50 random points, 1,000 planted differences, all sizes; and deduplication on Spark
	@bash tools/setup.sh spark
	@$(BIN)/pytest -q -m proof --timeout=3600
	@$(BIN)/pytest -q tests/integration/dedupe/test_spark.py

bench: setup ## Measure the move against raw reads and writes and against its peers
	@$(BIN)/python -m bench.move

clean: ## Remove the environment and caches, never data
	rm -rf .venv .tools .sandbox-cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
