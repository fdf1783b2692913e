// SPDX-License-Identifier: Apache-2.0
//
// Two servers that are told by hand where they are: EZ_PEERS has the addresses they use among themselves,
// EZ_ADVERTISE_… those that data planes and subscribers use. Each advertised address is a forwarder, so whoever uses it
// can be told from who uses the other one, and it can be closed alone.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/support/forwarder.h"
#include "tests/fault/support/own_postgres.h"
#include "tests/integration/support/plane.h"

#define SETTINGS 4
#define LIVE     EZ__V1__DATA_PLANE_STATE__DATA_PLANE_STATE_LIVE

// A server behind its advertised addresses.
typedef struct known_server {
    ez_world world;
    ez_forwarder *lines[3];
    char rpc_url[64], config_url[64], events_url[64]; // as advertised
    char texts[SETTINGS][192];
    const char *env[SETTINGS + 1];
} known_server;

static known_server a, b;

static void given_addresses(known_server *s) {
    ez_test_server *server = &s->world.server;
    s->lines[0] = given_forwarder(server->rpc_url, s->rpc_url, sizeof s->rpc_url);
    s->lines[1] = given_forwarder(server->config_url, s->config_url, sizeof s->config_url);
    s->lines[2] = given_forwarder(server->events_url, s->events_url, sizeof s->events_url);
    // One list for both, in which each finds itself, at an address that it does not advertise.
    snprintf(s->texts[0], sizeof s->texts[0], "EZ_PEERS=%s,%s", a.world.server.rpc_url, b.world.server.rpc_url);
    snprintf(s->texts[1], sizeof s->texts[1], "EZ_ADVERTISE_RPC_URL=%s", s->rpc_url);
    snprintf(s->texts[2], sizeof s->texts[2], "EZ_ADVERTISE_CONFIG_URL=%s", s->config_url);
    snprintf(s->texts[3], sizeof s->texts[3], "EZ_ADVERTISE_EVENTS_URL=%s", s->events_url);
    for (int i = 0; i < SETTINGS; i++)
        s->env[i] = s->texts[i];
    server->env = s->env;
    start_server(server);
    await_answers(&s->world);
}

static Ez__V1__ListServersResponse *servers_of(known_server *s) {
    return ask(&s->world.admin, "Servers/List", "{}");
}

static bool reaches_both(known_server *s) {
    const Ez__V1__ListServersResponse *list = servers_of(s);
    return list->n_items == 2 && list->items[0]->is_reachable && list->items[1]->is_reachable;
}

static void begin(void) {
    need_postgres();
    given_world(&a.world, NULL);
    given_second_server(&b.world.server, &a.world.server);
    given_callers(&b.world);
    stop_server(&b.world.server); // where they listen is known only now
    stop_server(&a.world.server);
    given_addresses(&a);
    given_addresses(&b);
    expect_soon(reaches_both(&a) && reaches_both(&b));
}

static void end_server_and_lines(known_server *s) {
    end_world(&s->world);
    for (int i = 0; i < 3; i++)
        end_forwarder(s->lines[i]);
}

static void end(void) {
    end_server_and_lines(&b);
    end_server_and_lines(&a);
}

static Ez__V1__DataPlane *seen(known_server *by, const Ez__V1__DataPlane *enrolled) {
    return ask(&by->world.admin, "DataPlanes/Get", "{'id':%" PRId64 "}", enrolled->id);
}

static bool is_live_at(known_server *by, const Ez__V1__DataPlane *enrolled, const char *server_id) {
    const Ez__V1__DataPlane *plane = seen(by, enrolled);
    return plane->state == LIVE && strcmp(plane->server_id, server_id) == 0;
}

static void change_reaches_all(known_server *at, const char *name, unsigned planes) {
    create_and_wait(&at->world, name, 10000);
    const ez_call_info *info = &at->world.admin.info;
    cr_assert(info->applied_planes == planes && info->applied_of == planes, "%u of %u instead of %u",
              info->applied_planes, info->applied_of, planes);
}

static void expect_knows(known_server *by, known_server *other) {
    const Ez__V1__ListServersResponse *list = servers_of(by);
    cr_assert_eq(list->n_items, 2, "its own address in the list is itself");
    cr_assert_str_eq(list->items[0]->rpc_url, by->rpc_url);
    cr_assert_str_eq(list->items[1]->rpc_url, other->world.server.rpc_url);
    cr_assert_str_eq(list->items[1]->id, servers_of(other)->items[0]->id);
    cr_assert_str_eq(list->items[1]->config_url, other->config_url);
    cr_assert_str_eq(list->items[1]->events_url, other->events_url);
}

Test(given_peers, each_knows_the_other_by_the_list) {
    begin();
    expect_knows(&a, &b);
    expect_knows(&b, &a);
    // What it advertises is for others: the two go on without it.
    close_forwarder(b.lines[0]);
    static const char *const name[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++)
        change_reaches_all(&a, name[i], 0);
    cr_assert(reaches_both(&a));
    end();
}

// Told where it is advertised, a data plane that loses its server goes there.
Test(given_peers, data_planes_learn_what_is_advertised_and_move_there) {
    begin();
    const Ez__V1__DataPlane *near = given_plane(&a.world.admin, "near"), *far = given_plane(&a.world.admin, "far");
    expect_soon(revision_of(&b.world) == revision_of(&a.world));
    const char *a_id = servers_of(&a)->items[0]->id, *b_id = servers_of(&b)->items[0]->id;
    ez_plane here, there;
    given_roamer(&here, &a.world, near->token);
    given_roamer(&there, &b.world, far->token);
    expect_soon(is_live_at(&b, near, a_id) && is_live_at(&a, far, b_id));
    change_reaches_all(&a, "at-a", 2);
    change_reaches_all(&b, "at-b", 2);
    cr_assert(plane_was_given(&here, b.world.admin.info.revision));
    cr_assert(plane_was_given(&there, b.world.admin.info.revision));

    ez_caller probe = caller_with(&a.world, given_plane(&a.world.admin, "probe")->token);
    const Ez__V1__HelloResponse *hello = ask(&probe, "DataPlanes/Hello", "{'process_epoch':3}");
    ask(&probe, "DataPlanes/Goodbye", "{}");
    cr_assert_str_eq(hello->config_url, a.config_url);
    cr_assert_str_eq(hello->events_url, a.events_url);
    cr_assert_eq(hello->n_servers, 1);
    cr_assert_str_eq(hello->servers[0], b.rpc_url);

    kill_server(&a.world.server);
    expect_soon(is_live_at(&b, near, b_id));
    change_reaches_all(&b, "moved", 2);
    cr_assert(plane_was_given(&here, b.world.admin.info.revision));
    // It is at the advertised address: without that it is nowhere.
    close_forwarder(b.lines[0]);
    expect_soon(!is_live_at(&b, near, b_id));
    cr_assert(is_live_at(&b, far, b_id));
    open_forwarder(b.lines[0]);
    expect_soon(is_live_at(&b, near, b_id));
    end_follower(&here);
    end_follower(&there);
    end();
}
