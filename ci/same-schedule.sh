#!/bin/sh
# Runs scenarios that live on time again and again on a busy machine, and tells whether each run was the same run.
#
#   sudo -E ci/same-schedule.sh [-n TIMES] [-s] [RELAY…] [-- SCENARIO…]
#
# -s: each run with random numbers of its own (GAUNTLET_SEED=1, 2, …), which shows what a relay leaves to chance on purpose. Without
# relays: the four that come with the harness. Without scenarios: three queue scenarios. Beside it a loop keeps each processor
# busy. Of each relay and scenario it tells how many different schedules there were (`== schedule`: who was tried, warned and returned when),
# and how many different stories, to the last line of the log. Ends with 0 where all schedules were the same, 1 where one was not, 2 where
# something could not be run. GAUNTLET is the command, if it is not built here.

set -u
cd "$(dirname "$0")/.."

times=20
seeds=
while :; do
    case ${1:-} in
    -n) times=$2 && shift 2 ;;
    -s) seeds=1 && shift ;;
    *) break ;;
    esac
done
relays=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    relays="$relays $1"
    shift
done
[ "${1:-}" = -- ] && shift
[ $# -gt 0 ] || set -- scenarios/queue/expiry.yaml scenarios/queue/back-after-a-day.yaml scenarios/queue/restart-keeps-the-schedule.yaml
: "${relays:=postfix exim opensmtpd sendmail}"
gauntlet=${GAUNTLET:-}
if [ -z "$gauntlet" ]; then
    cargo build --quiet || exit 2
    gauntlet=${CARGO_TARGET_DIR:-target}/debug/gauntlet
fi

out=$(mktemp -d) || exit 2
loops=
trap 'kill $loops 2>/dev/null; rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
for _ in $(seq "$(nproc)"); do
    while :; do :; done &
    loops="$loops $!"
done

worst=0
for relay in $relays; do
    for scenario in "$@"; do
        name=$(basename "$scenario" .yaml)
        missing=0
        : >"$out/schedules"
        : >"$out/stories"
        for n in $(seq "$times"); do
            [ -z "$seeds" ] || export GAUNTLET_SEED="$n"
            "$gauntlet" run --relay "$relay" "$scenario" --story >"$out/$n" 2>"$out/said"
            if [ $? -gt 1 ] || ! grep -q '^== schedule' "$out/$n"; then
                echo "$relay $name, run $n: it has no schedule" >&2
                cat "$out/said" "$out/$n" >&2
                missing=$((missing + 1))
                continue
            fi
            # what the machine took is no part of the story
            sed '/^[0-9]* runs\{0,1\}: /d' "$out/$n" >"$out/story"
            sha256sum <"$out/story" >>"$out/stories"
            sed -n '/^== schedule/,/^$/p' "$out/story" | sha256sum >>"$out/schedules"
        done
        schedules=$(sort -u "$out/schedules" | wc -l)
        stories=$(sort -u "$out/stories" | wc -l)
        echo "$relay $name: $((times - missing)) runs, $schedules different schedules, $stories different stories"
        if [ "$missing" -gt 0 ]; then
            worst=2
        elif [ "$schedules" -ne 1 ] && [ "$worst" -eq 0 ]; then
            worst=1
        fi
    done
done
exit $worst
