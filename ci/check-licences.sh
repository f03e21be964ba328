#!/usr/bin/env bash
# Every dependency's licence is one that MIT OR Apache-2.0 software may be built with.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo metadata --format-version 1 --locked | python3 -c '
import json, re, sys

ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC", "BSD-2-Clause", "BSD-3-Clause",
           "Unicode-3.0", "MPL-2.0", "Zlib", "0BSD", "Unlicense", "CC0-1.0", "MIT-0"}

def allowed(expression):
    """An SPDX expression of OR and AND, with brackets: true when it can be met with allowed licences."""
    expression = expression.replace("/", " OR ")
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)
    def either():
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0); other = both(); value = value or other
        return value
    def both():
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0); other = one(); value = value and other
        return value
    def one():
        token = tokens.pop(0)
        if token == "(":
            value = either(); tokens.pop(0); return value
        if tokens and tokens[0] == "WITH":
            tokens.pop(0); token += " WITH " + tokens.pop(0)
        return token in ALLOWED
    return either()

packages = json.load(sys.stdin)["packages"]
bad = [p for p in packages if not p.get("license") or not allowed(p["license"])]
for p in bad:
    print("licences: {} {}: {}".format(p["name"], p["version"], p.get("license") or "none stated"), file=sys.stderr)
if bad:
    sys.exit(1)
print("licences: {} packages, all allowed".format(len(packages)))
'
