#!/usr/bin/env bash
# Makes the image debian:bookworm-slim from Debian's packages, where no image registry can be reached. Where the image is
# here already nothing is done.
#   ci/base-image.sh            make it, if it is not here
#   ci/base-image.sh --again    make it in any case, with the packages of today
# The packages come from where this machine's apt gets Debian 12 from, or from mmdebstrap's default mirror; the image's own
# apt then goes there as well. Needs root (its files belong to many users), mmdebstrap, and docker.
# Exit codes: 0 it is here; 1 it could not be made; 2 a mistake in what was asked.
set -euo pipefail
suite=bookworm
image=debian:$suite-slim
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'base image: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

case ${1-} in
    '') ! docker image inspect "$image" >/dev/null 2>&1 || { say "$image is here"; exit 0; } ;;
    --again) ;;
    *) say "there is no option $1 (the head of $0 says which there are)"; exit 2 ;;
esac
command -v docker >/dev/null || fail "there is no docker on this machine"
why=$(docker version 2>&1 >/dev/null) || fail "docker does not answer: $(head -n 1 <<<"$why")"
[ "$(id -u)" = 0 ] || fail "this needs root: the image's files belong to many users"
command -v mmdebstrap >/dev/null || fail "this needs mmdebstrap: apt-get install mmdebstrap debian-archive-keyring"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Where this machine's apt gets the suite from, one source a line; nothing, where it has no such source.
# shellcheck disable=SC2016  # apt fills these in
apt-get indextargets --format '$(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
    sed -nE "s/^$suite(-[^ ]*)? (deb )/\2/p" | sort -u >"$work/sources.list"
# How it reaches them: proxies, timeouts, checks.
apt-config dump | sed -nE '/^Acquire::(https?|ftp|ForceIPv[46]|Retries|Queue-Mode|Check-[A-Za-z-]*|Max-[A-Za-z]*)(::| )/p' >"$work/apt.conf"
printf 'Acquire::Languages "none";\n' >>"$work/apt.conf"
# As the image of that name is: no service is started by a package, and no manuals.
printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
chmod 755 "$work/policy-rc.d"
printf 'path-exclude /usr/share/%s/*\n' doc man info locale groff lintian linda >"$work/slim"
printf 'path-include /usr/share/doc/*/copyright\n' >>"$work/slim"

say "making $image from packages"
if [ -s "$work/sources.list" ]; then from=("$work/sources.list"); else from=(); fi
mmdebstrap --quiet --mode=root --variant=apt --aptopt="$work/apt.conf" --dpkgopt="$work/slim" \
    --customize-hook="copy-in $work/policy-rc.d /usr/sbin" \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
    "$suite" "$work/base.tar" "${from[@]}" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; fail "mmdebstrap failed"; }
docker import --change 'CMD ["bash"]' "$work/base.tar" "$image" >/dev/null
say "$image is here"
