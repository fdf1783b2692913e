// SPDX-License-Identifier: Apache-2.0
//
// The threads of a history. A writer works on one key at a time: it makes it, changes its label a few times, deletes
// it, so that every change but the first needs the one before.
#include "tests/fault/support/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LABELS 8 // changes of a key, about

static uint64_t draw(ez_history_writer *w) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static void note(ez_history *history, const char *format, ...) EZ_PRINTF(2, 3);
static void note(ez_history *history, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&history->lock);
    if (!history->fault[0])
        vsnprintf(history->fault, sizeof history->fault, format, arguments);
    pthread_mutex_unlock(&history->lock);
    va_end(arguments);
}

static void rest_a_little(void) {
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

// ---- Writers

static bool may_repeat(ez_status status) {
    return status == EZ_UNAVAILABLE || status == EZ_DEADLINE_EXCEEDED || status == EZ_RESOURCE_EXHAUSTED;
}

// Asks one server after the other until one of them says that it is done.
static bool change(ez_history_writer *w, const char *method, const ProtobufCMessage *request,
                   ProtobufCMessage **reply) {
    char name[48];
    snprintf(name, sizeof name, "w%u-%zu", w->index, w->op_count + 1);
    ez_call_info info = {0};
    ez_call_options options = {.idempotency_key = name,
                               .request_id = name,
                               .authorization = w->history->worlds[0].server.admin_token,
                               .timeout_ms = 1000,
                               .max_retries = -1,
                               .info = &info};
    const ez_method *found = ez_method_find(method, strlen(method));
    for (unsigned at = (unsigned)draw(w);; at++) {
        ez_error error = EZ_ERROR_INIT;
        ez_status status = ez_client_call(w->clients[at % EZ_HISTORY_SERVERS], found, request, &options, reply, &error);
        if (status == EZ_OK)
            break;
        if (!may_repeat(status)) {
            note(w->history, "%s of %s was refused: %s (%s)", method, name, error.message, error.reason);
            return false;
        }
        w->repeats++;
        rest_a_little();
    }
    uint64_t last = w->op_count ? w->ops[w->op_count - 1].revision : w->history->begin;
    if (info.revision <= last)
        note(w->history, "%s has revision %llu, the change before it had %llu", name, (unsigned long long)info.revision,
             (unsigned long long)last);
    w->ops[w->op_count++].revision = info.revision;
    atomic_fetch_add(&w->history->acknowledged, 1);
    return true;
}

static void create(ez_history_writer *w) {
    char name[48];
    snprintf(name, sizeof name, "k%u-%zu", w->index, w->op_count + 1);
    Ez__V1__CreateKeyRequest request = EZ__V1__CREATE_KEY_REQUEST__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.name = name;
    request.master_id = w->history->master_id;
    request.key = &key;
    ProtobufCMessage *reply = NULL;
    if (!change(w, "ez.v1.Keys/Create", &request.base, &reply))
        return;
    w->key_id = ((const Ez__V1__Key *)reply)->id;
    w->label = 0;
    protobuf_c_message_free_unpacked(reply, NULL);
}

static void relabel(ez_history_writer *w) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)w->label + 1);
    Ez__V1__UpdateKeyRequest request = EZ__V1__UPDATE_KEY_REQUEST__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    char *mask[] = {(char *)"scopes"};
    char *scopes[] = {text};
    key.n_scopes = 1;
    key.scopes = scopes;
    request.id = w->key_id;
    request.key = &key;
    request.n_update_mask = 1;
    request.update_mask = mask;
    if (change(w, "ez.v1.Keys/Update", &request.base, NULL))
        w->label++;
}

static void delete_key(ez_history_writer *w) {
    Ez__V1__DeleteKeyRequest request = EZ__V1__DELETE_KEY_REQUEST__INIT;
    request.id = w->key_id;
    if (change(w, "ez.v1.Keys/Delete", &request.base, NULL))
        w->key_id = 0;
}

static void *write_on(void *user) {
    ez_history_writer *w = user;
    while (!atomic_load(&w->history->ends_writing) && w->op_count < EZ_HISTORY_OPS) {
        size_t before = w->op_count;
        if (!w->key_id)
            create(w);
        else if (draw(w) % LABELS == 0)
            delete_key(w);
        else
            relabel(w);
        if (w->op_count == before)
            break; // refused, and noted
        w->ops[before].key_id = w->key_id;
    }
    return NULL;
}

// ---- Readers

static uint64_t hash_of(const ProtobufCMessage *message) {
    uint8_t room[4096];
    size_t len = protobuf_c_message_get_packed_size(message);
    uint64_t hash = 0xcbf29ce484222325u;
    if (len > sizeof room)
        return 1;
    protobuf_c_message_pack(message, room);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ room[i]) * 0x100000001b3u;
    return hash ? hash : 1;
}

static void take_change(ez_history_reader *r, const Ez__V1__Change *given) {
    ez_history *history = r->history;
    uint64_t n = given->revision->n, at = n - history->begin;
    if (n != r->cursor + 1 || at >= EZ_HISTORY_MAX) {
        note(history, "server %u gave revision %llu after %llu", r->server, (unsigned long long)n,
             (unsigned long long)r->cursor);
        return;
    }
    uint64_t hash = hash_of(&given->base);
    pthread_mutex_lock(&history->lock);
    uint64_t other = history->given[at];
    history->given[at] = hash;
    pthread_mutex_unlock(&history->lock);
    if (other && other != hash)
        note(history, "server %u gave another change for revision %llu than was given before", r->server,
             (unsigned long long)n);
    r->cursor = n;
}

static void take_page(ez_history_reader *r, const Ez__V1__FetchConfigResponse *page) {
    if (page->mode != EZ__V1__FETCH_MODE__FETCH_MODE_DELTA || page->from->n != r->cursor) {
        note(r->history, "server %u answered revision %llu with %s from %llu", r->server, (unsigned long long)r->cursor,
             page->mode == EZ__V1__FETCH_MODE__FETCH_MODE_DELTA ? "changes" : "a snapshot",
             (unsigned long long)page->from->n);
        return;
    }
    for (size_t i = 0; i < page->n_changes; i++)
        take_change(r, page->changes[i]);
    if (!page->next_page_token[0] && page->to->n != r->cursor)
        note(r->history, "server %u leads to %llu and gave changes up to %llu", r->server,
             (unsigned long long)page->to->n, (unsigned long long)r->cursor);
}

static bool has_fault(ez_history *history) {
    pthread_mutex_lock(&history->lock);
    bool has = history->fault[0] != 0;
    pthread_mutex_unlock(&history->lock);
    return has;
}

static void *read_on(void *user) {
    ez_history_reader *r = user;
    ez_client *client = NULL;
    ez_error error = EZ_ERROR_INIT;
    const ez_method *method = ez_method_find("ez.v1.Config/Fetch", strlen("ez.v1.Config/Fetch"));
    ez_client_options options = {.servers = {r->history->worlds[r->server].server.rpc_url}, .server_count = 1};
    ez_call_options call = {.authorization = r->history->plane_token, .timeout_ms = 1000, .max_retries = -1};
    if (ez_client_open(&options, &client, &error) != EZ_OK) {
        note(r->history, "%s", error.message);
        return NULL;
    }
    while (!atomic_load(&r->history->ends_reading) && !has_fault(r->history)) {
        Ez__V1__FetchConfigRequest request = EZ__V1__FETCH_CONFIG_REQUEST__INIT;
        Ez__V1__Revision at = EZ__V1__REVISION__INIT;
        ProtobufCMessage *reply = NULL;
        at.epoch = r->history->epoch;
        at.n = r->cursor;
        request.revision = &at;
        ez_status status = ez_client_call(client, method, &request.base, &call, &reply, &error);
        if (status == EZ_OK) {
            take_page(r, (const Ez__V1__FetchConfigResponse *)reply);
            protobuf_c_message_free_unpacked(reply, NULL);
        } else if (!may_repeat(status)) {
            note(r->history, "server %u refused a reader: %s", r->server, error.message);
        }
        rest_a_little();
    }
    ez_client_close(client);
    return NULL;
}

// ---- Life

static void start_writer(ez_history *history, unsigned index, uint64_t seed) {
    ez_history_writer *w = &history->writers[index];
    ez_error error = EZ_ERROR_INIT;
    w->history = history;
    w->index = index;
    w->random = (seed + 1) * 0x9e3779b97f4a7c15u + index * 0x2545f4914f6cdd1du;
    for (int i = 0; i < EZ_HISTORY_SERVERS; i++) {
        ez_client_options options = {
            .servers = {history->worlds[i].server.rpc_url}, .server_count = 1, .connect_timeout_ms = 200};
        expect_ok(ez_client_open(&options, &w->clients[i], &error), &error);
    }
    cr_assert_eq(pthread_create(&w->thread, NULL, write_on, w), 0);
}

void given_history(ez_history *history, ez_world *worlds, uint64_t seed) {
    memset(history, 0, sizeof *history);
    history->worlds = worlds;
    history->master_id = given_master(&worlds[0].admin, "written")->id;
    snprintf(history->plane_token, sizeof history->plane_token, "%s", given_plane(&worlds[0].admin, "reader")->token);
    history->begin = revision_of(&worlds[0]);
    history->epoch = worlds[0].admin.info.epoch;
    pthread_mutex_init(&history->lock, NULL);
    for (int i = 1; i < EZ_HISTORY_SERVERS; i++)
        expect_soon(revision_of(&worlds[i]) == history->begin);
    for (unsigned i = 0; i < EZ_HISTORY_SERVERS; i++) {
        history->readers[i] = (ez_history_reader){.history = history, .server = i, .cursor = history->begin};
        cr_assert_eq(pthread_create(&history->readers[i].thread, NULL, read_on, &history->readers[i]), 0);
    }
    for (unsigned i = 0; i < EZ_HISTORY_WRITERS; i++)
        start_writer(history, i, seed);
}

void expect_no_fault(ez_history *history) {
    cr_assert(!has_fault(history), "%s", history->fault);
}

static void end_writing(ez_history *history) {
    if (atomic_exchange(&history->ends_writing, true))
        return;
    for (unsigned i = 0; i < EZ_HISTORY_WRITERS; i++) {
        pthread_join(history->writers[i].thread, NULL);
        for (int s = 0; s < EZ_HISTORY_SERVERS; s++)
            ez_client_close(history->writers[i].clients[s]);
    }
}

void end_history(ez_history *history) {
    end_writing(history);
    if (!atomic_exchange(&history->ends_reading, true)) {
        for (unsigned i = 0; i < EZ_HISTORY_SERVERS; i++)
            pthread_join(history->readers[i].thread, NULL);
    }
    pthread_mutex_destroy(&history->lock);
}

// ---- What it comes to

// Revision by revision, once each; gives the head.
static uint64_t expect_change_list(ez_history *history, ez_world *w) {
    char token[600] = "";
    uint64_t n = history->begin;
    do {
        const Ez__V1__ListChangesResponse *page =
            ask(&w->admin, "Changes/List", "{'since':%" PRIu64 ",'page_size':1000,'page_token':'%s'}", history->begin,
                token);
        for (size_t i = 0; i < page->n_items; i++, n++)
            cr_assert_eq(page->items[i]->revision, n + 1, "the change list has %" PRIu64 " after %" PRIu64,
                         page->items[i]->revision, n);
        snprintf(token, sizeof token, "%s", page->next_page_token);
    } while (token[0]);
    return n;
}

static void expect_entry(ez_history *history, const Ez__V1__AuditEntry *entry, size_t *seen) {
    unsigned index = 0;
    size_t op = 0;
    if (sscanf(entry->request_id, "w%u-%zu", &index, &op) != 2)
        return; // the test's own
    cr_assert_lt(index, EZ_HISTORY_WRITERS);
    const ez_history_writer *w = &history->writers[index];
    cr_assert(op >= 1 && op <= w->op_count, "%s was done and nobody asked for it", entry->request_id);
    cr_assert_eq(entry->revision, w->ops[op - 1].revision,
                 "%s was acknowledged at revision %" PRIu64 ", done at %" PRIu64, entry->request_id,
                 w->ops[op - 1].revision, entry->revision);
    seen[index]++;
}

// Every acknowledged change once, at its revision: entries are as many as changes, and each is of another revision.
static void expect_audit(ez_history *history, ez_world *w) {
    char token[600] = "";
    size_t seen[EZ_HISTORY_WRITERS] = {0};
    uint64_t last = UINT64_MAX;
    do {
        const Ez__V1__ListAuditResponse *page =
            ask(&w->admin, "Audit/List", "{'page_size':1000,'page_token':'%s'}", token);
        for (size_t i = 0; i < page->n_items; last = page->items[i++]->revision) {
            cr_assert_lt(page->items[i]->revision, last, "revision %" PRIu64 " is audited twice", last);
            expect_entry(history, page->items[i], seen);
        }
        snprintf(token, sizeof token, "%s", page->next_page_token);
    } while (token[0]);
    for (unsigned i = 0; i < EZ_HISTORY_WRITERS; i++)
        cr_assert_eq(seen[i], history->writers[i].op_count,
                     "writer %u: %zu changes are recorded, %zu were acknowledged", i, seen[i],
                     history->writers[i].op_count);
}

static void expect_keys(ez_history *history, ez_world *w) {
    size_t wanted = 0;
    for (unsigned i = 0; i < EZ_HISTORY_WRITERS; i++) {
        const ez_history_writer *writer = &history->writers[i];
        if (!writer->key_id)
            continue;
        wanted++;
        const Ez__V1__Key *key = ask(&w->admin, "Keys/Get", "{'id':%" PRId64 "}", writer->key_id);
        uint64_t label = key->n_scopes ? strtoull(key->scopes[0], NULL, 10) : 0;
        cr_assert_eq(label, writer->label, "key %s is at change %" PRIu64 ", acknowledged was %" PRIu64, key->name,
                     label, writer->label);
    }
    const Ez__V1__ListKeysResponse *page =
        ask(&w->admin, "Keys/List", "{'master_id':%" PRId64 ",'page_size':1000}", history->master_id);
    cr_assert_eq(page->n_items, wanted, "%zu keys are there, %zu should be", page->n_items, wanted);
}

void expect_true_history(ez_history *history) {
    char digests[EZ_HISTORY_SERVERS][65];
    end_writing(history);
    expect_no_fault(history);
    uint64_t head = expect_change_list(history, &history->worlds[0]);
    for (int i = 0; i < EZ_HISTORY_SERVERS; i++) {
        ez_world *w = &history->worlds[i];
        expect_soon(revision_of(w) == head);
        expect_soon(history->readers[i].cursor == head || has_fault(history));
        digest_of(w, digests[i], NULL, NULL);
        cr_assert_str_eq(digests[i], digests[0], "server %d has other contents than server 0", i);
        cr_assert_eq(expect_change_list(history, w), head);
        expect_keys(history, w);
    }
    expect_no_fault(history);
    expect_audit(history, &history->worlds[0]);
    cr_assert_eq(head - history->begin, history->acknowledged,
                 "%" PRIu64 " revisions, %" PRIu64 " acknowledged changes", head - history->begin,
                 history->acknowledged);
}
