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

TestSuite(servers, .init = begin, .fini = end);

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

static void create_and_wait(ez_world *at, const char *name, uint32_t timeout_ms) {
    at->admin.next.wait_applied = true;
    at->admin.next.timeout_ms = timeout_ms;
    ask(&at->admin, "Namespaces/Create", "{'namespace':{'name':'%s'}}", name);
    cr_assert(at->admin.info.has_applied);
}

#define expect_applied(at, planes, of)                                                                                 \
    cr_assert(at.admin.info.applied_planes == (planes) && at.admin.info.applied_of == (of), "%u of %u",                \
              at.admin.info.applied_planes, at.admin.info.applied_of)

Test(servers, a_server_lists_itself_first) {
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
Test(servers, a_change_waits_for_the_data_planes_of_all) {
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

// A data plane that says Hello elsewhere is there, and once; the server it left has no session of it any more.
Test(servers, a_data_plane_that_moves_is_counted_once) {
    need_postgres();
    expect_soon(revision_of(&b) == revision_of(&a));
    ez_caller at_a = caller_with(&a, near->token), at_b = caller_with(&b, near->token);
    ask(&at_a, "DataPlanes/Hello", "{'process_epoch':5,'hellos':1}");
    expect_soon(is_seen(&b, near, LIVE, id_of(&a)));
    ask(&at_b, "DataPlanes/Hello", "{'process_epoch':5,'hellos':2}");
    cr_assert(is_seen(&b, near, LIVE, id_of(&b)));
    expect_soon(is_seen(&a, near, LIVE, id_of(&b)));
    expect_refused(&at_a, EZ_FAILED_PRECONDITION, "NO_SESSION", "DataPlanes/Heartbeat", "{}");
    create_and_wait(&a, "once", 300);
    expect_applied(a, 0, 1);
    const Ez__V1__Status *status = ask(&a.admin, "System/GetStatus", "{}");
    cr_assert_eq(status->data_planes_live, 1);
}

// Of a server that is killed the data planes count as missing, then they are lost, and nobody waits for them.
Test(servers, a_killed_server_takes_its_silent_data_planes_with_it) {
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
