// SPDX-License-Identifier: Apache-2.0
//
// Servers of one PostgreSQL store, and what they tell each other: who is there, whose data planes are where, how many
// of all of them have a change, live numbers, events; and a data plane that moves when its server is killed.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/reporter.h"
#include "clients/c/subscribe.h"
#include "tests/fault/support/forwarder.h"
#include "tests/integration/support/plane.h"

#define LIVE EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE
#define LOST EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LOST

static ez_world a, b;
static Ez__V1__DataPlane *near, *far;

static void need_postgres(void) {
    const char *store = getenv("EZ_TEST_STORE");
    if (!store || strcmp(store, "postgres") != 0)
        cr_skip_test("this is about servers that share a PostgreSQL store");
}

static void given_another(ez_world *world) {
    *world = (ez_world){.kept = NULL};
    given_second_server(&world->server, &a.server);
    given_callers(world);
}

// How many servers it reaches, itself included.
static size_t reaches(ez_world *world) {
    const Ez__V1__ListServersResponse *list = ask(&world->admin, "Servers/List", "{}");
    size_t count = 0;
    for (size_t i = 0; i < list->n_items; i++)
        count += list->items[i]->is_reachable;
    return count;
}

static void begin(void) {
    given_world(&a, NULL);
    near = given_plane(&a.admin, "near");
    far = given_plane(&a.admin, "far");
    if (a.server.is_postgres) {
        given_another(&b);
        expect_soon(reaches(&a) == 2 && reaches(&b) == 2);
    }
}

static void end(void) {
    if (b.client)
        end_world(&b);
    end_world(&a);
}

TestSuite(peers, .init = begin, .fini = end);

static Ez__V1__DataPlane *seen(ez_world *by, const Ez__V1__DataPlane *enrolled) {
    return ask(&by->admin, "DataPlanes/Get", "{'id':%" PRId64 "}", enrolled->id);
}

static bool is_seen(ez_world *by, const Ez__V1__DataPlane *enrolled, Ez__V1__DataPlaneState state, const char *server) {
    const Ez__V1__DataPlane *plane = seen(by, enrolled);
    return plane->state == state && (!server || strcmp(plane->server_id, server) == 0);
}

static const char *id_of(ez_world *world) {
    const Ez__V1__Status *status = ask(&world->admin, "System/GetStatus", "{}");
    return status->server_id;
}

#define expect_applied(at, planes, of)                                                                                 \
    cr_assert(at.admin.info.applied_planes == (planes) && at.admin.info.applied_of == (of), "%u of %u",                \
              at.admin.info.applied_planes, at.admin.info.applied_of)

Test(peers, a_server_lists_itself_first) {
    const Ez__V1__ListServersResponse *list = ask(&a.admin, "Servers/List", "{}");
    cr_assert_eq(list->n_items, a.server.is_postgres ? 2 : 1);
    cr_assert(list->items[0]->is_self);
    cr_assert(list->items[0]->is_reachable);
    cr_assert_str_eq(list->items[0]->id, id_of(&a));
    cr_assert_str_eq(list->items[0]->rpc_url, a.server.rpc_url);
    cr_assert_eq(list->items[0]->revision->n, revision_of(&a));
    if (!a.server.is_postgres)
        return;
    cr_assert_not(list->items[1]->is_self);
    cr_assert_str_eq(list->items[1]->id, id_of(&b));
    cr_assert_str_eq(list->items[1]->events_url, b.server.events_url);
    expect_refused(&a.admin, EZ_PERMISSION_DENIED, "WRONG_SCOPE", "Peers/Sync", "{}");
    expect_refused(&a.admin, EZ_PERMISSION_DENIED, "WRONG_SCOPE", "Peers/WaitApplied",
                   "{'revision':{'epoch':1,'n':1}}");
}

// One data plane on each server, and a silent one: whoever is asked knows all three, and waits for all three.
Test(peers, a_change_waits_for_the_data_planes_of_all) {
    need_postgres();
    ez_plane here, there;
    Ez__V1__DataPlane *silent = given_plane(&a.admin, "silent");
    expect_soon(revision_of(&b) == revision_of(&a));
    given_roamer(&here, &a, near->token);
    given_roamer(&there, &b, far->token);
    expect_soon(is_seen(&a, far, LIVE, id_of(&b)) && is_seen(&b, near, LIVE, id_of(&a)));
    expect_soon(is_seen(&a, near, LIVE, id_of(&a)) && is_seen(&b, far, LIVE, id_of(&b)));
    create_and_wait(&a, "both", 10000);
    expect_applied(a, 2, 2);
    cr_assert(plane_was_given(&here, a.admin.info.revision) && plane_was_given(&there, a.admin.info.revision));
    create_and_wait(&b, "and-back", 10000);
    expect_applied(b, 2, 2);
    cr_assert(plane_was_given(&here, b.admin.info.revision) && plane_was_given(&there, b.admin.info.revision));

    ez_caller mute = caller_with(&b, silent->token);
    ask(&mute, "DataPlanes/Hello", "{'name':'silent','process_epoch':3}");
    create_and_wait(&a, "late", 1500); // less than the silence after which one is lost
    expect_applied(a, 2, 3);
    expect_soon(is_seen(&a, silent, LOST, id_of(&b)));
    create_and_wait(&a, "later", 10000);
    expect_applied(a, 2, 2);
    end_follower(&here);
    end_follower(&there);
    expect_soon(is_seen(&b, near, EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_STOPPED, id_of(&a)));
}

// What the server's own data planes have is counted also where the wait ends before all of them have it.
Test(peers, a_deadline_counts_who_has_it) {
    need_postgres();
    ez_plane here;
    given_roamer(&here, &a, near->token);
    ez_caller mute = caller_with(&a, far->token);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':3}");
    expect_soon(plane_reached(&here, revision_of(&a)) && is_seen(&a, near, LIVE, NULL));
    for (int i = 0; i < 3; i++) { // two threads look at clocks: either may come first
        char name[16];
        snprintf(name, sizeof name, "late-%d", i);
        ask(&mute, "DataPlanes/Heartbeat", "{}");
        create_and_wait(&a, name, 1200);
        expect_applied(a, 1, 2);
    }
    end_follower(&here);
}

// A data plane that says Hello elsewhere is there, and once; the server it left has no session of it any more.
Test(peers, a_data_plane_that_moves_is_counted_once) {
    need_postgres();
    expect_soon(revision_of(&b) == revision_of(&a));
    ez_caller at_a = caller_with(&a, near->token), at_b = caller_with(&b, near->token);
    ask(&at_a, "DataPlanes/Hello", "{'process_epoch':5,'hellos':1}");
    expect_soon(is_seen(&b, near, LIVE, id_of(&a)));
    ask(&at_b, "DataPlanes/Hello", "{'process_epoch':5,'hellos':2}");
    cr_assert(is_seen(&b, near, LIVE, id_of(&b)));
    expect_soon(is_seen(&a, near, LIVE, id_of(&b)));
    expect_refused(&at_a, EZ_FAILED_PRECONDITION, "NO_SESSION", "DataPlanes/Heartbeat", "{}");
    create_and_wait(&a, "once", 1500);
    expect_applied(a, 0, 1);
    const Ez__V1__Status *status = ask(&a.admin, "System/GetStatus", "{}");
    cr_assert_eq(status->data_planes_live, 1);
}

// Of a server that is killed the data planes count as missing, then they are lost, and nobody waits for them.
Test(peers, a_killed_server_takes_its_silent_data_planes_with_it) {
    need_postgres();
    ez_plane here;
    given_roamer(&here, &a, near->token);
    expect_soon(revision_of(&b) == revision_of(&a));
    ez_caller mute = caller_with(&b, far->token);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':3}");
    expect_soon(is_seen(&a, far, LIVE, id_of(&b)) && is_seen(&a, near, LIVE, NULL));
    kill_server(&b.server);
    create_and_wait(&a, "unsure", 1000);
    expect_applied(a, 1, 2);
    create_and_wait(&a, "sure", 30000);
    expect_applied(a, 1, 1);
    cr_assert(is_seen(&a, far, LOST, NULL));
    cr_assert_eq(reaches(&a), 1);
    end_follower(&here);
    start_server(&b.server);
    expect_soon(reaches(&a) == 2);
}

// A store that was away for long makes the first who sees it again take the others' rows away.
Test(peers, a_server_whose_row_was_forgotten_is_known_again) {
    need_postgres();
    expect_soon((run_sql_on(a.server.database, "DELETE FROM servers WHERE id = '%s'", id_of(&b)), reaches(&a) == 1));
    expect_soon(reaches(&a) == 2);
}

static const char *error_of(ez_world *world, const char *id) {
    const Ez__V1__ListServersResponse *list = ask(&world->admin, "Servers/List", "{}");
    for (size_t i = 0; i < list->n_items; i++) {
        if (strcmp(list->items[i]->id, id) == 0)
            return list->items[i]->error;
    }
    return "it is not there";
}

static bool is_reached(ez_world *world, const char *id) {
    return error_of(world, id)[0] == '\0';
}

// The row of a server that lives, at this address.
static void beat_row(const char *id, const char *rpc_url) {
    run_sql_on(a.server.database,
               "INSERT INTO servers VALUES ('%s', '%s', '', '', '', 1, CAST(extract(epoch FROM clock_timestamp()) * "
               "1000000000 AS int8)) ON CONFLICT (id) DO UPDATE SET seen_ns = excluded.seen_ns",
               id, rpc_url);
}

// What a server that nobody reaches has is not known: "all of them have it" would be a lie.
Test(peers, a_server_that_never_answered_counts_as_missing) {
    need_postgres();
    expect_soon((beat_row("mute", "tcp://127.0.0.1:1"), strcmp(error_of(&a, "mute"), "it is not there") != 0));
    create_and_wait(&a, "unsure", 2500);
    expect_applied(a, 0, 1);
    create_and_wait(&a, "sure", 30000); // the store does not hear it any more
    expect_applied(a, 0, 0);
}

// A server that advertises an address which leads to the one that asks (127.0.0.1, say) is shown, not taken for us.
Test(peers, an_address_that_leads_back_is_told_of) {
    need_postgres();
    expect_soon((beat_row("mirror", a.server.rpc_url), strstr(error_of(&a, "mirror"), "EZ_ADVERTISE_RPC_URL")));
    expect_soon((beat_row("mirror", a.server.rpc_url), strstr(error_of(&b, "mirror"), "leads to another server")));
    cr_assert_eq(reaches(&a), 2);
    create_and_wait(&a, "unsure", 2500);
    expect_applied(a, 0, 1);
}

// Who is killed and starts again finds its own row, and waits for nobody.
Test(peers, a_server_is_not_held_up_by_its_own_past) {
    need_postgres();
    kill_server(&a.server);
    start_server(&a.server);
    await_answers(&a);
    create_and_wait(&a, "alone", 2500);
    expect_applied(a, 0, 0);
}

// B reaches the store by a line that can be cut.
static ez_forwarder *given_line_to_store(void) {
    char through[EZ_TEST_URL_MAX];
    ez_forwarder *line = given_forwarder(a.server.database, through, sizeof through);
    stop_server(&b.server);
    snprintf(b.server.store, sizeof b.server.store, "%s", through);
    start_server(&b.server);
    await_answers(&b);
    const char *id = id_of(&b);
    expect_soon(is_reached(&a, id) && reaches(&a) == 2 && reaches(&b) == 2); // not the one that b was before
    expect_soon(revision_of(&b) == revision_of(&a));
    return line;
}

static bool is_told_of(ez_caller *plane, uint64_t revision) {
    const Ez__V1__HeartbeatResponse *beat = ask(plane, "DataPlanes/Heartbeat", "{}");
    return (beat->revision ? beat->revision->n : 0) == revision;
}

// One that is cut off from the store has no data planes, but may be given some and does not have the change. And those
// it is given are not told where it stands: they would go back there.
Test(peers, a_server_that_is_cut_off_from_the_store_is_behind) {
    need_postgres();
    ez_forwarder *line = given_line_to_store();
    close_forwarder(line);
    create_and_wait(&a, "unsure", 2000);
    expect_applied(a, 0, 1);
    ez_caller mute = caller_with(&b, near->token);
    ask(&mute, "DataPlanes/Hello", "{'process_epoch':3}");
    cr_assert_lt(revision_of(&b), revision_of(&a));
    expect_soon(is_told_of(&mute, 0));
    open_forwarder(line);
    expect_soon(is_told_of(&mute, revision_of(&a)));
    end_world(&b);
    b = (ez_world){.client = NULL};
    end_forwarder(line);
}

// ---- Moving

// A data plane that follows, counts and shares one client for both, which knows server A alone.
typedef struct mover {
    ez_client *client;
    ez_reporter *reporter;
    ez_plane plane;
    int64_t key_id;
    int64_t counted;
} mover;

static void given_mover(mover *m, const Ez__V1__DataPlane *enrolled, int64_t key_id) {
    *m = (mover){.key_id = key_id};
    ez_error error = EZ_ERROR_INIT;
    const ez_client_options client = {
        .servers = {a.server.rpc_url}, .server_count = 1, .token = enrolled->token, .name = "tests/1"};
    expect_ok(ez_client_open(&client, &m->client, &error), &error);
    ez_reporter_options reporter;
    ez_reporter_options_init(&reporter);
    reporter.client = m->client;
    reporter.token = enrolled->token;
    reporter.flush_ms = 20;
    expect_ok(ez_reporter_open(&reporter, &m->reporter, &error), &error);
    given_roamer_with(&m->plane, m->client, enrolled->token);
}

static void count_some(mover *m) {
    const ez_usage_delta delta = {.of = EZ_USAGE_OF_KEY, .id = m->key_id, .requests = 3};
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_usage_add(m->reporter, &delta, 1, &error), &error);
    m->counted += 3;
}

static bool counts_until(mover *m, bool is_there) {
    count_some(m);
    return is_there;
}

static void end_mover(mover *m) {
    end_follower(&m->plane);
    ez_reporter_close(m->reporter);
    ez_client_close(m->client);
}

static int64_t requests_of(ez_world *by, int64_t key_id) {
    const Ez__V1__Key *key = ask(&by->admin, "Keys/Get", "{'id':%" PRId64 "}", key_id);
    return key->request_count;
}

// It was told of B in its Hello, goes there without a word of ours, follows on from where it stands, and counts once.
static void move_from(void (*end_of_a)(void)) {
    mover m;
    const Ez__V1__Key *key = given_key(&a.admin, given_master(&a.admin, "acme")->id, "web");
    expect_soon(revision_of(&b) == revision_of(&a));
    given_mover(&m, near, key->id);
    expect_soon(counts_until(&m, is_seen(&b, near, LIVE, id_of(&a)) && plane_reached(&m.plane, revision_of(&b))));
    uint64_t snapshots = plane_info(&m.plane).snapshots;
    end_of_a();
    expect_soon(counts_until(&m, is_seen(&b, near, LIVE, id_of(&b))));
    create_and_wait(&b, "moved", 10000);
    cr_assert(plane_was_given(&m.plane, b.admin.info.revision));
    cr_assert_eq(plane_info(&m.plane).snapshots, snapshots, "it goes on from where it stands");
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_reporter_drain(m.reporter, ez_test_patience_ms(), &error), &error);
    cr_assert_eq(requests_of(&b, m.key_id), m.counted, "%" PRId64 " instead of %" PRId64, requests_of(&b, m.key_id),
                 m.counted);
    end_mover(&m);
}

static void kill_a(void) {
    kill_server(&a.server);
}

static void pause_a(void) {
    signal_process(&a.server.process, SIGSTOP);
}

Test(peers, a_data_plane_moves_from_a_killed_server) {
    need_postgres();
    move_from(kill_a);
}

Test(peers, a_data_plane_moves_from_a_silent_server) {
    need_postgres();
    move_from(pause_a);
    signal_process(&a.server.process, SIGCONT);
    expect_soon(is_seen(&a, near, EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_STOPPED, id_of(&b)));
    // nng 1.5.2 may lose the memory of an event that it sends just when its subscriber is found to be gone.
    kill_server(&a.server);
}

// ---- What subscribers and dashboards see

typedef struct watcher {
    ez_subscriber *subscriber;
    ez_buf event;
} watcher;

static void given_watcher(watcher *out, ez_world *at, const char *topic) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_subscriber_open(at->server.events_url, topic, NULL, &out->subscriber, &error), &error);
    ez_buf_init(&out->event, EZ_EVENT_MAX);
    expect_soon(ez_subscriber_is_connected(out->subscriber));
}

static void end_watcher(watcher *w) {
    ez_subscriber_close(w->subscriber);
    ez_buf_fini(&w->event);
}

typedef struct heard {
    Ez__V1__EventHeader *header;
    ProtobufCMessage *message;
} heard;

// The next event, in arena. False where none is there.
static bool hear(watcher *w, const ProtobufCMessageDescriptor *type, ez_arena *arena, heard *out) {
    const char *topic;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    if (!ez_subscriber_take(w->subscriber, &w->event))
        return false;
    expect_ok(ez_frame_read_event(w->event.data, w->event.len, arena, &topic, &out->header, &message, &error), &error);
    out->message = protobuf_c_message_unpack(type, ez_arena_allocator(arena), message.len, message.data);
    cr_assert_not_null(out->message);
    return true;
}

static bool hears_joined(watcher *w, int64_t id, const char *origin, ez_arena *arena) {
    heard h;
    while (hear(w, &ez__v1__data_plane_event__descriptor, arena, &h)) {
        const Ez__V1__DataPlaneEvent *event = (const Ez__V1__DataPlaneEvent *)h.message;
        if (event->id == id && event->type == EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_JOINED) {
            cr_assert_str_eq(h.header->origin, origin);
            return true;
        }
    }
    return false;
}

static bool hears_probe(watcher *w, ez_caller *probe, ez_arena *arena) {
    heard h;
    ask(probe, "DataPlanes/Hello", "{'process_epoch':3}");
    ask(probe, "DataPlanes/Goodbye", "{}");
    return hear(w, &ez__v1__data_plane_event__descriptor, arena, &h);
}

// What happens on B is told on A, in B's name, once; and B does not hear of it again.
Test(peers, events_of_one_reach_the_subscribers_of_all) {
    need_postgres();
    watcher at_a, at_b;
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    given_watcher(&at_a, &a, "dataplanes");
    given_watcher(&at_b, &b, "dataplanes");
    expect_soon(revision_of(&b) == revision_of(&a));
    const char *b_id = id_of(&b);
    ez_caller probe = caller_with(&b, given_plane(&b.admin, "probe")->token);
    expect_soon(hears_probe(&at_a, &probe, &arena)); // A has subscribed to B
    ez_caller first = caller_with(&b, near->token), second = caller_with(&b, far->token);
    ask(&first, "DataPlanes/Hello", "{'process_epoch':3}");
    expect_soon(hears_joined(&at_a, near->id, b_id, &arena));
    expect_soon(hears_joined(&at_b, near->id, "", &arena));
    // Whatever had come of the first one twice would be there before the second one's.
    ask(&second, "DataPlanes/Hello", "{'process_epoch':3}");
    heard h;
    int joined = 0;
    uint64_t deadline = ez_test_deadline();
    while (joined == 0 && ez_test_before(deadline)) {
        while (hear(&at_a, &ez__v1__data_plane_event__descriptor, &arena, &h)) {
            const Ez__V1__DataPlaneEvent *event = (const Ez__V1__DataPlaneEvent *)h.message;
            bool is_joined = event->type == EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_JOINED;
            cr_assert(!is_joined || event->id != near->id, "the first one is told of twice");
            joined += is_joined && event->id == far->id;
        }
    }
    cr_assert_eq(joined, 1);
    end_watcher(&at_a);
    end_watcher(&at_b);
    ez_arena_fini(&arena);
}

static int64_t realtime_of(ez_world *by) {
    const Ez__V1__RealtimeReport *report = ask(&by->admin, "Realtime/Get", "{}");
    return report->system->requests;
}

static int64_t published(watcher *w, ez_arena *arena) {
    heard h;
    int64_t last = -1;
    while (hear(w, &ez__v1__realtime_report__descriptor, arena, &h))
        last = ((const Ez__V1__RealtimeReport *)h.message)->system->requests;
    return last;
}

// Both servers count what came to either, in calls and in what they publish, and nothing twice.
Test(peers, live_numbers_are_those_of_all) {
    need_postgres();
    watcher at_a, at_b;
    ez_arena arena;
    ez_arena_init(&arena, 1u << 20);
    const Ez__V1__Master *acme = given_master(&a.admin, "acme");
    const Ez__V1__Key *key = given_key(&a.admin, acme->id, "web");
    expect_soon(revision_of(&b) == revision_of(&a));
    ez_caller at[] = {caller_with(&a, near->token), caller_with(&b, far->token)};
    const int requests[] = {3, 40};
    for (int sequence = 1; sequence <= 2; sequence++) {
        for (int i = 0; i < 2; i++)
            ask(&at[i], "Usage/Flush", "{'epoch':7,'sequence':%d,'keys':[{'id':%" PRId64 ",'requests':%d}]}", sequence,
                key->id, requests[i]);
    }
    given_watcher(&at_a, &a, "stats.realtime");
    given_watcher(&at_b, &b, "stats.realtime");
    expect_soon(realtime_of(&a) == 86 && realtime_of(&b) == 86);
    expect_soon(published(&at_a, &arena) == 86);
    expect_soon(published(&at_b, &arena) == 86);
    for (int i = 0; i < 2; i++) {
        ez_world *by = i == 0 ? &a : &b;
        const Ez__V1__RealtimeStats *stats = ask(&by->admin, "Realtime/GetMaster", "{'id':%" PRId64 "}", acme->id);
        cr_assert_eq(stats->requests, 86);
    }
    end_watcher(&at_a);
    end_watcher(&at_b);
    ez_arena_fini(&arena);
}
