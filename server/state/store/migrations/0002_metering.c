// SPDX-License-Identifier: Apache-2.0
//
// Step 2: what data planes give back, and settings. Counters are narrow tables of one shape, with room for in-page
// updates. Log records stand apart from their bodies; PostgreSQL keeps both in a partition a day, made when first
// needed. Rollups are one table: a row is what happened in one step (60, 3600 or 86400 s) at one level (which of a, b
// and model it tells apart: server/state/store/rollup.h, which also says what log_head's edges mean; rollup_stale
// is step 7's rollup_open now).
//
// Awkward: the order of a rollup's key. Queries take a range of time at one level, so time comes before the ids; what
// is written now is then also next to each other.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

#define COUNTERS(name)                                                                                                 \
    "CREATE TABLE " name " (id @KEY@, requests @INT@ NOT NULL, success @INT@ NOT NULL, failure @INT@ NOT NULL, "       \
    "tokens_in @INT@ NOT NULL, tokens_out @INT@ NOT NULL, quota_used @INT@ NOT NULL, rate_limited @INT@ NOT NULL, "    \
    "last_used_ns @INT@ NOT NULL) @ROOMY@"

const char *const ez_migration_0002[] = {
    "CREATE TABLE settings (id @KEY@, revision @INT@ NOT NULL, secret_version @INT@ NOT NULL, sealed @BYTES@ NOT "
    "NULL, data @BYTES@ NOT NULL) @STRICT@",
    COUNTERS("key_usage"),
    COUNTERS("api_key_usage"),
    COUNTERS("group_usage"),
    COUNTERS("master_usage"),
    // The highest sequence that was taken, of each stream of each process of each data plane.
    "CREATE TABLE marks (data_plane_id @INT@ NOT NULL, stream @INT@ NOT NULL, epoch @INT@ NOT NULL, sequence @INT@ NOT "
    "NULL, time_ns @INT@ NOT NULL, PRIMARY KEY (data_plane_id, stream, epoch)) @CLUSTERED@",
    "CREATE INDEX marks_by_time ON marks (time_ns)",
    "CREATE TABLE log_records (time_ns @INT@ NOT NULL, id @INT@ NOT NULL, received_ns @INT@ NOT NULL, data_plane_id "
    "@INT@ NOT NULL, request_id TEXT NOT NULL, master_id @INT@ NOT NULL, key_id @INT@ NOT NULL, namespace TEXT NOT "
    "NULL, model TEXT NOT NULL, upstream_model TEXT NOT NULL, group_id @INT@ NOT NULL, api_key_id @INT@ NOT NULL, "
    "provider_type TEXT NOT NULL, status_code @INT@ NOT NULL, latency_ms @INT@ NOT NULL, ttft_ms @INT@ NOT NULL, "
    "tokens_in @INT@ NOT NULL, tokens_out @INT@ NOT NULL, cached_tokens @INT@ NOT NULL, reasoning_tokens @INT@ NOT "
    "NULL, cost_nano_usd @INT@ NOT NULL, client_ip TEXT NOT NULL, request_bytes @INT@ NOT NULL, response_bytes @INT@ "
    "NOT NULL, error_message TEXT NOT NULL, stream @INT@ NOT NULL, has_body @INT@ NOT NULL, PRIMARY KEY (time_ns, id)) "
    "@BY_DAY@",
    "CREATE INDEX log_records_by_master ON log_records (master_id, time_ns)",
    "CREATE INDEX log_records_by_key ON log_records (key_id, time_ns)",
    "CREATE INDEX log_records_by_api_key ON log_records (api_key_id, time_ns)",
    "CREATE INDEX log_records_by_request ON log_records (request_id)",
    "CREATE TABLE log_bodies (time_ns @INT@ NOT NULL, id @INT@ NOT NULL, body @BYTES@ NOT NULL, PRIMARY KEY (time_ns, "
    "id)) @BY_DAY@",
    // How many records there are, by day of their time (days since 1970); the next id, and from when on rollups of
    // minutes and hours are kept.
    "CREATE TABLE log_days (day @KEY@, records @INT@ NOT NULL) @STRICT@",
    "CREATE TABLE log_head (one @KEY@ CHECK (one = 1), next_id @INT@ NOT NULL, minutes_from_s @INT@ NOT "
    "NULL, hours_from_s @INT@ NOT NULL) @STRICT@",
    "INSERT INTO log_head (one, next_id, minutes_from_s, hours_from_s) VALUES (1, 1, 0, 0)",
    "CREATE TABLE rollups (step @INT@ NOT NULL, level @INT@ NOT NULL, time_s @INT@ NOT NULL, a @INT@ NOT NULL, b @INT@ "
    "NOT NULL, model TEXT NOT NULL, requests @INT@ NOT NULL, errors @INT@ NOT NULL, rate_limited @INT@ NOT NULL, "
    "tokens_in @INT@ NOT NULL, tokens_out @INT@ NOT NULL, cost_nano_usd @INT@ NOT NULL, latency_ms @INT@ NOT NULL, "
    "h0 @INT@ NOT NULL, h1 @INT@ NOT NULL, h2 @INT@ NOT NULL, h3 @INT@ NOT NULL, h4 @INT@ NOT NULL, h5 @INT@ NOT NULL, "
    "h6 @INT@ NOT NULL, h7 @INT@ NOT NULL, h8 @INT@ NOT NULL, h9 @INT@ NOT NULL, h10 @INT@ NOT NULL, h11 @INT@ NOT "
    "NULL, h12 @INT@ NOT NULL, h13 @INT@ NOT NULL, h14 @INT@ NOT NULL, h15 @INT@ NOT NULL, "
    "PRIMARY KEY (step, level, time_s, a, b, model)) @CLUSTERED_ROOMY@",
    // The rows of one model, which the key has last. Those of minutes are not in it: it costs folding, not ingest.
    // SQLite has the rows in the key's order in one tree, and reads past the others as fast.
    "@IN_POSTGRES@CREATE INDEX rollups_by_model ON rollups (step, level, model, time_s) WHERE step >= 3600 AND level "
    "IN "
    "(5, 8)",
    "CREATE TABLE rollup_stale (step @INT@ NOT NULL, time_s @INT@ NOT NULL, touched_s @INT@ NOT NULL, folded @INT@ NOT "
    "NULL, PRIMARY KEY (step, time_s)) @CLUSTERED@",
    // What was sent to webhooks, or given up.
    "CREATE TABLE deliveries (id @KEY@, created_ns @INT@ NOT NULL, kind TEXT NOT NULL, url TEXT NOT NULL, status @INT@ "
    "NOT NULL, attempts @INT@ NOT NULL, http_status @INT@ NOT NULL, error TEXT NOT NULL, finished_ns @INT@ NOT NULL) "
    "@STRICT@",
    NULL,
};
