#!/usr/bin/env bash
# Runs a command between two lines that say what it is, how it ended and how long it took.
# usage: section.sh NAME COMMAND...
name=$1
shift
printf '\n=== %s\n' "$name"
"$@"
status=$?
printf '=== %s: %s in %d s\n' "$name" "$([ $status = 0 ] && echo passed || echo "FAILED (exit $status)")" "$SECONDS"
exit $status
