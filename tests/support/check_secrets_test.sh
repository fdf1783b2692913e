#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check-secrets on lines it must refuse and lines it must leave alone. The bad ones are put together here from
# pieces, so that no other scanner takes this file for a leak.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
file=$(mktemp)
trap 'rm -f "$file"' EXIT
random=$(printf %s 7Qw9Zr2Xc5Vb8Nm1As4Df6Gh3Jk0LpPoIuYtReWqA1b)
failed=0

try() {
  local want=$1 got=good
  printf 'first line\n%s\n' "$2" >"$file"
  out=$("$root/tools/check-secrets" "$file") || got=bad
  if [ "$got" != "$want" ]; then
    echo "expected $want, got $got: $2"
    failed=1
  fi
  if [ "$got" = bad ] && { [[ $out != "$file:2: "* ]] || [[ $out == *"$random"* ]]; }; then
    echo "a report names the file and the line, not the secret: $2"
    failed=1
  fi
}

try bad "key = sk-""$random"
try bad "token eza_""$random"
try bad "AKIA""7QW9ZR2XC5VB8NM1"
try bad "ghp_""${random:0:36}"
try bad "-----BEGIN EC PRIVATE"" KEY-----"
try bad "postgres://ez:""${random:3:14}@db/ez"
try bad "see /ro""ot/notes"
try bad "cd /wo""rk/main"
try bad "npm.example""1.corp"
try bad "\"resolved\": \"https://npm.pri""vate.io/x.tgz\""
try good "token eza_0000000000000000000000000000000000000000000"
try good "sk-fake-000000000000000000000000000000000000000001"
try good "eza_… is an admin token"
try good "postgres://user:password@host/db"
try good "postgres://ez@127.0.0.1/ez"
try good "/etc/ezplane and /var/lib/ezplane"
try good "GET /admin/keys/{id}"
exit "$failed"
