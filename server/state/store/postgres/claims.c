// SPDX-License-Identifier: Apache-2.0
//
// What stands behind claims.h on PostgreSQL: each is one statement in a transaction of its own, on a connection of its
// own, by the database's clock. Each may run twice where a COMMIT's answer was lost: taking what one has already,
// marking under the same claim and ending change nothing the second time.
#include <stdlib.h>
#include <string.h>

#include "server/state/store/postgres/attempt.h"

#define LIMIT_MS 5000
#define NOW_MS   "(extract(epoch FROM clock_timestamp()) * 1000)::int8"

static const char take_text[] =
    "INSERT INTO oauth_claims AS c (api_key_id, owner, token, until_ms, sent_hash, sends, sent_ms, sent_token) VALUES "
    "($1, $2, " NOW_MS " * 1000000, " NOW_MS " + $3, '', 0, 0, 0) ON CONFLICT (api_key_id) DO UPDATE SET owner = "
    "excluded.owner, token = greatest(c.token + 1, excluded.token), until_ms = excluded.until_ms WHERE c.owner = "
    "excluded.owner OR c.until_ms <= " NOW_MS " RETURNING c.token, c.sent_hash, c.sends, " NOW_MS " - c.sent_ms";
static const char look_text[] = "SELECT greatest(0, until_ms - " NOW_MS ") FROM oauth_claims WHERE api_key_id = $1";
static const char mark_text[] =
    "UPDATE oauth_claims SET sends = CASE WHEN sent_token = $3 THEN sends WHEN sent_hash = $4 THEN sends + 1 ELSE 1 "
    "END, sent_hash = $4, sent_ms = " NOW_MS ", sent_token = $3, until_ms = " NOW_MS " + $5 WHERE api_key_id = $1 AND "
    "owner = $2 AND token = $3 AND until_ms > " NOW_MS;
static const char settle_text[] = "DELETE FROM oauth_claims WHERE api_key_id = $1 AND owner = $2 AND token = $3";
static const char open_text[] =
    "UPDATE oauth_claims SET until_ms = 0 WHERE api_key_id = $1 AND owner = $2 AND token = $3";
static const char unsend_text[] = "UPDATE oauth_claims SET until_ms = 0, sent_hash = $4, sends = $5, sent_ms = " NOW_MS
                                  " - $6 WHERE api_key_id = $1 AND owner = $2 AND token = $3";

enum { FIRST = 2 }; // ez_pg_begin's statements come before ours

static ez_status run(ez_pg *store, ez_pg_work_fn *work, void *user, ez_error *error) {
    bool is_unknown = false;
    return ez_pg_transact_within(&store->claims, LIMIT_MS, work, user, "a claim of a token refresh: it is asked again",
                                 &is_unknown, error);
}

// ---- Taking

typedef struct taking {
    int64_t api_key_id;
    const char *owner;
    uint32_t ttl_ms;
    ez_claim got;
    bool is_taken;
    int64_t wait_ms;
} taking;

static ez_status read_taken(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)error;
    taking *it = user;
    if (at == FIRST) {
        it->is_taken = PQntuples(result) == 1;
        if (!it->is_taken)
            return EZ_OK;
        ez_slice hash = ez_pg_bytes(result, 0, 1);
        bool has_hash = hash.len == EZ_SHA256_LEN;
        it->got = (ez_claim){.api_key_id = it->api_key_id,
                             .token = (uint64_t)ez_pg_int(result, 0, 0),
                             .sends = has_hash ? (uint32_t)ez_pg_int(result, 0, 2) : 0,
                             .sent_ago_ms = ez_pg_int(result, 0, 3)};
        if (has_hash)
            memcpy(it->got.sent_hash, hash.data, hash.len);
    } else if (at == FIRST + 1) {
        it->wait_ms = PQntuples(result) == 1 ? ez_pg_int(result, 0, 0) : 0;
    }
    return EZ_OK;
}

static ez_status push_take(void *user, ez_pg_attempt *try, ez_error *error) {
    taking *it = user;
    ez_pg_params take = {0}, look = {0};
    ez_pg_put_int(&take, it->api_key_id);
    ez_pg_put_text(&take, it->owner);
    ez_pg_put_int(&take, it->ttl_ms);
    ez_pg_put_int(&look, it->api_key_id);
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, take_text, &take, error);
    if (!status)
        status = ez_pg_push(try, look_text, &look, error);
    return status ? status : ez_pg_collect(try, read_taken, it, error);
}

static ez_status take(void *db, int64_t api_key_id, const char *owner, uint32_t ttl_ms, ez_claim *out, bool *taken,
                      int64_t *wait_ms, ez_error *error) {
    taking it = {.api_key_id = api_key_id, .owner = owner, .ttl_ms = ttl_ms};
    ez_status status = run(db, push_take, &it, error);
    if (status)
        return status;
    *taken = it.is_taken;
    *wait_ms = it.is_taken ? 0 : it.wait_ms;
    if (it.is_taken)
        *out = it.got;
    return EZ_OK;
}

// ---- Marking

typedef struct changing {
    const char *text;
    ez_pg_params params;
    bool must_hit;
} changing;

static ez_status read_count(void *user, unsigned at, const PGresult *result, ez_error *error) {
    const changing *it = user;
    bool is_missed = at == FIRST && it->must_hit && strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10) == 0;
    return is_missed ? ez_sql_claim_lost(error) : EZ_OK;
}

static ez_status push_change(void *user, ez_pg_attempt *try, ez_error *error) {
    changing *it = user;
    ez_status status = ez_pg_begin(try, error);
    if (!status)
        status = ez_pg_push(try, it->text, &it->params, error);
    return status ? status : ez_pg_collect(try, read_count, it, error);
}

static void name_claim(changing *it, const ez_claim *claim, const char *owner) {
    ez_pg_put_int(&it->params, claim->api_key_id);
    ez_pg_put_text(&it->params, owner);
    ez_pg_put_int(&it->params, (int64_t)claim->token);
}

static ez_status mark(void *db, const ez_claim *claim, const char *owner, const uint8_t hash[EZ_SHA256_LEN],
                      uint32_t ttl_ms, ez_error *error) {
    changing it = {.text = mark_text, .must_hit = true};
    name_claim(&it, claim, owner);
    ez_pg_put_bytes(&it.params, hash, EZ_SHA256_LEN);
    ez_pg_put_int(&it.params, ttl_ms);
    return run(db, push_change, &it, error);
}

// ---- Ending

static ez_status end(void *db, const ez_claim *claim, const char *owner, ez_claim_end end, ez_error *error) {
    bool restores = end == EZ_CLAIM_UNSENT && claim->sends > 0;
    changing it = {.text = end == EZ_CLAIM_OPEN ? open_text : restores ? unsend_text : settle_text};
    name_claim(&it, claim, owner);
    if (restores) {
        ez_pg_put_bytes(&it.params, claim->sent_hash, EZ_SHA256_LEN);
        ez_pg_put_int(&it.params, claim->sends);
        ez_pg_put_int(&it.params, claim->sent_ago_ms);
    }
    return run(db, push_change, &it, error);
}

const ez_claim_ops ez_claims_postgres = {.take = take, .mark = mark, .end = end};
