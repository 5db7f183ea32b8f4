# What there is to do; `just` alone lists it.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Whatever the machine says (images often forbid it): without bytecode each process compiles its libraries anew, three seconds.
export PYTHONDONTWRITEBYTECODE := ""

_default:
    @just --list

# Run one spec, for example `just run specs/caiso_lmp.yaml --sim`.
run *arguments:
    uv run aurum-etl run {{ arguments }}

# Format the code.
format:
    uv run --group dev ruff format .
    uv run --group dev ruff check --fix .

# Lint, types, import layers and the quick tests.
check: lint
    uv run --group dev pytest -q -x -n 2 tests/adapters --ignore-glob='*_requests.py' tests/promises/test_contract_forms.py tests/promises/test_the_tree.py tests/test_{window,chunk,decode,normalize,validate,spec,archive}.py

# Format, lint, types and import layers, looked at and not changed.
lint:
    uv run --group dev ruff format --check .
    uv run --group dev ruff check .
    uv run --group dev --group bench mypy
    uv run --group dev lint-imports

# All tests: more at a time than two cores have room for, since many wait for a server to come or for a kill; who is through
# takes of what others have left.
test *arguments:
    uv run --group dev pytest -q -n 5 --dist worksteal {{ arguments }}

# Tests against real servers, all of them demanded; AURUM_TEST_TIMESCALE names a TimescaleDB to use.
integration *arguments:
    AURUM_TEST_DEMAND=1 uv run --group dev pytest -q -n 2 tests/services tests/sinks tests/promises/test_every_sink.py tests/test_drain.py tests/test_health.py {{ arguments }}

# One recent day of each dataset (or of those named) from the real ISOs, within their limits; answers go to the archive.
live *datasets:
    uv run --group dev python -m tests.live {{ datasets }}

# Fetch what the servers of the tests are made of.
servers:
    uv run --group dev python -m tests.services --demand

# Two simulated months of six ISOs under a weather of faults, or `--days N --seed N --share X`; tells what happened.
fire *arguments:
    uv run --group dev python -m tests.fire {{ arguments }}

# Measure against the rivals.
bench *arguments:
    uv run --group bench python -m benchmarks.bench_caiso_day {{ arguments }}

# The same for the largest dataset of each of the other ISOs, or of those named.
bench-isos *arguments:
    uv run --group bench python -m benchmarks.bench_isos {{ arguments }}

# Measure the stores against what their servers can do.
bench-stores *arguments:
    uv run --group dev --group bench python -m benchmarks.bench_stores {{ arguments }}

# A year as one backfill: whether a chunk costs the same after many.
bench-backfill *arguments:
    uv run --group dev python -m benchmarks.bench_backfill {{ arguments }}

# What status, plan and gaps take with 100,000 receipts on record.
bench-records *arguments:
    uv run --group dev python -m benchmarks.bench_records {{ arguments }}

# Measure workers of a Dask cluster against each other and against threads.
bench-workers *arguments:
    uv run --group dev python -m benchmarks.bench_workers {{ arguments }}

# Seconds from clone to first row.
bench-newcomer:
    uv run python -m benchmarks.bench_newcomer

# Write a dataset's golden file anew; explain the change in the commit.
golden dataset:
    uv run --group dev python -c "from tests.promises.test_the_tree import ROOT, golden; (ROOT / 'tests/golden/{{ dataset }}.csv').write_text(golden('{{ dataset }}'))"

# Write the schema that specs refer to.
schema:
    uv run aurum-etl schema > specs/spec.schema.json

# Pin the newest versions, everywhere that something is pinned; with `--keep` give a version to what is new alone.
pin *arguments:
    PYTHONPATH=.ci uv run --no-project --python '>=3.11' python -m supply.pin {{ arguments }}

# Whether all pins agree and have hashes; leaves uv.lock with nothing but pinned files, so that `uv run` installs no others.
locked:
    uv lock --quiet
    PYTHONPATH=.ci uv run --no-project --python '>=3.11' python -m supply.locked

# Known vulnerabilities, yanked files, ages and licenses of exactly what is pinned; tells whom it could not ask.
audit:
    PYTHONPATH=.ci uv run --group dev --group bench --group ci python -m supply.audit

# Bill of materials (CycloneDX) of what runs, also with extras: `just sbom --extra dask`.
sbom *arguments:
    mkdir -p dist
    PYTHONPATH=.ci uv run --group dev python -m supply.sbom {{ arguments }} > dist/aurum-etl.cdx.json

# Build the wheel: the same twice, nothing but the package, and tried in an environment of checked files.
wheel *arguments:
    PYTHONPATH=.ci uv run --group dev python -m supply.wheel {{ arguments }}
