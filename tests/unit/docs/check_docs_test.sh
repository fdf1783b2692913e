#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check-docs on lines it must refuse and lines it must leave alone, in a small repository of its own, and then on
# the real one.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
small=$(mktemp -d)
trap 'rm -rf "$small"' EXIT
mkdir -p "$small/docs" "$small/tools" "$small/tests/unit" "$small/server"
printf '# Here\n\n## A data plane'\''s session\n' >"$small/docs/there.md"
touch "$small/tools/run" "$small/LICENSE"
echo 'ez_program(ezplaned LIBS a)' >"$small/server/CMakeLists.txt"
echo '{"EZ_HOME", TEXT}' >"$small/server/settings.c"
failed=0

try() {
  local want=$1 got=good out
  printf '# Title\n%s\n' "$2" >"$small/README.md"
  out=$("$root/tools/check-docs" "$small") || got=bad
  if [ "$got" != "$want" ] || { [ "$got" = bad ] && [[ $out != README.md:2:* ]]; }; then
    echo "expected $want, got $got: $2 ($out)"
    failed=1
  fi
}

try bad "[gone](docs/gone.md)"
try bad "[no heading](docs/there.md#elsewhere)"
try bad '<img src="docs/gone.svg">'
try bad "Run \`tools/walk\`."
try bad "See tests/unit/gone/<name>_test.c"
try bad "\`build/bin/ezplanned\`"
try bad "Set EZ_HOUSE."
try good "[there](docs/there.md#a-data-planes-session), [here](#title), [licence](LICENSE), [far](https://example.org/x)"
try good "Run \`tools/run\`, \`build/bin/ezplaned\`, tests/unit/<folder>/, EZ_HOME/admin.token and EZ_HOME=x."
[ "$failed" = 0 ]
"$root/tools/check-docs"
