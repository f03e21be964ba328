#!/usr/bin/env bash
# The README's main command works as it is written there, and what it prints has the shape that the README shows.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -qx 'cargo run -- run' README.md || { echo "readme: the main command is not in README.md as it stands" >&2; exit 1; }
grep -qx 'cargo test' README.md || { echo "readme: the test command is not in README.md as it stands" >&2; exit 1; }
printed=$(cargo run --quiet --locked -- run)
tail -n 3 <<<"$printed"
# Every scenario file has its line, and each of them passes.
for file in $(cd scenarios && find . -name '*.yaml' ! -name 'known-failures.yaml' | sed 's|^\./||; s|\.yaml$||'); do
    # Of a template, its cases.
    grep -qE "^ +pass +$file(/[^ ]+)?( |$)" <<<"$printed" || { echo "readme: $file does not pass" >&2; exit 1; }
done
# Words that the README teaches are words of the command.
for word in $(grep -oE -- '--[a-z-]+' README.md | sort -u); do
    case $word in --relay | --story | --strict | --jobs | --case | --all | --matrix | --only | --report) cargo run --quiet --locked -- run --help | grep -q -- "$word" ;; esac
done
echo "readme: both commands stand, every scenario passes on the reference relay"
