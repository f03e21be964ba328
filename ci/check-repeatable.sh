#!/usr/bin/env bash
# The same scenario gives the same bytes, on a loaded machine too: N runs of everything, two at a time, compared.
#   ci/check-repeatable.sh [N, by default 20 [RELAY…, by default all that are embedded]]
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-20}
[ $# -le 1 ] || named=("${@:2}")

cargo build --quiet --locked
gauntlet=target/debug/gauntlet
[ -n "${CARGO_TARGET_DIR:-}" ] && gauntlet=$CARGO_TARGET_DIR/debug/gauntlet
relays=$({ [ -z "${named:-}" ] && "$gauntlet" relays --embedded || printf '%s\n' "${named[@]}"; } | awk '{printf "%s--relay %s", sep, $1; sep=" "}')
out=$(mktemp -d)
load=
trap 'rm -rf "$out"; [ -z "$load" ] || kill "$load" 2>/dev/null || true' EXIT

# Breaches of the vintage relays are what is expected here: only the bytes count, and that each run was judged.
once() {
    local code=0
    # shellcheck disable=SC2086
    "$gauntlet" run $relays --story --jobs 2 >"$out/$1" 2>"$out/$1.err" || code=$?
    [ "$code" -le 1 ] || { cat "$out/$1.err" >&2; echo "repeatable: run $1 ended with $code" >&2; return 1; }
    # What the machine took for them is no part of what happened.
    sed -i -e '/^seconds  /d' -e '/^time: /d' -e '$ s/ ([0-9.]* s)$//' "$out/$1"
}

( while :; do :; done ) &
load=$!
for ((n = 1; n <= count; n += 2)); do
    once "$n" & first=$!
    once "$((n + 1))" & second=$!
    wait "$first"
    wait "$second"
    for run in "$n" "$((n + 1))"; do
        cmp "$out/1" "$out/$run" || { diff "$out/1" "$out/$run" | head -20; exit 1; }
        [ "$run" = 1 ] || rm -f "$out/$run" "$out/$run.err"
    done
done
echo "repeatable: $count runs of $(wc -l <"$out/1") lines ($relays), two at a time beside a busy loop: no difference"
