// SPDX-License-Identifier: Apache-2.0
//
// What stands behind claims.h on PostgreSQL: each is one statement in a transaction of its own, on a connection of its
// own, by the database's clock. Each may run twice where a COMMIT's answer was lost: taking what one has already,
// marking under the same claim and ending change nothing the second time. A mark of later than now is of before the
// database's clock was set back, or of another machine's: it is as one of now.
//
// Only a mark waits for the disk. It takes the claim before it along, and a claim that a crash lost can't be marked; of
// an end that a crash lost the mark is left, which says less than is known and never more.
#include <stdlib.h>
#include <string.h>

#include "server/state/store/postgres/attempt.h"

#define LIMIT_MS 5000
#define LOCK     "1869640056" // our number among the database's advisory locks of two numbers
#define NOW_MS   "(extract(epoch FROM clock_timestamp()) * 1000)::int8"

static const char take_text[] =
    "INSERT INTO oauth_claims AS c (api_key_id, owner, token, until_ms, sent_hash, sends, sent_ms, sent_token) VALUES "
    "($1, $2, " NOW_MS " * 1000000, " NOW_MS " + $3, '', 0, 0, 0) ON CONFLICT (api_key_id) DO UPDATE SET owner = "
    "excluded.owner, token = greatest(c.token + 1, excluded.token), until_ms = excluded.until_ms, sent_ms = "
    "least(c.sent_ms, " NOW_MS ") WHERE c.owner = excluded.owner OR c.until_ms <= " NOW_MS " RETURNING c.token, "
    "c.sent_hash, c.sends, " NOW_MS " - c.sent_ms";
static const char look_text[] = "SELECT greatest(0, until_ms - " NOW_MS ") FROM oauth_claims WHERE api_key_id = $1";
static const char mark_text[] =
    "UPDATE oauth_claims SET sends = CASE WHEN sent_token = $3 THEN sends WHEN sent_hash = $4 THEN sends + 1 ELSE 1 "
    "END, sent_hash = $4, sent_ms = " NOW_MS ", sent_token = $3, until_ms = " NOW_MS " + $5 WHERE api_key_id = $1 AND "
    "owner = $2 AND token = $3 AND until_ms > 0 AND NOT EXISTS (SELECT 1 FROM oauth_claims o WHERE o.sent_hash = $4 "
    "AND "
    "o.api_key_id <> $1)";
// Two keys that share a token must not mark it at once: a statement does not see what the other has not committed. It
// sees what was committed before it began, whatever the database's own isolation level is.
static const char lock_text[] = "SELECT pg_advisory_xact_lock(" LOCK ", $1::int4)";
static const char shared_text[] = "SELECT api_key_id FROM oauth_claims WHERE sent_hash = $1 AND api_key_id <> $2";
static const char spent_text[] =
    "UPDATE oauth_claims SET until_ms = 0, sends = 0 WHERE api_key_id = $1 AND owner = $2 AND token = $3";
static const char settle_text[] = "DELETE FROM oauth_claims WHERE api_key_id = $1 AND owner = $2 AND token = $3";
static const char open_text[] =
    "UPDATE oauth_claims SET until_ms = 0 WHERE api_key_id = $1 AND owner = $2 AND token = $3";
static const char unsend_text[] = "UPDATE oauth_claims SET until_ms = 0, sent_hash = $4, sends = $5, sent_ms = " NOW_MS
                                  " - $6 WHERE api_key_id = $1 AND owner = $2 AND token = $3";
// The last row of a step, and what of it is forgotten.
#define BOUND                                                                                                          \
    "(SELECT coalesce(max(n.api_key_id), 0) FROM (SELECT api_key_id FROM oauth_claims WHERE api_key_id > $1 ORDER BY " \
    "api_key_id LIMIT $2) n)"
static const char bound_text[] = "SELECT " BOUND;
static const char trim_text[] =
    "DELETE FROM oauth_claims c WHERE c.api_key_id > $1 AND c.api_key_id <= " BOUND " AND c.until_ms < " NOW_MS
    " AND c.sent_ms < " NOW_MS " - $3 AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.id = c.api_key_id)";

enum { FIRST = 3, MARK = 3 }; // so many statements come before ours; before a mark, its lock too

static ez_status begin(ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    ez_status status = ez_pg_begin(try, error);
    return status ? status : ez_pg_push(try, "SET LOCAL synchronous_commit TO off", &none, error);
}

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
                             .has_hash = has_hash,
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
    ez_status status = begin(try, error);
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

typedef struct marking {
    ez_pg_params lock, mark, shared;
    bool is_missed;
} marking;

static ez_status read_marked(void *user, unsigned at, const PGresult *result, ez_error *error) {
    marking *it = user;
    if (at == MARK)
        it->is_missed = strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10) == 0;
    if (at != MARK + 1 || !it->is_missed)
        return EZ_OK;
    return PQntuples(result) ? ez_sql_token_shared(ez_pg_int(result, 0, 0), error) : ez_sql_claim_lost(error);
}

static ez_status push_mark(void *user, ez_pg_attempt *try, ez_error *error) {
    marking *it = user;
    ez_pg_params none = {0};
    it->is_missed = false;
    ez_status status = ez_pg_resume(try, error);
    if (!status)
        status = ez_pg_push(try, "BEGIN ISOLATION LEVEL READ COMMITTED", &none, error);
    if (!status)
        status = ez_pg_push(try, ez_pg_settings, &none, error);
    if (!status)
        status = ez_pg_push(try, lock_text, &it->lock, error);
    if (!status)
        status = ez_pg_push(try, mark_text, &it->mark, error);
    if (!status)
        status = ez_pg_push(try, shared_text, &it->shared, error);
    return status ? status : ez_pg_collect(try, read_marked, it, error);
}

static void name_claim(ez_pg_params *params, const ez_claim *claim, const char *owner) {
    ez_pg_put_int(params, claim->api_key_id);
    ez_pg_put_text(params, owner);
    ez_pg_put_int(params, (int64_t)claim->token);
}

static ez_status mark(void *db, const ez_claim *claim, const char *owner, const uint8_t hash[EZ_SHA256_LEN],
                      uint32_t ttl_ms, ez_error *error) {
    marking it = {.is_missed = false};
    int32_t number;
    memcpy(&number, hash, sizeof number);
    ez_pg_put_int(&it.lock, number);
    name_claim(&it.mark, claim, owner);
    ez_pg_put_bytes(&it.mark, hash, EZ_SHA256_LEN);
    ez_pg_put_int(&it.mark, ttl_ms);
    ez_pg_put_bytes(&it.shared, hash, EZ_SHA256_LEN);
    ez_pg_put_int(&it.shared, claim->api_key_id);
    return run(db, push_mark, &it, error);
}

// ---- Ending

typedef struct ending {
    const char *text;
    ez_pg_params params;
} ending;

static ez_status push_end(void *user, ez_pg_attempt *try, ez_error *error) {
    ending *it = user;
    ez_status status = begin(try, error);
    if (!status)
        status = ez_pg_push(try, it->text, &it->params, error);
    return status ? status : ez_pg_collect(try, NULL, NULL, error);
}

static ez_status end(void *db, const ez_claim *claim, const char *owner, ez_claim_end end, ez_error *error) {
    bool restores = (end == EZ_CLAIM_UNSENT || end == EZ_CLAIM_SETTLED) && claim->has_hash;
    ending it = {.text = end == EZ_CLAIM_OPEN    ? open_text
                         : end == EZ_CLAIM_SPENT ? spent_text
                         : restores              ? unsend_text
                                                 : settle_text};
    name_claim(&it.params, claim, owner);
    if (restores) {
        ez_pg_put_bytes(&it.params, claim->sent_hash, EZ_SHA256_LEN);
        ez_pg_put_int(&it.params, end == EZ_CLAIM_UNSENT ? claim->sends : 0);
        ez_pg_put_int(&it.params, claim->sent_ago_ms);
    }
    return run(db, push_end, &it, error);
}

// ---- Forgetting

typedef struct trimming {
    ez_pg_params bound, trim;
    int64_t after;
} trimming;

static ez_status read_bound(void *user, unsigned at, const PGresult *result, ez_error *error) {
    (void)error;
    trimming *it = user;
    if (at == FIRST)
        it->after = PQntuples(result) == 1 ? ez_pg_int(result, 0, 0) : 0;
    return EZ_OK;
}

static ez_status push_trim(void *user, ez_pg_attempt *try, ez_error *error) {
    trimming *it = user;
    ez_status status = begin(try, error);
    if (!status)
        status = ez_pg_push(try, bound_text, &it->bound, error);
    if (!status)
        status = ez_pg_push(try, trim_text, &it->trim, error);
    return status ? status : ez_pg_collect(try, read_bound, it, error);
}

static ez_status trim(void *db, int64_t keep_ms, size_t max_rows, int64_t *after, ez_error *error) {
    trimming it = {.after = 0};
    ez_pg_put_int(&it.bound, *after);
    ez_pg_put_int(&it.bound, (int64_t)max_rows);
    ez_pg_put_int(&it.trim, *after);
    ez_pg_put_int(&it.trim, (int64_t)max_rows);
    ez_pg_put_int(&it.trim, keep_ms);
    ez_status status = run(db, push_trim, &it, error);
    if (!status)
        *after = it.after;
    return status;
}

const ez_claim_ops ez_claims_postgres = {.take = take, .mark = mark, .end = end, .trim = trim};
