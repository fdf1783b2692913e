// SPDX-License-Identifier: Apache-2.0
//
// Making Redis whole, in steps between which changes are followed. First the hashes of many rows are made beside the
// old ones and renamed over them in one MULTI: a reader sees the old one or the new one. Keys of their own (masters,
// tokens) are each replaced in one step. Last, a scan takes away tokens and masters that no longer are, and only then
// the revision is said: so a reader that sees it sees no token that was revoked before. Until then meta:ezplane says
// what it said before, or no revision at all where Redis was empty.
//
// A token that is deleted while its row in the index is not yet written again is found by the scan.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/redis/inside.h"

#define CHUNK        2000 // resources of one step
#define SCAN_COUNT   "1000"
#define PATTERN_MAX  600
#define TABLES_MAX   8
#define FULL_DOUBLED 3 // how often the pause is, while Redis is full

bool ez_rebuild_is_running(const ez_redis *r) {
    return r->rebuild.phase > EZ_PHASE_CLAIM;
}

bool ez_rebuild_lets_follow(const ez_redis *r) {
    return r->rebuild.phase != EZ_PHASE_CLAIM && r->rebuild.phase != EZ_PHASE_TABLES;
}

void ez_rebuild_ask(ez_redis *r, const char *why, bool by_admin) {
    ez_rebuild *rebuild = &r->rebuild;
    if (by_admin && ez_rebuild_is_running(r))
        return; // looked at again when it is through
    if (rebuild->phase != EZ_PHASE_CLAIM)
        ez_log_warn("Redis is written anew", "why", why);
    rebuild->phase = EZ_PHASE_CLAIM;
    rebuild->is_asked = by_admin;
    snprintf(rebuild->why, sizeof rebuild->why, "%s", why);
}

bool ez_rebuild_waits(const ez_redis *r) {
    return r->rebuild.phase == EZ_PHASE_CLAIM && !r->rebuild.is_asked && ez_clock_mono_ms() < r->rebuild.not_before;
}

static size_t new_tables(char names[TABLES_MAX][64], const char *keys[TABLES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < ez_redis_kind_count && count < TABLES_MAX; i++) {
        if (!ez_redis_kinds[i].table)
            continue;
        snprintf(names[count], 64, "%s:new", ez_redis_kinds[i].table);
        keys[count] = names[count];
        count++;
    }
    return count;
}

// The new tables do not fit beside the old ones: they go, so that what Redis had before has its room again, and all of
// it is tried again later.
static void give_up(ez_redis *r) {
    char names[TABLES_MAX][64];
    const char *keys[TABLES_MAX];
    ez_error error = EZ_ERROR_INIT;
    ez_rebuild *rebuild = &r->rebuild;
    if (ez_trip_unlink(r, keys, new_tables(names, keys), &error) != EZ_OK)
        ez_log_warn("the half of what is written anew stays in Redis until it is tried again", "why", error.message);
    ez_log_warn("Redis has no room to be written anew; trying again", "tries", EZ_LOG_INT(rebuild->full + 1));
    rebuild->phase = EZ_PHASE_CLAIM;
    rebuild->is_asked = false; // it waits now, whoever asked
    rebuild->not_before = ez_clock_mono_ms() + ((uint64_t)r->options.interval_ms << rebuild->full);
    rebuild->full += rebuild->full < FULL_DOUBLED;
}

static ez_status claim(ez_redis *r, ez_error *error) {
    uint64_t retries;
    r->is_persist_due = true;
    ez_status status = ez_state_save(r, true, error);
    if (status != EZ_OK)
        return status;
    r->rebuild.begun_ms = ez_clock_mono_ms();
    if (!r->rebuild.is_asked)
        r->rebuild.not_before = r->rebuild.begun_ms + (uint64_t)r->options.interval_ms;
    ez_state_asked(r, &r->rebuild.asked, &retries);
    ez_extras_forget(&r->extras); // before the head is read: what comes later is followed
    r->at = (ez_feed_cursor){.n = ez_feed_head(r->options.feed).n};
    ez_unsent_clear(&r->due);
    ez_batch_reset(&r->batch);
    ez_trip_begin(r);
    char names[TABLES_MAX][64];
    const char *keys[TABLES_MAX];
    size_t tables = new_tables(names, keys);
    for (size_t i = 0; i < tables; i++)
        ez_batch_command(&r->batch, "UNLINK", keys[i], 0);
    ez_batch_command(&r->batch, "UNLINK", EZ_REDIS_INDEX, 0);
    ez_batch_command(&r->batch, "HSET", EZ_REDIS_INDEX, 2); // so that it is there while nothing else is
    ez_command_text(ez_batch_out(&r->batch), "made_at");
    ez_command_int(ez_batch_out(&r->batch), ez_clock_wall_ns() / INT64_C(1000000000));
    status = ez_trip_commands(r, true, false, error);
    if (status != EZ_OK)
        return status;
    atomic_fetch_add(&r->rebuilds, 1);
    r->rebuild.phase = EZ_PHASE_TABLES;
    r->rebuild.row = 0;
    r->rebuild.after = 0;
    return EZ_OK;
}

// ---- Rows

static size_t gather(ez_redis *r, int kind) {
    size_t count = 0;
    int64_t id = r->rebuild.after;
    ez_directory_enter();
    for (const ez_entry *entry; count < CHUNK;) {
        entry = ez_directory_next(r->options.directory, kind, id, false);
        if (!entry)
            break;
        id = ez_entry_id(entry);
        r->units[count++] = (ez_unit){kind, id};
    }
    ez_directory_leave();
    return count;
}

// Which of the new tables there are: an empty hash is none.
static ez_status look_at_tables(ez_redis *r, bool *is_there, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 1u << 16);
    for (size_t i = 0; i < ez_redis_kind_count; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s:new", ez_redis_kinds[i].table ? ez_redis_kinds[i].table : "");
        ez_command_begin(&out, 2);
        ez_command_text(&out, "EXISTS");
        ez_command_key(&out, r->prefix, key);
    }
    ez_status status = ez_redis_link_send(r->link, &out, error);
    ez_buf_fini(&out);
    for (size_t i = 0; status == EZ_OK && i < ez_redis_kind_count; i++) {
        ez_redis_autofree redisReply *reply = NULL;
        status = ez_redis_link_receive(r->link, 0, &reply, error);
        is_there[i] = status == EZ_OK && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
    }
    return status;
}

static bool has_setting(const ez_redis *r, const char *name) {
    ez_directory_enter();
    bool has = ez_directory_find(r->options.directory, EZ_INDEX_SETTING_NAME, ez_index_text(name)) != NULL;
    ez_directory_leave();
    return has;
}

// Keys of settings that are not there; those that are come next.
static void drop_settings(ez_redis *r) {
    static const char *const keys[][2] = {{"features", "meta:features"},
                                          {"features", "meta:log:retention_days"},
                                          {"features", "meta:log:max_records"},
                                          {"models_meta", "meta:models_meta"}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!has_setting(r, keys[i][0]))
            ez_batch_command(&r->batch, "UNLINK", keys[i][1], 0);
}

static ez_status rename_tables(ez_redis *r, ez_error *error) {
    bool is_there[16] = {false};
    ez_status status = look_at_tables(r, is_there, error);
    if (status != EZ_OK)
        return status;
    ez_trip_begin(r);
    for (size_t i = 0; i < ez_redis_kind_count; i++) {
        char key[64];
        const char *table = ez_redis_kinds[i].table;
        if (!table)
            continue;
        snprintf(key, sizeof key, "%s:new", table);
        ez_batch_command(&r->batch, is_there[i] ? "RENAME" : "UNLINK", is_there[i] ? key : table, is_there[i]);
        if (is_there[i])
            ez_command_key(ez_batch_out(&r->batch), r->prefix, table);
    }
    drop_settings(r);
    return ez_trip_commands(r, false, false, error);
}

void ez_rebuild_scan_anew(ez_redis *r) {
    snprintf(r->rebuild.scan, sizeof r->rebuild.scan, "0");
}

static ez_status next_row(ez_redis *r, ez_error *error) {
    ez_rebuild *rebuild = &r->rebuild;
    rebuild->row++;
    rebuild->after = 0;
    bool is_last = rebuild->row == ez_redis_kind_count;
    bool is_after_tables = !is_last && ez_redis_kinds[rebuild->row].kind == KIND_SETTING;
    if (rebuild->phase == EZ_PHASE_TABLES && (is_after_tables || is_last)) {
        ez_status status = rename_tables(r, error);
        if (status != EZ_OK)
            return status;
        rebuild->phase = EZ_PHASE_RECORDS;
    }
    if (is_last) {
        rebuild->phase = EZ_PHASE_SWEEP;
        ez_rebuild_scan_anew(r);
    }
    return EZ_OK;
}

static ez_status write_rows(ez_redis *r, ez_error *error) {
    int kind = ez_redis_kinds[r->rebuild.row].kind;
    size_t count = gather(r, kind), done = 0;
    if (count == 0)
        return next_row(r, error);
    r->goal_n = r->at.n;
    ez_status status = ez_trip(r, EZ_TRIP_REBUILD, r->units, count, &done, error);
    if (status == EZ_OK && done > 0)
        r->rebuild.after = r->units[done - 1].id;
    return status;
}

// ---- What should not be there

static bool is_digits(const char *text) {
    return text[0] && strspn(text, "0123456789") == strlen(text) && strlen(text) < 19;
}

static bool read_sha256(const char *text, uint8_t out[EZ_SHA256_LEN]) {
    if (strlen(text) != 2 * EZ_SHA256_LEN || strspn(text, "0123456789abcdef") != 2 * EZ_SHA256_LEN)
        return false;
    for (size_t i = 0; i < EZ_SHA256_LEN; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

// A token or master that nobody has. Within the directory's read section.
static bool is_stale(const ez_redis *r, const char *key) {
    uint8_t sha256[EZ_SHA256_LEN];
    if (strncmp(key, "auth:master:", 12) == 0)
        return is_digits(key + 12) &&
               !ez_directory_get(r->options.directory, EZ__V1__KIND__KIND_MASTER, strtoll(key + 12, NULL, 10));
    return strncmp(key, "auth:token:", 11) == 0 && read_sha256(key + 11, sha256) &&
           !ez_directory_find(r->options.directory, EZ_INDEX_KEY_TOKEN, ez_index_bytes(sha256, EZ_SHA256_LEN));
}

static void write_pattern(const char *prefix, char out[PATTERN_MAX]) {
    size_t n = 0;
    for (const char *at = prefix; *at && n + 10 < PATTERN_MAX; at++) {
        if (strchr("*?[]\\^", *at))
            out[n++] = '\\';
        out[n++] = *at;
    }
    snprintf(out + n, PATTERN_MAX - n, "auth:*");
}

static ez_status scan(ez_redis *r, redisReply **out, ez_error *error) {
    char pattern[PATTERN_MAX];
    write_pattern(r->prefix, pattern);
    ez_buf command;
    ez_buf_init(&command, 4096);
    ez_command_put(&command, "SCAN", r->rebuild.scan, "MATCH", pattern, "COUNT", SCAN_COUNT, NULL);
    ez_status status = ez_redis_link_ask(r->link, &command, 1, out, error);
    ez_buf_fini(&command);
    if (status == EZ_OK &&
        ((*out)->type != REDIS_REPLY_ARRAY || (*out)->elements != 2 || (*out)->element[0]->type != REDIS_REPLY_STRING ||
         (*out)->element[1]->type != REDIS_REPLY_ARRAY))
        return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_REFUSED", "Redis answered SCAN with something else");
    return status;
}

static ez_status unlink_stale(ez_redis *r, const redisReply *keys, ez_error *error) {
    size_t prefix = strlen(r->prefix), count = 0;
    ez_trip_begin(r);
    ez_directory_enter();
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        if (key->type != REDIS_REPLY_STRING || (size_t)key->len <= prefix || strlen(key->str) != (size_t)key->len ||
            !is_stale(r, key->str + prefix))
            continue;
        ez_batch_command(&r->batch, "UNLINK", key->str + prefix, 0);
        count++;
    }
    ez_directory_leave();
    return count > 0 ? ez_trip_commands(r, false, false, error) : EZ_OK;
}

static ez_status finish(ez_redis *r, ez_error *error) {
    r->goal_n = r->at.n;
    ez_trip_begin(r);
    ez_status status = ez_trip_commands(r, false, true, error);
    if (status != EZ_OK)
        return status;
    r->rebuild.phase = EZ_PHASE_NONE;
    r->rebuild.full = 0;
    r->rebuilds_done = r->rebuild.asked;
    r->rebuilt_ns = ez_clock_wall_ns();
    ez_log_info("Redis is whole", "revision", EZ_LOG_INT(r->done_n), "ms",
                EZ_LOG_INT(ez_clock_mono_ms() - r->rebuild.begun_ms));
    ez_state_look_asked(r);
    return ez_state_save(r, true, error);
}

static ez_status sweep(ez_redis *r, ez_error *error) {
    ez_redis_autofree redisReply *reply = NULL;
    if (strcmp(r->rebuild.scan, "") == 0) { // all was looked at: once nothing waits
        pthread_mutex_lock(&r->extras.lock);
        bool is_through = r->extras.count == 0;
        pthread_mutex_unlock(&r->extras.lock);
        return is_through ? finish(r, error) : EZ_OK;
    }
    ez_status status = scan(r, &reply, error);
    if (status == EZ_OK)
        status = unlink_stale(r, reply->element[1], error);
    if (status != EZ_OK)
        return status;
    bool is_end = strcmp(reply->element[0]->str, "0") == 0;
    snprintf(r->rebuild.scan, sizeof r->rebuild.scan, "%s", is_end ? "" : reply->element[0]->str);
    return EZ_OK;
}

static ez_status take_step(ez_redis *r, ez_error *error) {
    switch (r->rebuild.phase) {
    case EZ_PHASE_CLAIM:
        return ez_rebuild_waits(r) ? EZ_OK : claim(r, error);
    case EZ_PHASE_TABLES:
    case EZ_PHASE_RECORDS:
        return write_rows(r, error);
    case EZ_PHASE_SWEEP:
        return sweep(r, error);
    case EZ_PHASE_NONE:
        break;
    }
    return EZ_OK;
}

ez_status ez_rebuild_step(ez_redis *r, ez_error *error) {
    bool has_new = r->rebuild.phase == EZ_PHASE_CLAIM || r->rebuild.phase == EZ_PHASE_TABLES;
    ez_status status = take_step(r, error);
    if (status != EZ_OK && has_new && strcmp(error->reason, "REDIS_FULL") == 0)
        give_up(r);
    return status;
}
