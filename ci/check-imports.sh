#!/usr/bin/env bash
# Imports go one way only. Each room of the harness names the rooms that it may use; anything else is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A may=(
    [yaml]=""
    [scenario]="yaml mock_servers"
    [record]="mock_servers"
    [relay]="yaml record reference_relay mock_servers lab_init"
    [lab]="scenario record relay mock_servers reference_relay lab_init"
    [run]="lab scenario record relay mock_servers"
    [verdict]="yaml scenario record mock_servers"
    [render]="record mock_servers"
    [report]="verdict render record"
    [explain]="scenario mock_servers"
    [doctor]="relay lab_init"
    [collection]="scenario relay verdict"
    [testing]="collection scenario record relay run verdict render report lab_init"
    [cli]="collection doctor explain lab scenario record relay run verdict render report mock_servers"
)
pure="explain record verdict render report scenario yaml"
status=0
complain() { printf 'imports: %s\n' "$*" >&2; status=1; }

for room in "${!may[@]}"; do
    files=$(find "harness/src/$room" "harness/src/$room.rs" -name '*.rs' 2>/dev/null || true)
    [ -n "$files" ] || { complain "the room $room is gone; mend this script"; continue; }
    # crate::room, or super chains are inside the room; our other packages by their names.
    used=$({ grep -hoE '(crate::[a-z_]+|\b(mock_servers|reference_relay|lab_init))\b' $files || true; } | sed 's/crate:://' | sort -u)
    for other in $used; do
        [ "$other" = "$room" ] && continue
        case " ${may[$room]} " in
            *" $other "*) ;;
            *) complain "$room may not use $other:"; grep -nE "(crate::)?\b$other\b" $files | head -3 >&2 ;;
        esac
    done
done
for room in $pure; do
    if grep -rnE '\btokio\b|std::net::(Tcp|Udp)' "harness/src/$room" >&2; then
        complain "$room opens no sockets and uses no tokio"
    fi
done
for package in mock-servers harness/reference-relay harness/virtual-clock; do
    if grep -nE '^(gauntlet|mock-servers|reference-relay|lab-init|virtual-clock)\b' "$package/Cargo.toml" >&2; then
        complain "$package imports nothing of ours"
    fi
done
# lab-init drives the clock, and knows nothing else of ours.
if grep -nE '^(gauntlet|mock-servers|reference-relay)\b' harness/lab-init/Cargo.toml >&2; then
    complain "harness/lab-init imports nothing of ours but virtual-clock"
fi
if git ls-files | grep -E '/' | cut -d/ -f1 | sort -u | grep -vxE 'harness|scenarios|mock-servers|snapshots|ci|\..*' >&2; then
    complain "the top level is fixed"
fi
[ $status -eq 0 ] && echo "imports: every room uses only what it may"
exit $status
