// SPDX-License-Identifier: Apache-2.0
//
// One thread's life: pick a change, ask for it until the answer is OK, note it. A change that was asked for is never
// dropped, because nobody knows whether it happened; asking again under its idempotency key is how one learns.
// Assertions belong to the test's thread: writers count what should not have come, the check looks at the counts.
#include "tests/fault/support/writers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/token.h"
#include "tests/integration/support/trail.h"

static uint64_t draw(ez_writer_thread *t) {
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

static bool wants_end(ez_writers *writers) {
    pthread_mutex_lock(&writers->mutex);
    bool end = writers->wants_end;
    pthread_mutex_unlock(&writers->mutex);
    return end;
}

// What each writer came to last: the words of a failure.
static const char *last_words(const ez_writers *writers) {
    static char text[EZ_WRITERS_MAX * 256];
    size_t len = 0;
    for (unsigned i = 0; i < writers->count; i++) {
        const ez_writer_thread *t = &writers->threads[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "\n  writer %u: %llu done, %llu repeats, %s %.160s", i,
                                (unsigned long long)t->ops, (unsigned long long)t->repeats, t->doing, t->last.message);
    }
    return text;
}

static bool is_for_later(ez_status status) {
    return status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED || status == EZ_RESOURCE_EXHAUSTED;
}

// Asks until it is acknowledged. False where it was refused, or the test is over.
static bool change(ez_writer_thread *t, const char *method, const ProtobufCMessage *request, ProtobufCMessage **reply) {
    char name[48];
    snprintf(name, sizeof name, "w%u-%llu", t->index, (unsigned long long)t->ops + 1);
    ez_call_options options = {.idempotency_key = name,
                               .request_id = name,
                               .authorization = t->writers->world->server.admin_token,
                               .timeout_ms = 2000};
    const ez_method *found = ez_method_find(method, strlen(method));
    for (;;) {
        ez_error error = EZ_ERROR_INIT;
        t->doing = found->rpc;
        ez_status status = ez_client_call(t->client, found, request, &options, reply, &error);
        t->doing = "between calls;";
        t->last = error;
        if (status == EZ_OK)
            break;
        if (!is_for_later(status)) {
            t->refused++;
            t->refusal = error;
            return false;
        }
        if (wants_end(t->writers))
            return false;
        t->repeats++;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    t->ops++;
    return true;
}

static void create(ez_writer_thread *t) {
    ez_written *row = &t->rows[t->row_count];
    *row = (ez_written){.seq = 0};
    snprintf(row->name, sizeof row->name, "k%u-%llu", t->index, (unsigned long long)t->ops + 1);
    Ez__V1__CreateKeyRequest request = EZ__V1__CREATE_KEY_REQUEST__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.name = row->name;
    request.master_id = t->writers->master_id;
    request.key = &key;
    ProtobufCMessage *reply = NULL;
    if (!change(t, "ez.v1.Keys/Create", &request.base, &reply))
        return;
    const Ez__V1__Key *made = (const Ez__V1__Key *)reply;
    row->id = made->id;
    ez_token_hash(made->token, strlen(made->token), row->token_sha256);
    t->row_count++;
    protobuf_c_message_free_unpacked(reply, NULL);
}

static void relabel(ez_writer_thread *t, ez_written *row) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)row->seq + 1);
    Ez__V1__UpdateKeyRequest request = EZ__V1__UPDATE_KEY_REQUEST__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    char *mask[] = {(char *)"scopes"};
    char *scopes[] = {text};
    key.n_scopes = 1;
    key.scopes = scopes;
    request.id = row->id;
    request.key = &key;
    request.n_update_mask = 1;
    request.update_mask = mask;
    if (change(t, "ez.v1.Keys/Update", &request.base, NULL))
        row->seq++;
}

static void turn(ez_writer_thread *t, ez_written *row) {
    Ez__V1__DisableKeyRequest disable = EZ__V1__DISABLE_KEY_REQUEST__INIT;
    Ez__V1__EnableKeyRequest enable = EZ__V1__ENABLE_KEY_REQUEST__INIT;
    disable.id = enable.id = row->id;
    bool done = row->is_disabled ? change(t, "ez.v1.Keys/Enable", &enable.base, NULL)
                                 : change(t, "ez.v1.Keys/Disable", &disable.base, NULL);
    if (done)
        row->is_disabled = !row->is_disabled;
}

static void delete (ez_writer_thread *t, ez_written *row) {
    Ez__V1__DeleteKeyRequest request = EZ__V1__DELETE_KEY_REQUEST__INIT;
    request.id = row->id;
    if (change(t, "ez.v1.Keys/Delete", &request.base, NULL))
        *row = t->rows[--t->row_count];
}

static void do_something(ez_writer_thread *t) {
    unsigned which = (unsigned)(draw(t) % 100);
    ez_written *row = t->row_count ? &t->rows[draw(t) % t->row_count] : NULL;
    if (!row || (which < 40 && t->row_count < EZ_WRITER_ROWS_MAX))
        create(t);
    else if (which < 65)
        relabel(t, row);
    else if (which < 85)
        turn(t, row);
    else
        delete (t, row);
}

static void *write_on(void *arg) {
    ez_writer_thread *t = arg;
    ez_writers *writers = t->writers;
    pthread_mutex_lock(&writers->mutex);
    while (!writers->wants_end) {
        if (writers->wants_rest) {
            writers->resting++;
            pthread_cond_broadcast(&writers->changed);
            while (writers->wants_rest && !writers->wants_end)
                pthread_cond_wait(&writers->changed, &writers->mutex);
            writers->resting--;
            continue;
        }
        pthread_mutex_unlock(&writers->mutex);
        uint64_t before = t->ops;
        do_something(t);
        pthread_mutex_lock(&writers->mutex);
        writers->acknowledged += t->ops - before;
        pthread_cond_broadcast(&writers->changed);
    }
    pthread_mutex_unlock(&writers->mutex);
    return NULL;
}

void given_writers(ez_writers *writers, ez_world *world, unsigned count) {
    memset(writers, 0, sizeof *writers);
    writers->world = world;
    writers->count = count;
    writers->master_id = given_master(&world->admin, "written")->id;
    writers->revision = revision_of(world);
    ez_trail trail = given_trail(world, 0, 0);
    expect_chain(&trail, NULL);
    writers->audited_id = trail.entries[0]->id;
    memcpy(writers->audited_hash, trail.entries[0]->hash.data, 32);
    end_trail(&trail);
    pthread_mutex_init(&writers->mutex, NULL);
    pthread_cond_init(&writers->changed, NULL);
    for (unsigned i = 0; i < count; i++) {
        ez_writer_thread *t = &writers->threads[i];
        ez_error error = EZ_ERROR_INIT;
        t->writers = writers;
        t->index = i;
        t->doing = "begins;";
        t->random = 0x9e3779b97f4a7c15u * (i + 1);
        ez_client_options options = {.servers = {world->server.rpc_url}, .server_count = 1, .name = "writer/1"};
        expect_ok(ez_client_open(&options, &t->client, &error), &error);
        cr_assert_eq(pthread_create(&t->thread, NULL, write_on, t), 0);
    }
}

static bool timed_wait(ez_writers *writers, uint64_t deadline_ms) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&writers->changed, &writers->mutex, &until);
    return ez_test_before(deadline_ms);
}

uint64_t acknowledged(ez_writers *writers) {
    pthread_mutex_lock(&writers->mutex);
    uint64_t count = writers->acknowledged;
    pthread_mutex_unlock(&writers->mutex);
    return count;
}

void await_writes(ez_writers *writers, uint64_t more) {
    uint64_t deadline = ez_test_deadline();
    bool in_time = true;
    pthread_mutex_lock(&writers->mutex);
    uint64_t wanted = writers->acknowledged + more;
    while (writers->acknowledged < wanted && in_time)
        in_time = timed_wait(writers, deadline);
    pthread_mutex_unlock(&writers->mutex);
    cr_assert(in_time, "writes do not go on:%s", last_words(writers));
}

void rest(ez_writers *writers) {
    uint64_t deadline = ez_test_deadline();
    bool in_time = true;
    pthread_mutex_lock(&writers->mutex);
    writers->wants_rest = true;
    while (writers->resting < writers->count && in_time)
        in_time = timed_wait(writers, deadline);
    pthread_mutex_unlock(&writers->mutex);
    cr_assert(in_time, "changes are never acknowledged:%s", last_words(writers));
}

void resume(ez_writers *writers) {
    pthread_mutex_lock(&writers->mutex);
    writers->wants_rest = false;
    pthread_cond_broadcast(&writers->changed);
    while (writers->resting > 0)
        pthread_cond_wait(&writers->changed, &writers->mutex);
    pthread_mutex_unlock(&writers->mutex);
}

void end_writers(ez_writers *writers) {
    pthread_mutex_lock(&writers->mutex);
    writers->wants_end = true;
    pthread_cond_broadcast(&writers->changed);
    pthread_mutex_unlock(&writers->mutex);
    for (unsigned i = 0; i < writers->count; i++) {
        pthread_join(writers->threads[i].thread, NULL);
        ez_client_close(writers->threads[i].client);
    }
    pthread_cond_destroy(&writers->changed);
    pthread_mutex_destroy(&writers->mutex);
}

// ---- The check

static ez_written *find_row(ez_writers *writers, const Ez__V1__Key *key) {
    unsigned index = 0;
    cr_assert_eq(sscanf(key->name, "k%u-", &index), 1, "a key \"%s\" that nobody made", key->name);
    cr_assert_lt(index, writers->count);
    ez_writer_thread *t = &writers->threads[index];
    for (size_t i = 0; i < t->row_count; i++)
        if (t->rows[i].id == key->id)
            return &t->rows[i];
    return NULL;
}

static void expect_row(ez_writers *writers, const Ez__V1__Key *key) {
    const ez_written *row = find_row(writers, key);
    cr_assert_not_null(row, "key %" PRId64 " (%s) is there, but was deleted or never acknowledged", key->id, key->name);
    cr_assert_str_eq(key->name, row->name);
    uint64_t seq = key->n_scopes ? strtoull(key->scopes[0], NULL, 10) : 0;
    cr_assert_eq(seq, row->seq, "key %s is at change %" PRIu64 ", acknowledged was %" PRIu64, key->name, seq, row->seq);
    cr_assert_eq(key->status == EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED, row->is_disabled, "status of %s", key->name);
    cr_assert_eq(memcmp(key->token_sha256.data, row->token_sha256, 32), 0, "key %s has another token than was given",
                 key->name);
}

static void expect_keys(ez_writers *writers) {
    size_t wanted = 0, seen = 0;
    for (unsigned i = 0; i < writers->count; i++)
        wanted += writers->threads[i].row_count;
    char token[600] = "";
    do {
        Ez__V1__ListKeysResponse *page =
            ask(&writers->world->admin, "Keys/List", "{'master_id':%" PRId64 ",'page_size':1000,'page_token':'%s'}",
                writers->master_id, token);
        for (size_t i = 0; i < page->n_items; i++, seen++)
            expect_row(writers, page->items[i]);
        snprintf(token, sizeof token, "%s", page->next_page_token);
    } while (token[0]);
    cr_assert_eq(seen, wanted, "%zu keys are there, %zu were acknowledged", seen, wanted);
}

// Entries since the last check: op by op, none missing, none twice.
static void expect_audit(ez_writers *writers) {
    ez_trail trail = given_trail(writers->world, writers->audited_id, 0);
    expect_chain(&trail, writers->audited_hash);
    uint64_t *next = writers->audited_ops;
    for (size_t i = trail.count; i > 0; i--) {
        const Ez__V1__AuditEntry *entry = trail.entries[i - 1];
        unsigned index = 0;
        unsigned long long op = 0;
        if (sscanf(entry->request_id, "w%u-%llu", &index, &op) != 2 || index >= writers->count)
            continue; // the test's own
        cr_assert_eq(op, next[index] + 1, "writer %u's change %llu is recorded where %llu should be", index, op,
                     (unsigned long long)next[index] + 1);
        next[index] = op;
    }
    for (unsigned i = 0; i < writers->count; i++)
        cr_assert_eq(next[i], writers->threads[i].ops, "writer %u had %llu changes acknowledged, %llu are recorded", i,
                     (unsigned long long)writers->threads[i].ops, (unsigned long long)next[i]);
    if (trail.count > 0) {
        writers->audited_id = trail.entries[0]->id;
        memcpy(writers->audited_hash, trail.entries[0]->hash.data, 32);
    }
    end_trail(&trail);
}

void expect_nothing_lost(ez_writers *writers) {
    for (unsigned i = 0; i < writers->count; i++)
        cr_assert_eq(writers->threads[i].refused, 0, "writer %u was refused: %s", i,
                     writers->threads[i].refusal.message);
    expect_keys(writers);
    expect_audit(writers);
    writers->revision = expect_contiguous_changes(writers->world, writers->revision);
}
