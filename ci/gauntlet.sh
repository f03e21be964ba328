#!/usr/bin/env bash
# What a mail project's CI calls: runs the scenarios against relays, and fails when one violates.
#   ci/gauntlet.sh [RELAY…]                 by default: reference
#   SCENARIOS=path/to/more ci/gauntlet.sh   other scenarios than this repository's
# Exit codes are those of `gauntlet run`: 0 nothing held against any relay, 1 a breach, 2 a mistake in what was asked, 3 not judged.
set -euo pipefail
cd "$(dirname "$0")/.."

relays=()
for relay in "${@:-reference}"; do relays+=(--relay "$relay"); done
exec cargo run --quiet --locked -- run "${relays[@]}" "${SCENARIOS:-scenarios}"
