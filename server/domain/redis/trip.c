// SPDX-License-Identifier: Apache-2.0
//
// Two round trips to Redis for each batch. The first watches meta:ezplane and reads it, and what the index says of the
// batch's resources; the second is MULTI, the commands, meta:ezplane last, EXEC. Had anybody else written to
// meta:ezplane in between, EXEC does nothing: so a server that lost its lease and did not notice can't overwrite what
// its successor wrote, whose fence is greater.
//
// What Redis says: an error while commands are queued (out of memory, read-only, no permission) is about Redis, and
// EXEC then does nothing; an error within EXEC (a value of another type under our key) is about one command, the others
// are done.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/redis/inside.h"

#define NOBODY   UINT16_MAX // owns commands that belong to no resource
#define ATTEMPTS 5          // while others write to meta:ezplane

typedef struct meta {
    bool is_wrong; // not a hash
    bool has_epoch;
    uint64_t epoch, n;
    uint64_t fence, fence_epoch; // tokens of two stores do not compare
    uint64_t batch;              // how many were written, whoever wrote them
} meta;

typedef struct trip {
    ez_redis *r;
    ez_trip_kind kind;
    const ez_unit *units;
    size_t count;
    size_t done;
    size_t ahead;   // commands before the batch's
    bool flushes;   // what is late goes with it
    bool reaches;   // the revision too
    uint64_t batch; // what it says of itself
    uint8_t failed[EZ_BATCH_UNITS / 8];
} trip;

// ---- Looking

static void put_watch(const ez_redis *r, ez_buf *out) {
    ez_command_put(out, "UNWATCH", NULL);
    ez_command_begin(out, 2);
    ez_command_text(out, "WATCH");
    ez_command_key(out, r->prefix, EZ_REDIS_META);
    ez_command_begin(out, 7);
    ez_command_text(out, "HMGET");
    ez_command_key(out, r->prefix, EZ_REDIS_META);
    ez_command_text(out, "epoch");
    ez_command_text(out, "revision");
    ez_command_text(out, "fence");
    ez_command_text(out, "fence_epoch");
    ez_command_text(out, "batch");
}

static void put_index_look(const ez_redis *r, const ez_unit *units, size_t count, ez_buf *out) {
    ez_command_begin(out, 2 + count);
    ez_command_text(out, "HMGET");
    ez_command_key(out, r->prefix, EZ_REDIS_INDEX);
    for (size_t i = 0; i < count; i++) {
        char field[EZ_REDIS_FIELD_MAX] = "-";
        const ez_redis_kind *kind = ez_redis_kind_find(units[i].kind);
        if (kind && kind->letter)
            ez_redis_index_field(kind, units[i].id, field);
        ez_command_text(out, field);
    }
}

static bool read_number(const redisReply *reply, uint64_t *out) {
    *out = 0;
    if (reply->type != REDIS_REPLY_STRING)
        return false;
    char *end = NULL;
    *out = strtoull(reply->str, &end, 10);
    return end != reply->str && *end == 0;
}

static ez_status read_meta(const redisReply *reply, meta *out, ez_error *error) {
    *out = (meta){.is_wrong = false};
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0) {
        out->is_wrong = true;
        return EZ_OK;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5)
        return ez_redis_refused(reply, error);
    uint64_t n;
    read_number(reply->element[3], &out->fence_epoch);
    out->has_epoch = read_number(reply->element[0], &out->epoch) && read_number(reply->element[1], &n);
    out->n = out->has_epoch ? n : 0;
    read_number(reply->element[2], &out->fence);
    read_number(reply->element[4], &out->batch);
    if (out->batch >= INT64_MAX) // not ours
        out->batch = 0;
    return EZ_OK;
}

static void read_was(const redisReply *reply, ez_was *out) {
    out->is_known = reply->type == REDIS_REPLY_STRING && (size_t)reply->len <= sizeof out->text;
    out->len = out->is_known ? (uint16_t)reply->len : 0;
    if (out->is_known)
        memcpy(out->text, reply->str, out->len);
}

static ez_status lost(ez_error *error, const char *what) {
    return ez_error_set(error, EZ_DATA_LOSS, "REDIS_LOST", "%s", what);
}

static ez_status read_index(ez_redis *r, const redisReply *reply, size_t count, ez_error *error) {
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0)
        return lost(error, "the index in Redis is no hash");
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
        return ez_redis_refused(reply, error);
    for (size_t i = 0; i < count; i++)
        read_was(reply->element[i], &r->was[i]);
    return EZ_OK;
}

// Whether Redis is as we left it.
static ez_status judge(const ez_redis *r, const meta *found, bool is_claim, ez_error *error) {
    ez_revision head = ez_feed_head(r->options.feed);
    bool is_ours = found->fence_epoch == head.epoch;
    if (is_ours && found->fence > r->token)
        return ez_error_set(error, EZ_ABORTED, "FENCED", "a newer server writes to Redis");
    if (is_claim)
        return EZ_OK;
    if (!is_ours && found->fence_epoch)
        return lost(error, "another store has written to Redis");
    // What was written at one revision, the tables of a rebuild above all, has no other mark.
    if (is_ours && found->batch < r->batch_no)
        return lost(error, "Redis went back to before a batch that it had taken");
    if (ez_rebuild_is_running(r)) // it has claimed
        return is_ours && found->fence == r->token ? EZ_OK : lost(error, "Redis lost its data while it was rebuilt");
    if (!found->has_epoch)
        return lost(error, "Redis is empty, or was never made whole");
    if (found->epoch != head.epoch)
        return lost(error, "Redis holds the data of another store");
    if (found->n < r->done_n)
        return lost(error, "Redis went back to an older state");
    if (found->n > head.n)
        return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_AHEAD",
                            "Redis is at revision %" PRIu64 ", this server knows %" PRIu64 " yet", found->n, head.n);
    return EZ_OK;
}

static ez_status look(trip *t, bool is_claim, meta *found, ez_error *error) {
    ez_redis *r = t->r;
    bool asks_index = t->count > 0 && t->kind != EZ_TRIP_REBUILD;
    ez_buf out;
    ez_buf_init(&out, 1u << 20);
    put_watch(r, &out);
    if (asks_index)
        put_index_look(r, t->units, t->count, &out);
    ez_status status = ez_redis_link_send(r->link, &out, error);
    ez_buf_fini(&out);
    for (size_t i = 0; i < t->count; i++)
        r->was[i].is_known = false;
    ez_status verdict = EZ_OK; // all replies are read, whatever the first says
    for (int i = 0; status == EZ_OK && i < 3 + asks_index; i++) {
        ez_redis_autofree redisReply *reply = NULL;
        status = ez_redis_link_receive(r->link, 0, &reply, error);
        if (status != EZ_OK || verdict != EZ_OK)
            continue;
        if (i == 2)
            verdict = read_meta(reply, found, error);
        else if (i == 3)
            verdict = read_index(r, reply, t->count, error);
        else if (reply->type == REDIS_REPLY_ERROR)
            verdict = ez_redis_refused(reply, error);
    }
    status = status == EZ_OK ? verdict : status;
    status = status == EZ_OK ? judge(r, found, is_claim, error) : status;
    if (status == EZ_OK && !is_claim)
        r->batch_no = found->batch; // also one whose answer did not come
    t->batch = found->batch + 1;
    return status;
}

// ---- Building

static void fail_unit(trip *t, size_t at, const char *why) {
    ez_redis *r = t->r;
    if (t->failed[at / 8] & (1u << at % 8))
        return;
    t->failed[at / 8] |= (uint8_t)(1u << at % 8);
    bool is_parked = false;
    ez_status status =
        ez_unsent_fail(&r->due, t->units[at], &r->was[at], r->goal_n, why, ez_clock_wall_ns(), &is_parked);
    r->is_persist_due = true;
    atomic_fetch_add(&r->refused, 1);
    if (status != EZ_OK)
        ez_rebuild_ask(r, "too many resources are due", false);
    if (!is_parked)
        return;
    atomic_fetch_add(&r->parked_total, 1);
    char what[64];
    snprintf(what, sizeof what, "%s %" PRId64, ez_kind_word(t->units[at].kind), t->units[at].id);
    ez_log_error("Redis would not take a resource: it is parked until ezctl sync retry, or rebuild", "resource", what,
                 "why", why);
    r->is_well = false;
    if (r->options.failed)
        r->options.failed(r->options.failed_user, what);
}

static void build_unit(trip *t, size_t at) {
    ez_redis *r = t->r;
    ez_batch *batch = &r->batch;
    const ez_redis_kind *kind = ez_redis_kind_find(t->units[at].kind);
    if (!kind)
        return;
    if (!r->was[at].is_known) {
        const ez_unsent_row *row = ez_unsent_find(&r->due, t->units[at]);
        if (row && row->was.is_known)
            r->was[at] = row->was;
    }
    size_t len = batch->commands.len, commands = batch->command_count, late = batch->late.len;
    size_t late_count = batch->late_count;
    ez_error error = EZ_ERROR_INIT;
    ez_arena_reset(&batch->arena);
    batch->unit_at = at;
    const ez_entry *entry = ez_directory_get(r->options.directory, kind->kind, t->units[at].id);
    ez_status status =
        entry ? kind->put(batch, entry, &r->was[at], &error) : kind->drop(batch, t->units[at].id, &r->was[at], &error);
    ez_batch_text_done(batch);
    if (status == EZ_OK && !batch->commands.overflow && !batch->late.overflow)
        return;
    batch->commands.len = len;
    batch->command_count = commands;
    batch->late.len = late;
    batch->late_count = late_count;
    batch->commands.overflow = batch->late.overflow = false;
    fail_unit(t, at, status == EZ_OK ? "it is too large to be written to Redis" : error.message);
}

static void build(trip *t) {
    ez_batch *batch = &t->r->batch;
    batch->is_rebuild = t->kind == EZ_TRIP_REBUILD;
    batch->now_ns = ez_clock_wall_ns();
    ez_directory_enter();
    for (t->done = 0; t->done < t->count; t->done++) {
        if (batch->commands.len >= EZ_BATCH_FULL)
            break;
        build_unit(t, t->done);
    }
    ez_directory_leave();
}

static void put_meta(const trip *t, ez_buf *out) {
    const ez_redis *r = t->r;
    ez_command_begin(out, t->reaches ? 16 : 12);
    ez_command_text(out, "HSET");
    ez_command_key(out, r->prefix, EZ_REDIS_META);
    if (t->reaches) {
        ez_command_text(out, "epoch");
        ez_command_int(out, (int64_t)ez_feed_head(r->options.feed).epoch);
        ez_command_text(out, "revision");
        ez_command_int(out, (int64_t)r->goal_n);
    }
    ez_command_text(out, "updated_at");
    ez_command_int(out, ez_clock_wall_ns() / INT64_C(1000000000));
    ez_command_text(out, "fence");
    ez_command_int(out, (int64_t)r->token);
    ez_command_text(out, "fence_epoch");
    ez_command_int(out, (int64_t)ez_feed_head(r->options.feed).epoch);
    ez_command_text(out, "batch");
    ez_command_int(out, (int64_t)t->batch);
    ez_command_text(out, "server");
    ez_command_text(out, r->options.server_id);
}

// ---- Running

static ez_status take_results(trip *t, const redisReply *reply, ez_error *error) {
    const ez_batch *batch = &t->r->batch;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *one = reply->element[i];
        if (one->type != REDIS_REPLY_ERROR)
            continue;
        char text[EZ_SYNC_ERROR_MAX];
        ez_redis_error_text(one, text, sizeof text);
        size_t at = i - t->ahead;
        uint16_t owner = i >= t->ahead && at < batch->command_count ? batch->owners[at] : NOBODY;
        if (owner == NOBODY)
            return lost(error, "Redis would not take what we note there about ourselves");
        fail_unit(t, owner, text);
    }
    return EZ_OK;
}

// MULTI, and what must be empty before it is written.
static ez_status send_head(trip *t, ez_error *error) {
    ez_batch *batch = &t->r->batch;
    ez_buf head;
    ez_buf_init(&head, EZ_BATCH_MAX);
    ez_command_put(&head, "MULTI", NULL);
    t->ahead = batch->unlink_count > 0;
    if (t->ahead > 0) {
        ez_command_begin(&head, 1 + batch->unlink_count);
        ez_command_text(&head, "UNLINK");
        ez_buf_append(&head, batch->unlinks.data, batch->unlinks.len);
    }
    ez_status status = ez_redis_link_send(t->r->link, &head, error);
    ez_buf_fini(&head);
    return status;
}

// How many commands: what is late, the index, meta:ezplane last.
static size_t put_tail(trip *t) {
    ez_batch *batch = &t->r->batch;
    ez_buf *out = &batch->commands;
    size_t count = 1;
    if (t->flushes && batch->late_count > 0) {
        ez_buf_append(out, batch->late.data, batch->late.len);
        count += batch->late_count;
    }
    if (batch->index_count > 0) {
        ez_command_begin(out, 2 + 2 * batch->index_count);
        ez_command_text(out, "HSET");
        ez_command_key(out, batch->prefix, EZ_REDIS_INDEX);
        ez_buf_append(out, batch->indexes.data, batch->indexes.len);
        count++;
    }
    put_meta(t, out);
    ez_command_put(out, "EXEC", NULL);
    return count;
}

// *again: somebody else wrote to meta:ezplane.
static ez_status run(trip *t, bool *again, ez_error *error) {
    ez_redis *r = t->r;
    size_t commands = r->batch.command_count, tail = put_tail(t);
    ez_status status = send_head(t, error);
    size_t expected = t->ahead + commands + tail;
    if (status == EZ_OK)
        status = ez_redis_link_send(r->link, &r->batch.commands, error);
    bool is_refused = false;
    for (size_t i = 0; status == EZ_OK && i < expected + 2; i++) {
        ez_redis_autofree redisReply *reply = NULL;
        status = ez_redis_link_receive(r->link, 0, &reply, error);
        if (status != EZ_OK || is_refused)
            continue;
        if (reply->type == REDIS_REPLY_ERROR) {
            is_refused = true;
            (void)ez_redis_refused(reply, error);
        } else if (i == expected + 1) {
            *again = reply->type == REDIS_REPLY_NIL;
            if (!*again && (reply->type != REDIS_REPLY_ARRAY || reply->elements != expected))
                return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_REFUSED", "Redis answered something else");
            status = *again ? EZ_OK : take_results(t, reply, error);
        }
    }
    return is_refused ? EZ_UNAVAILABLE : status;
}

static void settle(trip *t) {
    ez_redis *r = t->r;
    for (size_t i = 0; i < t->done && r->due.count > 0; i++)
        if (!(t->failed[i / 8] & (1u << i % 8)))
            ez_unsent_settle(&r->due, t->units[i]);
    r->batch_no = t->batch;
    atomic_fetch_add(&r->batches, 1);
    atomic_fetch_add(&r->written, t->done);
    if (t->flushes) {
        ez_buf_clear(&r->batch.late);
        r->batch.late_count = 0;
    }
    if (t->reaches) {
        r->done_n = r->goal_n;
        r->is_whole = true;
        r->is_persist_due = true;
    }
    r->is_answering = true;
}

void ez_trip_begin(ez_redis *r) {
    ez_batch_clear(&r->batch);
}

static ez_status others_write(ez_error *error) {
    return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_CONTENDED", "somebody else writes to %s in Redis all the time",
                        EZ_REDIS_META);
}

ez_status ez_trip(ez_redis *r, ez_trip_kind kind, const ez_unit *units, size_t count, size_t *done, ez_error *error) {
    trip t = {.r = r, .kind = kind, .units = units, .count = count < EZ_BATCH_UNITS ? count : EZ_BATCH_UNITS};
    for (int i = 0; i < ATTEMPTS; i++) {
        meta found;
        bool again = false;
        ez_status status = look(&t, false, &found, error);
        if (status != EZ_OK)
            return status;
        ez_trip_begin(r);
        build(&t);
        bool is_all = t.done == count && r->batch.span_count == 0;
        t.flushes = kind != EZ_TRIP_REBUILD && is_all;
        t.reaches = t.flushes && kind == EZ_TRIP_FOLLOW && !ez_rebuild_is_running(r);
        status = run(&t, &again, error);
        if (status == EZ_OK && !again)
            settle(&t);
        ez_batch_clear(&r->batch);
        if (status != EZ_OK || !again) {
            *done = t.done;
            return status;
        }
    }
    return others_write(error);
}

ez_status ez_trip_commands(ez_redis *r, bool is_claim, bool reaches, ez_error *error) {
    trip t = {.r = r, .kind = EZ_TRIP_REBUILD, .reaches = reaches};
    meta found;
    bool again = false;
    for (size_t i = 0; i < r->batch.command_count; i++)
        r->batch.owners[i] = NOBODY;
    ez_status status = look(&t, is_claim, &found, error);
    if (status == EZ_OK && found.is_wrong) {
        ez_batch_command(&r->batch, "UNLINK", EZ_REDIS_META, 0);
        r->batch.owners[r->batch.command_count - 1] = NOBODY;
    }
    if (status == EZ_OK)
        status = run(&t, &again, error);
    if (status == EZ_OK && again)
        status = others_write(error);
    if (status == EZ_OK)
        settle(&t);
    ez_batch_clear(&r->batch);
    return status;
}

ez_status ez_trip_ping(ez_redis *r, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 64);
    ez_command_put(&out, "PING", NULL);
    ez_status status = ez_redis_link_ask(r->link, &out, 1, NULL, error);
    ez_buf_fini(&out);
    return status;
}

// Two questions beside meta:ezplane: whether the index is there, without which tokens of keys that go or are rotated
// are not found any more, and how long the refresh queue is.
static ez_status ask_beside(ez_redis *r, ez_error *error) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    ez_command_begin(&out, 2);
    ez_command_text(&out, "EXISTS");
    ez_command_key(&out, r->prefix, EZ_REDIS_INDEX);
    ez_command_begin(&out, 2);
    ez_command_text(&out, "LLEN");
    ez_command_key(&out, r->prefix, "token:refresh:queue");
    ez_redis_autofree redisReply *index = NULL, *queue = NULL;
    ez_status status = ez_redis_link_send(r->link, &out, error);
    ez_buf_fini(&out);
    if (status == EZ_OK)
        status = ez_redis_link_receive(r->link, 0, &index, error);
    if (status == EZ_OK)
        status = ez_redis_link_receive(r->link, 0, &queue, error);
    if (status != EZ_OK)
        return status;
    r->refresh_waiting = queue->type == REDIS_REPLY_INTEGER ? queue->integer : -1;
    r->is_answering = true;
    if (index->type == REDIS_REPLY_INTEGER && index->integer == 0)
        return lost(error, "the index in Redis is gone");
    return EZ_OK;
}

ez_status ez_trip_unlink(ez_redis *r, const char *const *keys, size_t count, ez_error *error) {
    trip t = {.r = r, .kind = EZ_TRIP_REBUILD};
    meta found;
    ez_status status = look(&t, true, &found, error);
    if (status != EZ_OK)
        return status;
    ez_buf out;
    ez_buf_init(&out, 1u << 16);
    ez_command_begin(&out, 1 + count);
    ez_command_text(&out, "UNLINK");
    for (size_t i = 0; i < count; i++)
        ez_command_key(&out, r->prefix, keys[i]);
    status = ez_redis_link_ask(r->link, &out, 1, NULL, error);
    ez_buf_fini(&out);
    return status;
}

ez_status ez_trip_look(ez_redis *r, ez_error *error) {
    trip t = {.r = r, .kind = EZ_TRIP_REBUILD};
    meta found;
    ez_status status = look(&t, false, &found, error);
    return status == EZ_OK ? ask_beside(r, error) : status;
}
