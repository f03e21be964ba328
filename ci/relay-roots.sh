#!/usr/bin/env bash
# Prepares the root file systems that real relays run in: Debian 12 and one relay's packages each, once, and keeps them.
#   ci/relay-roots.sh                     every relay of harness/relays
#   ci/relay-roots.sh postfix ./my.yaml   these: names of harness/relays, or adapter files
#   ci/relay-roots.sh --again [NAME…]     also where nothing has changed: with the packages of today
# A root is $GAUNTLET_ROOTS/NAME, by default ~/.cache/gauntlet/roots/NAME; its etc/gauntlet-root says what it was made from.
# The packages are those of the adapter's line `install: { debian: [...] }`. They come from where this machine's apt gets
# Debian 12 from, or from mmdebstrap's default mirror. Nothing is installed on this machine itself but mmdebstrap, where it
# is missing. Run by root, it makes roots for root's labs; by anybody else, for that user's: it needs subordinate ids then
# (subuid(5)), newuidmap and mmdebstrap. Exit codes: 0 all asked for are there; 1 one could not be made; 2 a mistake in what was asked.
set -euo pipefail
self=$(realpath "$0")
adapters=$(dirname "$self")/../harness/relays
roots=${GAUNTLET_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet/roots}
suite=bookworm
# What every relay's root has beyond Debian's essential packages and apt: the trust store.
base_packages=ca-certificates
# mmdebstrap, apt and chroot need it, and a user's PATH may not have it.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'roots: %s\n' "$*" >&2; }
mistake() { say "$*"; exit 2; }
fail() { say "$*"; exit 1; }

again=
names=()
for argument in "$@"; do
    case $argument in
        --again) again=yes ;;
        -*) mistake "there is no option $argument (the head of $0 says which there are)" ;;
        *) names+=("$argument") ;;
    esac
done
[ ${#names[@]} -gt 0 ] || for file in "$adapters"/*.yaml; do
    grep -q '^install:' "$file" && names+=("$(basename "$file" .yaml)")
done

adapter() {
    case $1 in
        *.yaml) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$adapters/$1.yaml" ;;
    esac
}

# The packages that an adapter names, in one line.
packages() {
    sed -nE 's/^install:[[:space:]]*\{[[:space:]]*debian:[[:space:]]*\[([^]]*)\].*/\1/p' "$1" | tr ',' ' ' | xargs
}

for name in "${names[@]}"; do
    file=$(adapter "$name")
    [ -f "$file" ] || mistake "no adapter $file"
    [ "$(basename "$file" .yaml)" != base ] || mistake "$file: the name base is taken by the root that all are made from"
    [ -n "$(packages "$file")" ] || mistake "$file: no line like  install: { debian: [postfix] }"
done

# This script is the recipe: a root made by another state of it is made again.
recipe() { { cat "$self"; printf '%s\n' "$*"; } | sha256sum | cut -d' ' -f1; }
up_to_date() { grep -qsx "recipe: $2" "$roots/$1/etc/gauntlet-root"; }

# What has to be made. With nothing to do, nothing else is looked at: a second run takes milliseconds.
made_now=' '
needed() { # NAME RECIPE
    case $made_now in *" $1 "*) return 1 ;; esac
    [ -n "$again" ] || ! up_to_date "$1" "$2"
}
anything=
for name in "${names[@]}"; do
    file=$(adapter "$name")
    ! needed "$(basename "$file" .yaml)" "$(recipe "$(packages "$file")")" || anything=yes
done
[ -n "$anything" ] || { say "all there: ${names[*]}"; exit 0; }

# Its files belong to many users. Without root they belong to numbers that are this user's own (subuid(5)), and the rest of this
# script is root among them: user number 0 is this user, 1 is the first subordinate one, as in the labs that are made of it.
if [ "$(id -u)" != 0 ]; then
    by_sudo="or run it by sudo, with GAUNTLET_ROOTS=$roots: then labs are root's, too"
    command -v newuidmap >/dev/null || fail "without root this needs newuidmap: sudo apt-get install uidmap; $by_sudo"
    command -v mmdebstrap >/dev/null || fail "without root it can install nothing here: sudo apt-get install mmdebstrap debian-archive-keyring; $by_sudo"
    among_own=(unshare --map-root-user --map-auto --mount --pid --fork --kill-child --mount-proc)
    "${among_own[@]}" true 2>/dev/null ||
        fail "no user namespace with subordinate numbers can be made; gauntlet doctor says what is missing; $by_sudo"
    exec "${among_own[@]}" "$self" ${again:+--again} "${names[@]}"
fi
command -v apt-get >/dev/null || fail "this needs apt-get, to install packages with; on another system, run it in a Debian container with GAUNTLET_ROOTS mounted"

# Where this machine's apt gets the suite from, one source a line. Nothing, where it has no such source.
sources() {
    # shellcheck disable=SC2016  # apt fills these in
    apt-get indextargets --format '$(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
        sed -nE "s/^$suite(-[^ ]*)? (deb )/\2/p" | sort -u
}

# Without root this machine's lists stay as they are.
if { ! command -v mmdebstrap >/dev/null || [ -z "$(sources)" ]; } && [ -w /var/lib/apt/lists ]; then
    apt-get -qq update
fi
if ! command -v mmdebstrap >/dev/null; then
    say "installing mmdebstrap"
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends mmdebstrap debian-archive-keyring >/dev/null ||
        fail "mmdebstrap is not to be had. By hand: apt-get install mmdebstrap debian-archive-keyring"
fi

mkdir -p "$roots"
exec 9>"$roots/.lock"
flock --nonblock 9 || { say "another run is at work in $roots: waiting for it"; flock 9; }
# Left by a run that was killed. No mount is in there: mounts are made in a namespace of their own, which ends with its maker.
rm -rf --one-file-system "$roots"/.making.* "$roots"/.old.*
work=$(mktemp -d)
trap 'rm -rf "$work"; rm -rf --one-file-system "$roots"/.making.*' EXIT

sources >"$work/sources.list"
# How this machine's apt reaches them: proxies, timeouts, checks. Not which indexes it reads, nor how it keeps them.
apt-config dump | sed -nE '/^Acquire::(https?|ftp|ForceIPv[46]|Retries|Queue-Mode|Check-[A-Za-z-]*|Max-[A-Za-z]*)(::| )/p' >"$work/apt.conf"
printf 'Acquire::Languages "none";\n' >>"$work/apt.conf"

# Runs a command in a root, in namespaces of its own, which take its mounts and left-over processes with them. The host
# name is always the same: packages write it into their configuration.
inside() { # ROOT COMMAND…
    unshare --mount --uts --pid --fork --kill-child sh -euc '
        root=$1; shift
        hostname relay.gauntlet.example
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        exec chroot "$root" "$@"' sh "$@"
}

# Says what the root was made from, and puts it in its place.
keep() { # NAME RECIPE PACKAGES…
    local name=$1 recipe=$2 root=$roots/.making.$1
    shift 2
    {
        printf 'relay: %s\nrecipe: %s\n' "$name" "$recipe"
        # shellcheck disable=SC2016  # dpkg fills these in
        chroot "$root" dpkg-query -W -f 'package: ${Package} ${Version}\n' "$@"
    } >"$root/etc/gauntlet-root"
    [ ! -e "$roots/$name" ] || mv -T "$roots/$name" "$roots/.old.$name"
    mv -T "$root" "$roots/$name"
    rm -rf --one-file-system "$roots/.old.$name"
    made_now="$made_now$name "
    say "$name: $(sed -n 's/^package: //p' "$roots/$name/etc/gauntlet-root" | paste -sd, | sed 's/,/, /g')"
}

make_base() {
    local root=$roots/.making.base
    if [ -s "$work/sources.list" ]; then set -- "$work/sources.list"; else set --; fi
    mmdebstrap --quiet --mode=root --variant=apt --include="$base_packages" --aptopt="$work/apt.conf" \
        "$suite" "$root" "$@" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; fail "base: mmdebstrap failed"; }
    # Without device nodes: the lab gives /dev, and a root can then be copied by anybody.
    find "$root/dev" -mindepth 1 -delete
    # This machine's own: the lab gives each run its own.
    rm -f "$root/etc/resolv.conf" "$root/etc/hostname" "$root/etc/apt/apt.conf.d/99mmdebstrap"
    keep base "$(recipe "$base_packages")" "$base_packages"
}

make_relay() { # NAME PACKAGES…
    local name=$1 root=$roots/.making.$1
    shift
    cp -a --reflink=auto "$roots/base" "$root"
    # For the time of the installation: no service is started, and apt reaches what this machine's apt reaches.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    cp "$work/apt.conf" "$root/etc/apt/apt.conf.d/99gauntlet-roots"
    for file in /etc/resolv.conf /etc/hosts; do [ ! -e "$file" ] || cp "$file" "$root$file"; done
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        cp /etc/ssl/certs/ca-certificates.crt "$root/tmp/trusted-here.crt"
        printf 'Acquire::https::CaInfo "/tmp/trusted-here.crt";\n' >>"$root/etc/apt/apt.conf.d/99gauntlet-roots"
    fi
    # What a package asks, it is answered with its own default: the relay as Debian ships it. The adapter configures it.
    # shellcheck disable=SC2016  # for the shell inside
    inside "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive \
        http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" \
        sh -euc 'apt-get -qq update
                 apt-get -qq -y install --no-install-recommends "$@"
                 apt-get clean
                 rm -rf /var/lib/apt/lists/*' sh "$@" </dev/null >"$work/log" 2>&1 ||
        { tail -n 30 "$work/log" >&2; fail "$name: the installation failed"; }
    rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/apt/apt.conf.d/99gauntlet-roots" "$root/tmp/trusted-here.crt" "$root/etc/resolv.conf" "$root/etc/hosts"
    keep "$name" "$(recipe "$*")" "$@"
}

for name in "${names[@]}"; do
    file=$(adapter "$name")
    name=$(basename "$file" .yaml)
    read -ra wanted <<<"$(packages "$file")"
    needed "$name" "$(recipe "${wanted[*]}")" || continue
    ! needed base "$(recipe "$base_packages")" || make_base
    make_relay "$name" "${wanted[@]}"
done
say "all there: ${names[*]}, in $roots"
