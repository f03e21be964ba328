#!/usr/bin/env bash
# Builds the images of which relays are run in containers: gauntlet/NAME from ci/images/NAME/Dockerfile.
#   ci/images.sh                 every relay of ci/images
#   ci/images.sh postfix exim    these
#   ci/images.sh --again [NAME…] also where nothing has changed: with the packages of today
# Their base is debian:bookworm-slim: the one that is here, or that docker can pull, or that ci/base-image.sh makes.
# Needs docker. Exit codes: 0 all asked for are there; 1 one could not be built; 2 a mistake in what was asked.
set -euo pipefail
cd "$(dirname "$0")/.."
base=debian:bookworm-slim

say() { printf 'images: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

again=()
names=()
for argument in "$@"; do
    case $argument in
        --again) again=(--no-cache) ;;
        -*) say "there is no option $argument (the head of $0 says which there are)"; exit 2 ;;
        *) [ -f "ci/images/$argument/Dockerfile" ] || { say "there is no ci/images/$argument/Dockerfile"; exit 2; }
           names+=("$argument") ;;
    esac
done
[ ${#names[@]} -gt 0 ] || for file in ci/images/*/Dockerfile; do names+=("$(basename "$(dirname "$file")")"); done

command -v docker >/dev/null || fail "there is no docker on this machine"
why=$(docker version 2>&1 >/dev/null) || fail "docker does not answer: $(head -n 1 <<<"$why")"
if ! docker image inspect "$base" >/dev/null 2>&1; then
    timeout 120 docker pull -q "$base" >/dev/null 2>&1 || { say "no registry gives $base"; ci/base-image.sh; }
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for name in "${names[@]}"; do
    began=$SECONDS
    # On the host's network: apt then reaches what this machine reaches. A layer that is here already costs nothing.
    docker build "${again[@]}" --network host --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
        --label org.gauntlet.relay="$name" --tag "gauntlet/$name" "ci/images/$name" >"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; fail "$name: docker build failed"; }
    say "gauntlet/$name ($((SECONDS - began)) s)"
done
