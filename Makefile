# Everything that `make test` checks can be run alone. `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin
# More than cores: most tests wait now and then. Whoever is done takes over from the others.
WORKERS ?= 3
PIP_COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
PYTEST := $(BIN)/python -m pytest --dist worksteal

# Each directory of tests can be run alone: `make unit`, `make contract`, …
SUITES := $(filter-out support fixtures kafka bench,$(patsubst tests/%/,%,$(wildcard tests/*/)))

# The first interpreter that is at least 3.11; 3.11 itself, which the locks are made for, where it is there.
FIND_PYTHON := for candidate in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo $$candidate; break; fi; done

.DEFAULT_GOAL := help
.PHONY: help demo kafka registry brokertests bench test proof soak lint types imports schemas documents format lock clean $(SUITES)

help: ## list what can be made
	@echo "make TARGET, one of:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "or the tests of one kind: $(sort $(SUITES))"

demo: $(VENV)/runtime.stamp ## a changing bank, a killed connector, and proof that nothing was lost (JOURNAL=kafka: on a real broker)
	@$(BIN)/python -m connector.cli.demo $(if $(JOURNAL),--journal $(JOURNAL))

kafka: $(VENV)/runtime.stamp ## a real Kafka broker on 127.0.0.1:9092 until Ctrl-C (needs Java and Maven)
	@$(BIN)/python -m connector.proving.broker $(if $(PORT),--port $(PORT))

registry: $(VENV)/runtime.stamp ## a real schema registry on a free loopback port until Ctrl-C (needs Java and Maven)
	@$(BIN)/python -m connector.proving.registry

brokertests: $(VENV)/dev.stamp ## the tests on a real Kafka broker
	@$(PYTEST) -n $(WORKERS) tests/kafka tests/contract/journal/test_kafka_contract.py

bench: $(VENV)/dev.stamp ## benchmarks, as ratios to raw loops over the same libraries (BENCH=--quick: for a look; BENCH=--help)
	@$(BIN)/python -m tests.bench $(BENCH)

test: lint types imports schemas ## every check but the long proofs; ends with pytest's closing line
	@$(PYTEST) -n $(WORKERS) -m "not proof and not soak"

proof: $(VENV)/dev.stamp ## the long proofs: many seeds
	@$(PYTEST) -n $(WORKERS) -m "proof and not soak"

soak: $(VENV)/dev.stamp ## an hour and more: many more kills, many more hostile lives (SEEDS=n of each)
	@ADVERSARY_SEEDS=$(or $(SEEDS),40) $(PYTEST) -n $(WORKERS) tests/crash/test_sigkill.py tests/adversary/test_machine.py tests/adversary/test_troubled_hour.py \
		-m "proof or soak"

lint: $(VENV)/dev.stamp ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## mypy, strict
	@$(BIN)/mypy

imports: $(VENV)/dev.stamp ## import-linter: the direction of dependencies
	@$(BIN)/lint-imports --no-cache

schemas: $(VENV)/runtime.stamp ## the schemas are compatible with every released version
	@$(BIN)/python -m connector.cli schemas check

documents: $(VENV)/dev.stamp ## write what is made from the code: docs/cli.md, docs/events.md, schemas/asyncapi.yaml, schemas/examples
	@$(BIN)/python -m tests.docs.write

$(SUITES): $(VENV)/dev.stamp
	@$(PYTEST) -n $(WORKERS) -m "not proof and not soak" tests/$@

format: $(VENV)/dev.stamp ## put the code into its format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(VENV)/dev.stamp ## resolve pyproject.toml anew into the two lock files
	@$(PIP_COMPILE) --upgrade --output-file requirements.lock pyproject.toml
	@$(PIP_COMPILE) --upgrade --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## remove what was made; never data/
	@rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made.stamp:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed, and none was found (tried python3.11, python3)." >&2; exit 1; fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { echo "$$python has no venv module: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@printf '#!%s\nimport sys\n\nsys.path.insert(0, "%s")\nfrom connector.cli.entry import main\n\nmain()\n' \
		"$(CURDIR)/$(BIN)/python" "$(CURDIR)" > $(BIN)/zindigi
	@chmod +x $(BIN)/zindigi
	@touch $@

$(VENV)/runtime.stamp: requirements.lock | $(VENV)/made.stamp
	@echo "installing what it runs on (hash-locked)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/runtime.stamp
	@echo "installing what it is tested with (hash-locked)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
