// SPDX-License-Identifier: Apache-2.0
//
// What is pushed: every commit, in order, without a gap, and never a secret. The listener takes every byte of the PUB
// socket, as anybody who can connect to it would.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/config.pb-c.h"
#include "tests/integration/support/listener.h"
#include "tests/integration/support/world.h"

#define SECRET_1 "fake-credential-that-nobody-may-see-0123456789"
#define SECRET_2 "fake-access-token-that-nobody-may-see"
#define SECRET_3 "fake-refresh-token-that-nobody-may-see"

static ez_world w;
static ez_listener config, events;

static void begin(void) {
    given_world(&w, NULL);
    given_listener(&config, w.server.config_url);
}

static void end(void) {
    end_listener(&config);
    end_world(&w);
}

TestSuite(config_feed, .init = begin, .fini = end);

// From the first event on, each begins where the one before it ended, and is numbered one higher.
static void expect_contiguous(uint64_t head) {
    ez_arena arena;
    ez_arena_init(&arena, 16u << 20);
    size_t count = listener_count(&config);
    uint64_t at = 0, sequence = 0;
    for (size_t i = 0; i < count; i++) {
        ez_arena_reset(&arena);
        ez_heard heard = listener_event(&config, i, &arena);
        cr_assert_str_eq(heard.topic, "config");
        cr_assert(heard.header->from && heard.header->to);
        cr_assert_eq(heard.header->from->epoch, heard.header->to->epoch);
        cr_assert_geq(heard.header->to->n, heard.header->from->n);
        if (i > 0) {
            cr_assert_eq(heard.header->from->n, at, "event %zu begins at %" PRIu64 ", the one before ended at %" PRIu64,
                         i, heard.header->from->n, at);
            cr_assert_eq(heard.header->sequence, sequence + 1);
        }
        at = heard.header->to->n;
        sequence = heard.header->sequence;
    }
    cr_assert_eq(at, head);
    ez_arena_fini(&arena);
}

// Changes in all events, counted by kind; each within its event's revisions.
static void count_changes(unsigned *puts, unsigned *deletes) {
    ez_arena arena;
    ez_arena_init(&arena, 16u << 20);
    for (size_t i = 0; i < listener_count(&config); i++) {
        ez_arena_reset(&arena);
        ez_heard heard = listener_event(&config, i, &arena);
        Ez__V1__ChangeBatch *batch =
            ez__v1__change_batch__unpack(ez_arena_allocator(&arena), heard.message.len, heard.message.data);
        cr_assert_not_null(batch);
        for (size_t k = 0; k < batch->n_changes; k++) {
            const Ez__V1__Change *change = batch->changes[k];
            cr_assert_gt(change->revision->n, heard.header->from->n);
            cr_assert_leq(change->revision->n, heard.header->to->n);
            cr_assert_null(change->secret);
            cr_assert_lt(change->kind, 9);
            (change->op == EZ__V1__OP__OP_PUT ? puts : deletes)[change->kind]++;
        }
    }
    ez_arena_fini(&arena);
}

Test(config_feed, every_commit_is_pushed_in_order) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%d", i);
        Ez__V1__Key *key = given_key(&w.admin, acme->id, name);
        if (i % 5 == 0)
            ask(&w.admin, "Keys/Delete", "{'id':%" PRId64 "}", key->id);
    }
    given_plane(&w.admin, "edge"); // a revision without a change that data planes get
    uint64_t head = revision_of(&w);
    expect_soon(listener_reached(&config, head));
    expect_contiguous(head);
    unsigned puts[9] = {0}, deletes[9] = {0};
    count_changes(puts, deletes);
    cr_assert_eq(puts[EZ__V1__KIND__KIND_KEY], 50);
    cr_assert_eq(deletes[EZ__V1__KIND__KIND_KEY], 10);
    cr_assert_eq(puts[EZ__V1__KIND__KIND_MASTER], 1);
    cr_assert_eq(puts[EZ__V1__KIND__KIND_DATA_PLANE], 0);
    cr_assert_eq(puts[EZ__V1__KIND__KIND_ADMIN_TOKEN], 0);
}

// Everything that makes, takes or changes a secret, and then a search for each of them.
Test(config_feed, no_secret_is_ever_pushed) {
    given_silent_listener(&events, w.server.events_url);
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__ApiKey *api_key = given_api_key(&w.admin, group->id, "one", SECRET_1);
    ask(&w.admin, "ApiKeys/Update",
        "{'id':%" PRId64 ",'api_key':{'access_token':'" SECRET_2 "','refresh_token':'" SECRET_3 "'}}", api_key->id);
    ask(&w.admin, "Providers/CreatePreset", "{'provider':'openai','api_key':'" SECRET_1 "-preset'}");
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Master *rotated = ask(&w.admin, "Masters/Rotate", "{'id':%" PRId64 "}", acme->id);
    Ez__V1__Key *key = given_key(&w.admin, acme->id, "web");
    Ez__V1__Key *turned = ask(&w.admin, "Keys/Rotate", "{'id':%" PRId64 "}", key->id);
    Ez__V1__DataPlane *plane = given_plane(&w.admin, "edge");
    Ez__V1__AdminToken *ci = ask(&w.admin, "AdminTokens/Create", "{'admin_token':{'name':'ci'}}");
    expect_soon(listener_reached(&config, w.admin.info.revision));
    const char *secrets[] = {SECRET_1,   SECRET_2,      SECRET_3,     acme->master_key, rotated->master_key,
                             key->token, turned->token, plane->token, ci->token,        w.server.admin_token};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        cr_assert_gt(strlen(secrets[i]), 20);
        cr_assert_not(listener_has(&config, secrets[i], strlen(secrets[i])), "secret %zu was pushed", i);
        cr_assert_not(listener_has(&events, secrets[i], strlen(secrets[i])), "secret %zu was published", i);
    }
    cr_assert(listener_has(&config, "acme", 4), "the search finds what is there");
    end_listener(&events);
}

Test(config_feed, what_does_not_fit_is_announced_instead) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    char filler[3001];
    memset(filler, 'x', 250);
    filler[250] = 0;
    static char batch[2u << 20];
    size_t len = (size_t)snprintf(batch, sizeof batch, "{'items':[");
    for (int i = 0; i < 900; i++)
        len += (size_t)snprintf(batch + len, sizeof batch - len,
                                "%s{'create':{'namespace':'default','public_model':'m%d','group_id':%" PRId64
                                ",'selector_type':'exact','selector_value':'%s'}}",
                                i ? "," : "", i, group->id, filler);
    snprintf(batch + len, sizeof batch - len, "]}");
    Ez__V1__BatchBindingsResponse *reply = ask(&w.admin, "Bindings/Batch", "%s", batch);
    cr_assert_eq(reply->succeeded, 900);
    uint64_t head = w.admin.info.revision;
    expect_soon(listener_reached(&config, head));
    ez_arena arena;
    ez_arena_init(&arena, 16u << 20);
    bool is_announced = false;
    for (size_t i = 0; i < listener_count(&config); i++) {
        ez_heard heard = listener_event(&config, i, &arena);
        cr_assert_leq(heard.message.len, 256u << 10);
        is_announced = is_announced || (heard.header->fetch && heard.header->to->n == head && heard.message.len == 0);
    }
    cr_assert(is_announced, "an event that says: fetch");
    expect_contiguous(revision_of(&w));
    ez_arena_fini(&arena);
}
