# Two commands do everything:
#   make run    the whole pipeline on this machine: databases, AWS, deployment, a business day, and the check
#   make test   style, types, security and every test
# Both make the environment .venv first, when it is missing or setup.py is newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Where the system has certificates of its own, uv shall trust them as pip does: they may hold a company's proxy.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= 1
endif

.PHONY: run test soak lint audit clean
.DEFAULT_GOAL := run

run: $(READY)
	$(BIN)/python deploy.py local run

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=term

# Random histories for as long as asked, MINUTES=10 or HISTORIES=1000: see docs/guarantees.md.
soak: $(READY)
	$(BIN)/python -m tests.proof.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(HISTORIES),--histories $(HISTORIES))

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lambda_script.py deploy.py lambda_toolkit
	$(BIN)/bandit -q -r lambda_script.py deploy.py lambda_toolkit -c pyproject.toml

# Known vulnerabilities in what is installed. It asks the package index, so it is not part of `make test`.
audit: $(READY)
	$(BIN)/pip-audit --skip-editable

$(READY): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing what it needs into $(VENV), once'
	@$(BIN)/python -m pip install --quiet --upgrade pip uv \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]' \
	  || { echo 'The environment $(VENV) could not be installed; why stands above. Packages come from the index that pip is set to use: check the network or its proxy, and repeat the command.' >&2; exit 1; }
	@touch $(READY)

clean:
	-[ -x $(BIN)/python ] && $(BIN)/python deploy.py local down --wipe
	rm -rf $(VENV) .local build dist *.egg-info
