// SPDX-License-Identifier: Apache-2.0
//
// Config.Fetch by hand: deltas, snapshots page by page while changes go on, and what a data plane is told when it
// stands where nobody can fetch it from.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/digest.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/wire.h"
#include "tests/integration/support/world.h"

#define DELTA    EZ__V1__FETCH_MODE__FETCH_MODE_DELTA
#define SNAPSHOT EZ__V1__FETCH_MODE__FETCH_MODE_SNAPSHOT
#define ROWS_MAX 4096

static ez_world w;
static ez_caller plane;

static void begin_with(const char *const *env) {
    given_world(&w, env);
    plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
}

static void begin(void) {
    begin_with(NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(fetch, .init = begin, .fini = end);

typedef Ez__V1__FetchConfigResponse page;

static page *fetch(uint64_t epoch, uint64_t n, const char *more) {
    return ask(&plane, "Config/Fetch", "{'revision':{'epoch':%" PRIu64 ",'n':%" PRIu64 "}%s}", epoch, n, more);
}

static page *snapshot(const char *token, unsigned max_bytes) {
    return ask(&plane, "Config/Fetch", "{'page_token':'%s','max_bytes':%u}", token, max_bytes);
}

static uint64_t epoch_of_store(void) {
    Ez__V1__Status *status = ask(&w.admin, "System/GetStatus", "{}");
    return status->revision->epoch;
}

// ---- A table as a data plane keeps one, with the protocol's own digest

typedef struct row {
    int kind;
    int64_t id;
    uint8_t hash[32];
} row;

typedef struct table {
    row rows[ROWS_MAX];
    size_t count;
} table;

static row *find(table *t, int kind, int64_t id) {
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].kind == kind && t->rows[i].id == id)
            return &t->rows[i];
    return NULL;
}

static void apply(table *t, const Ez__V1__Change *change) {
    row *at = find(t, change->kind, change->id);
    if (change->op == EZ__V1__OP__OP_DELETE) {
        if (at)
            *at = t->rows[--t->count];
        return;
    }
    if (!at) {
        cr_assert_lt(t->count, ROWS_MAX);
        at = &t->rows[t->count++];
    }
    // The server packs as protobuf-c does, so that packing again gives the bytes that came.
    const ProtobufCMessage *resource = &change->master->base;
    size_t len = protobuf_c_message_get_packed_size(resource);
    uint8_t *bytes = malloc(len + 1);
    protobuf_c_message_pack(resource, bytes);
    at->kind = change->kind;
    at->id = change->id;
    ez_digest_row(change->kind, change->id, bytes, len, change->secret_version, at->hash);
    free(bytes);
}

static void expect_server_digest(const table *t) {
    uint8_t digest[32] = {0};
    char ours[65], theirs[65];
    for (size_t i = 0; i < t->count; i++)
        ez_digest_xor(digest, t->rows[i].hash);
    ez_hex(digest, 32, ours);
    int64_t rows;
    digest_of(&w, theirs, &rows, NULL);
    cr_assert_eq(t->count, (size_t)rows, "%zu rows, the server has %" PRId64, t->count, rows);
    cr_assert_str_eq(ours, theirs);
}

static void take(table *t, const page *p) {
    for (size_t i = 0; i < p->n_changes; i++)
        apply(t, p->changes[i]);
}

// ---- The tests

Test(fetch, a_delta_leads_from_there_to_here) {
    uint64_t epoch = epoch_of_store(), before = revision_of(&w);
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    given_key(&w.admin, acme->id, "one");
    Ez__V1__Key *two = given_key(&w.admin, acme->id, "two");
    ask(&w.admin, "Keys/Delete", "{'id':%" PRId64 "}", two->id);
    page *p = fetch(epoch, before, "");
    cr_assert_eq(p->mode, DELTA);
    cr_assert_eq(p->from->n, before);
    cr_assert_eq(p->to->n, before + 4);
    cr_assert_eq(p->n_changes, 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(p->changes[i]->revision->n, before + 1 + i);
    cr_assert_eq(p->changes[3]->op, EZ__V1__OP__OP_DELETE);
    page *none = fetch(epoch, before + 4, "");
    cr_assert_eq(none->mode, DELTA);
    cr_assert_eq(none->n_changes, 0);
}

Test(fetch, a_delta_comes_in_pages) {
    uint64_t epoch = epoch_of_store(), at = revision_of(&w);
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    for (int i = 0; i < 60; i++)
        given_key(&w.admin, acme->id, "k");
    char more[700] = ",'max_bytes':1500";
    size_t changes = 0, pages = 0;
    page *p;
    do {
        p = fetch(epoch, at, more);
        cr_assert_eq(p->mode, DELTA);
        changes += p->n_changes;
        pages++;
        snprintf(more, sizeof more, ",'max_bytes':1500,'page_token':'%s'", p->next_page_token);
    } while (p->next_page_token[0]);
    cr_assert_eq(changes, 61);
    cr_assert_gt(pages, 5);
}

// Pages of a few rows, with keys made, changed and deleted between them: whatever a page showed, the deltas since the
// snapshot's beginning make it the same.
Test(fetch, a_snapshot_holds_while_changes_go_on) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *keys[60];
    for (int i = 0; i < 60; i++)
        keys[i] = given_key(&w.admin, acme->id, "k");
    given_group(&w.admin, "main", "'m'");
    table *t = calloc(1, sizeof *t);
    page *p = snapshot("", 1000);
    uint64_t from = p->from->n, epoch = p->from->epoch;
    unsigned pages = 0;
    for (;; p = snapshot(p->next_page_token, 1000)) {
        cr_assert_eq(p->mode, SNAPSHOT);
        cr_assert_eq(p->from->n, from);
        take(t, p);
        if (!p->next_page_token[0])
            break;
        unsigned i = pages++ % 60;
        ask(&w.admin, "Keys/Delete", "{'id':%" PRId64 "}", keys[i]->id);
        ask(&w.admin, "Keys/Update", "{'id':%" PRId64 ",'key':{'name':'later'}}", keys[59 - i / 2]->id);
        given_key(&w.admin, acme->id, "new");
        if (pages >= 25)
            break;
    }
    while (p->next_page_token[0]) {
        p = snapshot(p->next_page_token, 1000);
        take(t, p);
    }
    cr_assert_gt(pages, 5);
    char more[700] = "";
    do {
        p = fetch(epoch, from, more);
        cr_assert_eq(p->mode, DELTA);
        take(t, p);
        snprintf(more, sizeof more, ",'page_token':'%s'", p->next_page_token);
    } while (p->next_page_token[0]);
    expect_server_digest(t);
    free(t);
}

Test(fetch, another_epoch_or_the_future_gets_a_snapshot) {
    given_master(&w.admin, "acme");
    uint64_t epoch = epoch_of_store(), head = revision_of(&w);
    cr_assert_eq(fetch(epoch + 1, head, "")->mode, SNAPSHOT);
    cr_assert_eq(fetch(epoch, head + 5, "")->mode, SNAPSHOT, "a counter that went back is no progress");
    cr_assert_eq(fetch(epoch, head, "")->mode, DELTA);
    cr_assert_eq(fetch(0, 0, "")->mode, SNAPSHOT);
}

Test(fetch, page_tokens_are_not_believed) {
    const char *const tokens[] = {"x",
                                  "1.1.0.0.0.0.0.0",
                                  "2.1.0.0.0.0.0.0.0",
                                  "1.9.0.0.0.0.0.0.0",
                                  "1.2.ffffffffffffffff.0.0.0.0.99.0",
                                  "1.1.0.0.ffffffffffffffff.ffffffffffffffff.ffffffff.0.0",
                                  "1.2.0.0.0.0.0.-1.ffffffffffffffff",
                                  NULL};
    for (size_t i = 0; tokens[i]; i++) {
        plane.next.max_retries = -1;
        ez_status status = try_call(&plane, NULL, "Config/Fetch", "{'page_token':'%s'}", tokens[i]);
        cr_assert(status == EZ_INVALID_ARGUMENT || status == EZ_ABORTED, "token %zu: %s", i, ez_status_name(status));
    }
    cr_assert_eq(snapshot("", 0)->mode, SNAPSHOT);
}

Test(fetch, kinds_and_keys_as_ids) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    given_key(&w.admin, acme->id, "one");
    given_group(&w.admin, "main", "'m'");
    page *p = ask(&plane, "Config/Fetch", "{'kinds':['namespace','master']}");
    cr_assert_eq(p->n_changes, 2);
    for (size_t i = 0; i < p->n_changes; i++)
        cr_assert(p->changes[i]->kind == EZ__V1__KIND__KIND_NAMESPACE ||
                  p->changes[i]->kind == EZ__V1__KIND__KIND_MASTER);
    p = ask(&plane, "Config/Fetch", "{'kinds':['admin_token','data_plane']}");
    cr_assert_eq(p->n_changes, 0, "credentials of admins and planes are nobody's configuration");
    p = ask(&plane, "Config/Fetch", "{'keys_as_ids':true}");
    unsigned keys = 0;
    for (size_t i = 0; i < p->n_changes; i++) {
        bool is_key = p->changes[i]->kind == EZ__V1__KIND__KIND_KEY;
        keys += is_key;
        cr_assert_eq(p->changes[i]->resource_case == EZ__V1__CHANGE__RESOURCE__NOT_SET, is_key);
    }
    cr_assert_eq(keys, 1);
}

Test(fetch, secrets_come_here_and_in_the_version_that_is_held) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *api_key = given_api_key(&w.admin, group->id, "one", "secret-number-one");
    uint64_t epoch = epoch_of_store(), before = revision_of(&w) - 1;
    page *p = fetch(epoch, before, "");
    cr_assert_eq(p->n_changes, 1);
    cr_assert_not_null(p->changes[0]->secret);
    cr_assert_str_eq(p->changes[0]->secret->api_key, "secret-number-one");
    cr_assert_str_eq(p->changes[0]->api_key->api_key, "", "the resource is without");
    uint64_t version = p->changes[0]->secret_version;
    ask(&w.admin, "ApiKeys/Update", "{'id':%" PRId64 ",'api_key':{'api_key':'secret-number-two'}}", api_key->id);
    p = fetch(epoch, before, "");
    cr_assert_eq(p->n_changes, 2);
    cr_assert_null(p->changes[0]->secret, "an old change does not come with a new secret");
    cr_assert_eq(p->changes[1]->secret_version, version + 1);
    cr_assert_str_eq(p->changes[1]->secret->api_key, "secret-number-two");
    Ez__V1__GetSecretsResponse *asked =
        ask(&plane, "Config/Secrets", "{'api_key_ids':[%" PRId64 ",999999]}", api_key->id);
    cr_assert_eq(asked->n_changes, 1);
    cr_assert_str_eq(asked->changes[0]->secret->api_key, "secret-number-two");
    expect_refused(&w.admin, EZ_PERMISSION_DENIED, "WRONG_SCOPE", "Config/Secrets", "{'api_key_ids':[1]}");
    Ez__V1__ApiKey *read = ask(&w.admin, "ApiKeys/Get", "{'id':%" PRId64 "}", api_key->id);
    cr_assert_str_eq(read->api_key, "");
    cr_assert_str_eq(read->api_key_last4, "-two");
}

static const char *const keep_little[] = {"EZ_FEED_KEEP=1000", NULL};

static void begin_short(void) {
    begin_with(keep_little);
}

TestSuite(fetch_kept, .init = begin_short, .fini = end);

// More changes than are kept: who stands before them gets a snapshot, and the admin's list says how far it goes.
Test(fetch_kept, too_old_a_revision_gets_a_snapshot) {
    uint64_t epoch = epoch_of_store(), before = revision_of(&w);
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    static char batch[256u << 10];
    for (int round = 0; round < 4; round++) {
        size_t len = (size_t)snprintf(batch, sizeof batch, "{'items':[");
        for (int i = 0; i < 500; i++)
            len +=
                (size_t)snprintf(batch + len, sizeof batch - len,
                                 "%s{'create':{'namespace':'default','public_model':'m%d-%d','group_id':%" PRId64 "}}",
                                 i ? "," : "", round, i, group->id);
        snprintf(batch + len, sizeof batch - len, "]}");
        ask(&w.admin, "Bindings/Batch", "%s", batch);
    }
    cr_assert_eq(fetch(epoch, before, ",'max_bytes':1000")->mode, SNAPSHOT);
    cr_assert_eq(fetch(epoch, revision_of(&w) - 1, "")->mode, DELTA);
    table *t = calloc(1, sizeof *t);
    page *p = snapshot("", 0);
    for (take(t, p); p->next_page_token[0]; take(t, p))
        p = snapshot(p->next_page_token, 0);
    expect_server_digest(t);
    free(t);
    restart_server(&w.server);
    await_answers(&w);
    cr_assert_eq(fetch(epoch, before, ",'max_bytes':1000")->mode, SNAPSHOT, "after a restart too");
    cr_assert_eq(fetch(epoch, revision_of(&w) - 1, "")->mode, DELTA);
}
