# `make run` shows the whole pipeline on this machine, `make help` lists the targets.
# Each target first makes the environment .venv if it is missing or older than setup.py.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Where the system has its own certificates, uv trusts them as pip does: they may include a company's proxy.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= 1
endif

# One more than two cores: tests that wait for a schedule or an alarm leave their core to the others. They start hundreds
# of programs: without bytecode each of them would compile its sources again.
SUITE = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadgroup

.PHONY: help run test coverage test-unit test-aws test-second-emulator fault-matrix test-pipeline test-local-stack test-faults crash-points test-proof test-end-to-end browser pgbouncer java spark screenshots soak mutants stopwatch drill \
  values iceberg lake expressions bench bench-quick bench-readers lint style types security format audit clean
.DEFAULT_GOAL := run

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(READY)  ## the whole pipeline on this machine: databases, AWS, deployment, a day of changes, the check
	$(BIN)/python deploy.py local run

test: lint  ## style, types, security, and every test: what .ci/run runs
	$(SUITE)

coverage: $(READY)  ## every test, and which lines and branches none of them runs: at least 90 % are run
	$(SUITE) --cov --cov-report=term

test-unit: lint  ## style, types, and the tests that need no server: about a minute
	$(SUITE) tests/unit

test-aws: $(READY)  ## the toolkit against an emulated AWS (moto), with AWS's faults
	$(SUITE) tests/aws tests/deploy_faults

test-second-emulator: $(READY)  ## the same toolkit against moto's own server, over HTTP: a second emulator
	$(BIN)/python -m tests.second_emulator

fault-matrix: $(READY)  ## every writing call of a deploy with every fault, some 2,200 cells: minutes
	$(BIN)/python -m tests.deploy_faults.matrix

test-pipeline: $(READY)  ## extract, transform and load on a real PostgreSQL
	$(SUITE) tests/pipeline

test-local-stack: $(READY)  ## the local stack: PostgreSQL, the AWS emulator, the seed, the independent check
	$(SUITE) tests/local_stack

test-faults: $(READY)  ## functions killed between any two side effects; databases and S3 that fail
	$(SUITE) tests/faults

crash-points: $(READY)  ## extract by readers and load over several connections, killed after each of their side effects: minutes
	ALL_CRASH_POINTS=1 $(BIN)/python -m pytest -q -n 0 tests/faults/test_crash_points.py -k several

test-proof: $(READY)  ## 200 random histories compared with an independent oracle
	HISTORIES_PER_SEED=50 $(SUITE) tests/proof

test-end-to-end: $(READY)  ## the commands on the local stack, from deployment to the warehouse
	$(SUITE) tests/end_to_end

browser:  ## Chromium, in which the dashboard is tested: Debian's package, where this machine has none
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium; \
	  else echo 'There is no Chromium: tests of the dashboard are skipped. As root: apt-get install chromium' >&2; fi; }

pgbouncer:  ## a pooler, through which readers share a snapshot in a test: Debian's package, where this machine has none
	@command -v pgbouncer || ls /usr/sbin/pgbouncer 2> /dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends pgbouncer; \
	  else echo 'There is no pgbouncer: a test is skipped. As root: apt-get install pgbouncer' >&2; fi; }

java:  ## a Java runtime, in which Spark runs: Debian's package, where this machine has none
	@command -v java || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends openjdk-17-jre-headless; \
	  else echo 'There is no Java, which Spark needs. As root: apt-get install openjdk-17-jre-headless' >&2; exit 1; fi; }

# An environment for each Spark, with the pyarrow of the lock. pandas 3 is newer than both know.
spark: $(READY) java  ## transform on real Spark 3.5 and 4, in local mode, compared with Lambda's files: minutes
	@for version in 3.5 4; do \
	  [ -e $(VENV)/spark-$$version/.ready ] || { \
	    $(PYTHON) -m venv $(VENV)/spark-$$version && $(BIN)/uv pip install --quiet --python $(VENV)/spark-$$version/bin/python \
	      "pyspark~=$$version.0" boto3 'pandas<3' \
	      "$$(sed -n 's/^\(pyarrow==[0-9.]*\).*/\1/p' config/requirements.lock)" && touch $(VENV)/spark-$$version/.ready; } || exit 1; \
	done
	SPARK_PYTHONS="3.5=$(CURDIR)/$(VENV)/spark-3.5/bin/python 4=$(CURDIR)/$(VENV)/spark-4/bin/python" \
	  nice $(BIN)/python -m pytest -n 0 tests/pipeline/spark

screenshots: $(READY) browser  ## the pictures of the dashboard in docs/dashboard, of a stack of their own: minutes
	$(BIN)/python -m tests.screenshots

soak: $(READY)  ## new random histories: MINUTES=60 or HISTORIES=1000; DUCKDB=1 loads a DuckDB file beside PostgreSQL
	$(BIN)/python -m tests.proof.soak $(if $(DUCKDB),--duckdb) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(HISTORIES),--histories $(HISTORIES))

mutants: $(READY)  ## small changes of the code, one by one, that tests must catch: MODULE=lambdas/load, SAMPLE=200 SEED=1
	$(BIN)/python -m tests.mutants $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(OPERATOR),--operator $(OPERATOR)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(AGAIN),--again) \
	  $(if $(WRITE),--write)

stopwatch: $(READY)  ## install the wheel, then a database's URL to a compared warehouse, timed; asks the package index
	$(BIN)/python -m tests.stopwatch

drill: $(READY)  ## break each component of a running pipeline, repair it by the runbook, and time it: ROW="disk", WRITE=1
	$(BIN)/python -m tests.drill $(if $(ROW),"$(ROW)") $(if $(WRITE),--write)

values: $(READY)  ## every type to every type with hostile values, compared with PostgreSQL itself: CELLS=1000000
	$(BIN)/python -m tests.values $(if $(CELLS),--cells $(CELLS)) $(if $(SEED),--seed $(SEED))

iceberg: $(READY)  ## 200 random histories, after each of which the published Iceberg tables are compared with the warehouse
	ICEBERG_HISTORIES=200 $(BIN)/python -m pytest -q -n 0 tests/proof/test_published_tables.py

lake: $(READY)  ## 200 random histories, after each of which the views of the lake are compared with the warehouse
	LAKE_HISTORIES=200 $(BIN)/python -m pytest -q -n 0 tests/proof/test_lake_views.py

expressions: $(READY)  ## random SQL expressions over hostile rows, compared with PostgreSQL itself: COUNT=20000
	$(BIN)/python -m tests.expressions $(if $(COUNT),--expressions $(COUNT)) $(if $(SEED),--seed $(SEED))

bench: $(READY)  ## everything that docs/performance.md has, measured again: 25 minutes, 15 GB of disk, on a machine that does nothing else; SEED=directory: totesys' own data too
	$(BIN)/python -m benchmarks.everything --into docs/performance.md $(if $(SEED),--seed $(SEED))

bench-quick: $(READY)  ## the same with small sizes, written nowhere: whether everything can be measured here, minutes
	$(BIN)/python -m benchmarks.everything --quick $(if $(SEED),--seed $(SEED))

bench-readers: $(READY)  ## a hundred million rows under writes, by one reader and by eight: 20 GB of disk, twenty minutes
	$(BIN)/python -m benchmarks.reading_in_parallel --into docs/scale.md

lint: $(READY)  ## style, types and security, of the workflows too, without changing a file
	@$(MAKE) --no-print-directory --jobs=2 types style security

style: $(READY)  ## the part of `make lint` that ruff does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## the part of `make lint` that mypy does
	$(BIN)/mypy lambda_script.py deploy.py lambda_toolkit tests/support benchmarks

security: $(READY)  ## the part of `make lint` that bandit does, and for the workflows zizmor
	$(BIN)/bandit -q -r lambda_script.py deploy.py lambda_toolkit lambdas -c pyproject.toml
	$(BIN)/zizmor --quiet --offline --no-progress --config .github/zizmor.yml .github/workflows
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows \
	  .github/workflows/audit.yml .github/workflows/deploy.yml .github/workflows/test.yml

format: $(READY)  ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

audit: $(READY)  ## known vulnerabilities in what is installed; asks the package index, so not part of `make test`
	$(BIN)/uv pip freeze --quiet --python $(BIN)/python --exclude-editable > $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r config/requirements.lock

$(READY): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing the requirements into $(VENV)'
	@$(BIN)/python -m pip install --quiet --upgrade pip uv \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]' \
	  || { echo 'The environment $(VENV) could not be installed; see the errors above. Packages come from the index that pip is set to use: check the network or its proxy, and repeat the command.' >&2; exit 1; }
	@touch $(READY)

clean:  ## stop the local stack; remove its data, .venv and build products
	-[ -x $(BIN)/python ] && $(BIN)/python deploy.py local down --wipe
	rm -rf $(VENV) .local build dist *.egg-info
