#!/usr/bin/env bash
# Puts the real parts of the tests on this machine: Debian packages, and a containerd 2.x beside Debian's 1.6.
# Safe to run again, and quick when all is there. Leaves no service started, enabled or changed.
#
# RYKTE_CACHE                where the 2.x lies, default ~/.cache/rykte
# RYKTE_TEST_CONTAINERD16    a containerd 1.x binary to use in place of Debian's package
# RYKTE_TEST_CONTAINERD2     a containerd 2.x binary to use in place of the unpacked one
set -euo pipefail

packages=(docker-registry iproute2 iptables serf util-linux)
[ -n "${RYKTE_TEST_CONTAINERD16:-}" ] || packages+=(containerd)
suite=forky # the first Debian suite with a 2.x; its packages move, so nothing may depend on the exact version
cache=${RYKTE_CACHE:-$HOME/.cache/rykte}
current=$cache/containerd-2
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -o DPkg::Lock::Timeout=120 -qq)

temporary=()
trap 'rm -rf "${temporary[@]}"' EXIT

fail() {
    printf 'make setup: %s\n' "$*" >&2
    exit 1
}

missing_packages() {
    local name
    for name in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

# A machine without policy-rc.d starts the daemons of what it installs. Forbid that, and leave the machine as it was.
with_no_service_started() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        temporary+=("$policy")
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    elif "$policy" containerd start >/dev/null 2>&1; then
        fail "$policy lets packages start their services; move it aside, or install these yourself: $*"
    fi
    "$@"
}

# What was installed for the tests must not come up at the next boot either (docker-registry would take port 5000).
# The helper is the one that enabled them; it wants to be told which package it works for, and needs no systemd.
disable_services_of() {
    local package unit
    for package in "$@"; do
        for unit in $(dpkg -L "$package" | sed -n 's|^\(/usr\)\?/lib/systemd/system/\([^/]*\.service\)$|\2|p'); do
            DPKG_MAINTSCRIPT_PACKAGE=$package deb-systemd-helper disable "$unit"
        done
    done
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || fail "these packages are missing and only root can install them: ${missing[*]}"
    printf 'installing %s\n' "${missing[*]}"
    "${apt[@]}" update
    with_no_service_started "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
    disable_services_of "${missing[@]}"
}

# The address that this machine takes its Debian packages from; none is written down in this repository.
debian_address() {
    local deb822=/etc/apt/sources.list.d/debian.sources list=/etc/apt/sources.list
    { [ -e "$deb822" ] && awk '/^URIs:/ { print $2; exit }' "$deb822"; } ||
        { [ -e "$list" ] && awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }' "$list"; }
}

# A later suite's package, fetched with lists of its own and only unpacked: apt and dpkg of the machine know nothing of it.
unpack_containerd2() {
    [ -z "${RYKTE_TEST_CONTAINERD2:-}" ] || return 0
    [ ! -x "$current/usr/bin/containerd" ] || return 0
    local address work version
    address=$(debian_address)
    [ -n "$address" ] || fail "found no Debian address in /etc/apt; set RYKTE_TEST_CONTAINERD2 to a containerd 2.x binary"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/unpack.XXXXXX")
    temporary+=("$work")
    mkdir -p "$work/lists/partial" "$work/tree"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$address" "$suite" >"$work/sources.list"
    local own=(
        -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists"
        -o "Dir::Cache=$work" -o APT::Sandbox::User=root
        # a mirror that stands still is good enough for a test's tool; signatures are checked all the same
        -o Acquire::Check-Valid-Until=false)
    printf 'unpacking containerd of Debian %s\n' "$suite"
    "${apt[@]}" "${own[@]}" update
    (cd "$work" && "${apt[@]}" "${own[@]}" download containerd)
    version=$(dpkg-deb -f "$work"/containerd_*.deb Version)
    dpkg-deb -x "$work"/containerd_*.deb "$work/tree"
    rm -rf "$cache/containerd-2-$version"
    mv "$work/tree" "$cache/containerd-2-$version"
    ln -sfn "containerd-2-$version" "$current"
}

print_versions() {
    local binary
    for binary in "${RYKTE_TEST_CONTAINERD16:-/usr/bin/containerd}" "${RYKTE_TEST_CONTAINERD2:-$current/usr/bin/containerd}"; do
        [ -x "$binary" ] || fail "$binary is no program that can be run"
        printf '%s: %s\n' "$binary" "$("$binary" --version)"
    done
    dpkg-query -W -f '${Package} ${Version}\n' docker-registry serf
}

install_packages
unpack_containerd2
print_versions
