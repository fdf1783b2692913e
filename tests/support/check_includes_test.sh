#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check-includes on files made to break each rule, and on files that break none. Each line below is
#   good|bad <path> <include>
# Lines of one path make one file, so that two runs do: one over all that was made, one over the checkout itself.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

failed=0 expected='' cases=0
declare -A lines
while read -r want path include; do
  [ -n "$want" ] || continue
  if [ -z "${lines[$path]:-}" ]; then
    mkdir -p "$folder/${path%/*}"
    echo '// a comment' >"$folder/$path"
    lines[$path]=1
  fi
  printf '%s\n' "$include" >>"$folder/$path"
  lines[$path]=$((lines[$path] + 1)) cases=$((cases + 1))
  case $want in
    bad) expected+="$path:${lines[$path]}"$'\n' ;;
    good) ;;
    *) echo "a case is good or bad, not $want"; exit 1 ;;
  esac
done <<'CASES'
good proto/runtime/a.c #include "proto/runtime/buf.h"
good proto/runtime/a.c #include "ez/v1/wire.pb-c.h"
bad proto/runtime/a.c #include "proto/crypto/hash.h"
bad proto/runtime/a.c #include "server/rpc/gate.h"
good proto/crypto/a.c #include <openssl/evp.h>
bad proto/runtime/a.c #include <openssl/evp.h>
good server/platform/publish/a.c #include <nng/nng.h>
bad server/platform/publish/a.c #include "server/platform/outbound/http.h"
bad server/platform/publish/a.c #include "server/state/feed/feed.h"
good server/state/store/sqlite/a.c #include <sqlite3.h>
bad server/state/store/a.c #include <sqlite3.h>
good server/state/store/postgres/a.c #include <libpq-fe.h>
bad server/domain/access/a.c #include <libpq-fe.h>
good server/state/delivery/a.c #include "server/state/directory/page_token.h"
bad server/state/delivery/a.c #include "server/state/metering/quota.h"
bad server/state/directory/a.c #include "server/state/delivery/delivery.h"
bad server/domain/access/a.c #include <postgresql/libpq-fe.h>
bad server/state/store/a.c #include "server/state/feed/feed.h"
good server/state/feed/a.c #include "server/state/store/store.h"
bad server/state/feed/a.c #include "server/state/directory/directory.h"
good server/state/directory/a.c #include "server/state/feed/feed.h"
bad server/state/directory/a.c #include "server/state/metering/window.h"
bad server/state/metering/a.c #include "server/domain/usage/flush.h"
good server/domain/access/a.c #include "server/state/directory/directory.h"
good server/domain/access/a.c #include "server/domain/access/key.h"
bad server/domain/access/a.c #include "server/domain/routing/binding.h"
bad server/domain/access/a.c #include "server/rpc/gate.h"
bad server/domain/access/a.c #include <nng/nng.h>
good server/rpc/a.c #include "server/domain/access/access.h"
good server/rpc/a.c #include <nng/protocol/reqrep0/rep.h>
bad server/rpc/a.c #include "server/jobs/lease.h"
good server/main.c #include "server/rpc/server.h"
bad server/main.c #include <nng/nng.h>
bad server/main.c #include "gateway/http.h"
bad gateway/backend.c #include <nng/nng.h>
bad gateway/http.c #include <nng/nng.h>
good gateway/http.c #include <event2/http.h>
bad server/rpc/a.c #include <event2/event.h>
bad server/rpc/a.c #include <event.h>
good gateway/tls.c #include <openssl/ssl.h>
bad gateway/http.c #include <openssl/ssl.h>
bad gateway/http.c #include "server/state/store/store.h"
bad gateway/http.c #include "clients/c/ezplane.h"
bad gateway/http.c #include <server/state/store/store.h>
good clients/c/a.c #include <nng/nng.h>
good clients/c/a.c #include "proto/crypto/digest.h"
good clients/ctl/a.c #include "clients/c/ezplane.h"
bad clients/ctl/a.c #include <nng/nng.h>
bad clients/c/a.c #include "clients/ctl/table.h"
bad clients/ctl/a.c #include "server/rpc/gate.h"
good tools/dpsim/a.c #include "clients/c/ezplane.h"
bad tools/protoc-gen-ez/a.c #include "clients/c/ezplane.h"
bad tools/dpsim/a.c #include "server/domain/fleet/fleet.h"
good tests/unit/rpc/a_test.c #include "server/rpc/gate.h"
good tests/unit/rpc/a_test.c #include <sqlite3.h>
good tests/unit/rpc/a_test.c #include "helper.h"
bad tests/unit/rpc/a_test.c #include "../helper.h"
bad server/rpc/a.c #include "gate.h"
bad server/rpc/a.c #include "../domain/access/key.h"
bad server/rpc/a.c #include EZ_HEADER
bad server/rpc/a.c #  include "gateway/http.h"
bad server/rpc/a.c #include /* so */ "gateway/http.h"
good server/rpc/a.c // #include "gateway/http.h"
good server/rpc/a.c /* #include "gateway/http.h" */
good server/rpc/a.c #include <stdio.h>
bad server/domain/oauth/a.c #include <curl/curl.h>
good server/platform/outbound/a.c #include <curl/curl.h>
good server/domain/redis/a.c #include <hiredis/hiredis.h>
bad server/domain/oauth/a.c #include <hiredis/hiredis.h>
bad elsewhere/a.c #include "proto/runtime/buf.h"
CASES
[ "$cases" -gt 0 ] || { echo "there are no cases"; exit 1; }

status=0
out=$(GIT_CEILING_DIRECTORIES=$folder "$root/tools/check-includes" "$folder" 2>/dev/null) || status=$?
[ "$status" = 1 ] || { echo "expected status 1 where rules are broken, got $status"; failed=1; }
# "<" is a fault that was not found, ">" one that is none.
diff <(sort <<<"${expected%$'\n'}") <(sed 's/^\([^:]*:[0-9]*\): .*/\1/' <<<"$out" | sort) || failed=1

"$root/tools/check-includes" "$root" || failed=1
exit "$failed"
