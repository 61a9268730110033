#!/usr/bin/env bash
# All checks that read the code without running it. Runs every one of them, also after a failure.
set -u
bin=.venv/bin
status=0
"$bin/ruff" check --quiet . || status=1
"$bin/ruff" format --check --quiet . || status=1
"$bin/mypy" --no-error-summary app gossip wsgi.py || status=1
"$bin/lint-imports" --no-logo --cache-dir .import_linter_cache || status=1
exit $status
