#!/usr/bin/env bash
# Where tests are run by root: an ordinary user with subordinate ids, and roots that it has made without root. Prints what tests read
# from the environment, for `eval`:
#   eval "$(ci/test-user.sh postfix)"
# Exit codes: 0 it is there, or tests are not run by root; 1 it cannot be made.
set -euo pipefail
cd "$(dirname "$0")/.."
user=${GAUNTLET_TEST_USER:-gauntlet-tests}
say() { printf 'test user: %s\n' "$*" >&2; }

if [ "$(id -u)" != 0 ]; then
    say "not needed: $(id -un) is no root"
    exit 0
fi
command -v newuidmap >/dev/null || apt-get -qq -y install --no-install-recommends uidmap >/dev/null ||
    { say "there is no newuidmap: apt-get install uidmap"; exit 1; }
if ! id "$user" >/dev/null 2>&1; then
    # Numbers come with it, by SUB_UID_COUNT of /etc/login.defs.
    useradd --create-home --home-dir "/var/lib/$user" --shell /usr/sbin/nologin "$user"
    say "made $user"
fi
grep -qs "^$user:" /etc/subuid && grep -qs "^$user:" /etc/subgid ||
    { say "$user has no subordinate ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $user"; exit 1; }
home=$(getent passwd "$user" | cut -d: -f6)
roots=$home/.cache/gauntlet/roots

# A copy: the repository may be where that user may not go.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp --parents ci/relay-roots.sh harness/relays/*.yaml "$copy"
chmod -R a+rX "$copy"
cd /
setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups \
    env -u XDG_CACHE_HOME HOME="$home" GAUNTLET_ROOTS="$roots" "$copy/ci/relay-roots.sh" "$@" >&2
printf 'export GAUNTLET_TEST_USER=%q GAUNTLET_USER_ROOTS=%q\n' "$user" "$roots"
