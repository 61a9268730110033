#!/usr/bin/env bash
# Makes a virtual environment; installs python3-venv first where this Python came without ensurepip (Debian).
# usage: PYTHON=python3 venv.sh DIRECTORY
set -euo pipefail
python=${PYTHON:-python3}

fail() {
    printf 'make: %s\n' "$*" >&2
    exit 1
}

debian_install() {
    [ "$(id -u)" = 0 ] || fail "root is needed to install $*; or run: sudo apt-get install $*"
    printf 'installing %s\n' "$*"
    apt-get -o DPkg::Lock::Timeout=120 -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -qq install -y --no-install-recommends "$@" >/dev/null
}

if ! command -v "$python" >/dev/null; then
    [ "$python" = python3 ] || fail "no $python on this machine; give another with PYTHON="
    debian_install python3 python3-venv
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    fail "$("$python" --version) is too old, 3.11 or later is needed; give another with PYTHON="
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    debian_install python3-venv
fi
"$python" -m venv "$1"
