#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a build installs, below another prefix than it was configured for: the program of docs/data-planes.md is built against the shared library
# and against the static one, by pkg-config, and both say why they can't begin.
#
#   tests/e2e/install_test.sh BUILD
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
fail() { echo "install_test: $*" >&2; exit 1; }

cmake --install "$1" --prefix "$there/ez" >"$there/log" 2>&1 || { cat "$there/log" >&2; fail "it can't be installed"; }
folder=$(dirname -- "$(find "$there/ez" -name ezplane.pc)")
export PKG_CONFIG_PATH=$folder
awk '/^```c$/ { on = 1; next } on && /^```$/ { exit } on' "$root/docs/data-planes.md" >"$there/plane.c"
grep -q 'int main' "$there/plane.c" || fail "docs/data-planes.md has no program"

read -ra flags <<<"$(pkg-config --cflags --libs ezplane)"
cc "$there/plane.c" -o "$there/shared" "${flags[@]}"
read -ra compile <<<"$(pkg-config --cflags ezplane)"
read -ra libraries <<<"$(pkg-config --static --libs ezplane | sed 's/-lezplane/-l:libezplane.a/')"
cc "$there/plane.c" -o "$there/static" "${compile[@]}" "${libraries[@]}"

says() { (cd "$there" && env -u PLANE_TOKEN LD_LIBRARY_PATH="$2" "./$1" 2>&1) && fail "$1: it began without a token" || true; }
for one in "shared $(dirname -- "$folder")" 'static /nowhere'; do
  read -r name path <<<"$one"
  text=$(says "$name" "$path")
  [[ $text == *"needs its token"* ]] || fail "$name said: $text"
done
if ldd "$there/static" | grep -q ezplane; then fail "the static program wants the shared library"; fi
echo "1 passed, 0 failed"
