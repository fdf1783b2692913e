// SPDX-License-Identifier: Apache-2.0
//
// What stands behind claims.h on SQLite. Whoever had a row is gone, or is this process itself: it is taken at once. A
// few statements a second at most, so they are not kept. A mark of later than now is of before the clock was set back:
// it is as one of now.
#include <string.h>

#include "proto/runtime/clock.h"
#include "server/state/store/sqlite/db.h"

static const char take_text[] =
    "INSERT INTO oauth_claims (api_key_id, owner, token, until_ms, sent_hash, sends, sent_ms, sent_token) VALUES (?1, "
    "?2, ?3 * 1000000, ?3 + ?4, x'', 0, 0, 0) ON CONFLICT (api_key_id) DO UPDATE SET owner = excluded.owner, token = "
    "max(oauth_claims.token + 1, excluded.token), until_ms = excluded.until_ms, sent_ms = min(oauth_claims.sent_ms, "
    "?3) "
    "RETURNING token, sent_hash, sends, ?3 - sent_ms";
static const char mark_text[] =
    "UPDATE oauth_claims SET sends = CASE WHEN sent_token = ?3 THEN sends WHEN sent_hash = ?4 THEN sends + 1 ELSE 1 "
    "END, sent_hash = ?4, sent_ms = ?5, sent_token = ?3, until_ms = ?5 + ?6 WHERE api_key_id = ?1 AND owner = ?2 AND "
    "token = ?3 AND until_ms > 0 AND NOT EXISTS (SELECT 1 FROM oauth_claims o WHERE o.sent_hash = ?4 AND "
    "o.api_key_id <> ?1)";
static const char shared_text[] = "SELECT api_key_id FROM oauth_claims WHERE sent_hash = ?1 AND api_key_id <> ?2";
static const char spent_text[] =
    "UPDATE oauth_claims SET until_ms = 0, sends = 0 WHERE api_key_id = ?1 AND owner = ?2 AND token = ?3";
static const char settle_text[] = "DELETE FROM oauth_claims WHERE api_key_id = ?1 AND owner = ?2 AND token = ?3";
static const char open_text[] =
    "UPDATE oauth_claims SET until_ms = 0 WHERE api_key_id = ?1 AND owner = ?2 AND token = ?3";
static const char unsend_text[] = "UPDATE oauth_claims SET until_ms = 0, sent_hash = ?4, sends = ?5, sent_ms = ?6 "
                                  "WHERE api_key_id = ?1 AND owner = ?2 AND token = ?3";
static const char bound_text[] = "SELECT coalesce(max(api_key_id), 0) FROM (SELECT api_key_id FROM oauth_claims WHERE "
                                 "api_key_id > ?1 ORDER BY api_key_id LIMIT ?2)";
static const char trim_text[] =
    "DELETE FROM oauth_claims WHERE api_key_id > ?1 AND api_key_id <= ?2 AND until_ms < ?3 AND sent_ms < ?3 - ?4 AND "
    "NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.id = oauth_claims.api_key_id)";

static int64_t now_ms(void) {
    return ez_clock_wall_ns() / 1000000;
}

static ez_status prepare(ez_sqlite_conn *conn, const char *text, int64_t api_key_id, const char *owner,
                         sqlite3_stmt **out, ez_error *error) {
    ez_status status = ez_sqlite_prepare(conn, text, out, error);
    if (!status) {
        sqlite3_bind_int64(*out, 1, api_key_id);
        ez_sqlite_bind_text(*out, 2, owner);
    }
    return status;
}

static void read_claim(sqlite3_stmt *row, int64_t api_key_id, ez_claim *out) {
    *out = (ez_claim){.api_key_id = api_key_id,
                      .token = (uint64_t)sqlite3_column_int64(row, 0),
                      .sends = (uint32_t)sqlite3_column_int64(row, 2),
                      .sent_ago_ms = sqlite3_column_int64(row, 3)};
    ez_slice hash = ez_sqlite_bytes(row, 1);
    out->has_hash = hash.len == EZ_SHA256_LEN;
    if (out->has_hash)
        memcpy(out->sent_hash, hash.data, hash.len);
    else
        out->sends = 0;
}

static ez_status take(void *db, int64_t api_key_id, const char *owner, uint32_t ttl_ms, ez_claim *out, bool *taken,
                      int64_t *wait_ms, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_claim got = {0};
    ez_status status = prepare(conn, take_text, api_key_id, owner, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 3, now_ms());
    sqlite3_bind_int64(statement, 4, ttl_ms);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        read_claim(statement, api_key_id, &got);
        code = sqlite3_step(statement); // to its end: what it wrote is committed then
    }
    if (code != SQLITE_DONE)
        status = ez_sqlite_fail(conn, code, error);
    if (sqlite3_finalize(statement) != SQLITE_OK && !status)
        status = ez_sqlite_fail(conn, code, error);
    if (!status) {
        *out = got;
        *taken = true;
        *wait_ms = 0;
    }
    return status;
}

// Why the mark hit no row.
static ez_status explain_miss(ez_sqlite_conn *conn, const ez_claim *claim, const uint8_t hash[EZ_SHA256_LEN],
                              ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, shared_text, &statement, error);
    if (status)
        return status;
    ez_sqlite_bind_bytes(statement, 1, hash, EZ_SHA256_LEN);
    sqlite3_bind_int64(statement, 2, claim->api_key_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        status = ez_sql_token_shared(sqlite3_column_int64(statement, 0), error);
    else
        status = code == SQLITE_DONE ? ez_sql_claim_lost(error) : ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status mark(void *db, const ez_claim *claim, const char *owner, const uint8_t hash[EZ_SHA256_LEN],
                      uint32_t ttl_ms, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    ez_status status = prepare(conn, mark_text, claim->api_key_id, owner, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 3, (int64_t)claim->token);
    ez_sqlite_bind_bytes(statement, 4, hash, EZ_SHA256_LEN);
    sqlite3_bind_int64(statement, 5, now_ms());
    sqlite3_bind_int64(statement, 6, ttl_ms);
    status = ez_sqlite_run(conn, statement, error);
    sqlite3_finalize(statement);
    return !status && sqlite3_changes(conn->db) == 0 ? explain_miss(conn, claim, hash, error) : status;
}

static ez_status end(void *db, const ez_claim *claim, const char *owner, ez_claim_end end, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    bool restores = (end == EZ_CLAIM_UNSENT || end == EZ_CLAIM_SETTLED) && claim->has_hash;
    const char *text = end == EZ_CLAIM_OPEN    ? open_text
                       : end == EZ_CLAIM_SPENT ? spent_text
                       : restores              ? unsend_text
                                               : settle_text;
    ez_status status = prepare(conn, text, claim->api_key_id, owner, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 3, (int64_t)claim->token);
    if (restores) {
        ez_sqlite_bind_bytes(statement, 4, claim->sent_hash, EZ_SHA256_LEN);
        sqlite3_bind_int64(statement, 5, end == EZ_CLAIM_UNSENT ? claim->sends : 0);
        sqlite3_bind_int64(statement, 6, now_ms() - claim->sent_ago_ms);
    }
    status = ez_sqlite_run(conn, statement, error);
    sqlite3_finalize(statement);
    return status;
}

// ---- Forgetting

// The last row of a step; 0: there is none behind after.
static ez_status find_bound(ez_sqlite_conn *conn, int64_t after, size_t max_rows, int64_t *out, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_prepare(conn, bound_text, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, after);
    sqlite3_bind_int64(statement, 2, (int64_t)max_rows);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        status = ez_sqlite_fail(conn, code, error);
    sqlite3_finalize(statement);
    return status;
}

static ez_status trim(void *db, int64_t keep_ms, size_t max_rows, int64_t *after, ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    sqlite3_stmt *statement = NULL;
    int64_t bound = 0;
    ez_status status = find_bound(conn, *after, max_rows, &bound, error);
    if (!status && bound)
        status = ez_sqlite_prepare(conn, trim_text, &statement, error);
    if (statement) {
        sqlite3_bind_int64(statement, 1, *after);
        sqlite3_bind_int64(statement, 2, bound);
        sqlite3_bind_int64(statement, 3, now_ms());
        sqlite3_bind_int64(statement, 4, keep_ms);
        status = ez_sqlite_run(conn, statement, error);
        sqlite3_finalize(statement);
    }
    if (!status)
        *after = bound;
    return status;
}

const ez_claim_ops ez_claims_sqlite = {.take = take, .mark = mark, .end = end, .trim = trim};
