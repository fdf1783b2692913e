// SPDX-License-Identifier: Apache-2.0
//
// Step 1: the tables of a new store. feed_head is one row that every commit changes, which is also what orders
// commits; resources are packed bytes, their indexes live in the directory; numbers that are unsigned 64 bits
// (epoch) are kept as the same bits, signed. Released steps are never edited.
//
// Awkward: small rows that change all the time (feed_head, counters) leave dead versions in PostgreSQL; both are so
// narrow that its in-page updates cope.
#include "server/state/store/migrations/steps.h"

#include <stddef.h>

#define RESOURCES(name)                                                                                                \
    "CREATE TABLE " name " (id @KEY@, revision @INT@ NOT NULL, secret_version @INT@ NOT NULL, sealed @BYTES@ NOT "     \
    "NULL, data @BYTES@ NOT NULL) @STRICT@"

const char *const ez_migration_0001[] = {
    "CREATE TABLE feed_head (one @KEY@ CHECK (one = 1), epoch @INT@ NOT NULL, n @INT@ NOT NULL, oldest @INT@ NOT NULL, "
    "next_audit_id @INT@ NOT NULL, audit_hash @BYTES@ NOT NULL, key_check TEXT NOT NULL) @STRICT@",
    "CREATE TABLE counters (kind @KEY@, next_id @INT@ NOT NULL) @STRICT@",
    RESOURCES("masters"),
    RESOURCES("keys"),
    RESOURCES("namespaces"),
    RESOURCES("provider_groups"),
    RESOURCES("api_keys"),
    RESOURCES("bindings"),
    RESOURCES("admin_tokens"),
    RESOURCES("data_planes"),
    "CREATE TABLE changes (n @INT@ NOT NULL, seq @INT@ NOT NULL, kind @INT@ NOT NULL, id @INT@ NOT NULL, op @INT@ NOT "
    "NULL, secret_version @INT@ NOT NULL, time_ns @INT@ NOT NULL, data @BYTES@ NOT NULL, sealed @BYTES@ NOT NULL, "
    "PRIMARY KEY (n, seq)) @CLUSTERED@",
    "CREATE TABLE audit (id @KEY@, time_ns @INT@ NOT NULL, revision @INT@ NOT NULL, actor TEXT NOT NULL, method TEXT "
    "NOT NULL, resource TEXT NOT NULL, request TEXT NOT NULL, request_id TEXT NOT NULL, remote TEXT NOT NULL, "
    "previous_hash @BYTES@ NOT NULL, hash @BYTES@ NOT NULL) @STRICT@",
    "CREATE INDEX audit_by_time ON audit (time_ns, id)",
    "CREATE INDEX audit_by_actor ON audit (actor, id)",
    "CREATE INDEX audit_by_method ON audit (method, id)",
    "CREATE INDEX audit_by_resource ON audit (resource, id)",
    "CREATE TABLE idempotency (key @BYTES@ NOT NULL PRIMARY KEY, request_hash @BYTES@ NOT NULL, revision @INT@ NOT "
    "NULL, time_ns @INT@ NOT NULL, reply @BYTES@ NOT NULL) @CLUSTERED@",
    "CREATE INDEX idempotency_by_time ON idempotency (time_ns)",
    NULL,
};
