// SPDX-License-Identifier: Apache-2.0
//
// One master stands for everything that was acknowledged before the fault; each look afterwards makes one change more.
#include "tests/fault/support/unhurt.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pid_t started;
static int64_t keeper;
static int64_t looks;

void given_peace(ez_world *world, const char *const *env) {
    given_world(world, env);
    started = world->server.process.pid;
    keeper = given_master(&world->admin, "peace")->id;
    looks = 0;
}

void expect_unhurt(ez_world *world) {
    cr_assert_eq(world->server.process.pid, started);
    cr_assert_eq(kill(started, 0), 0, "the server is gone");
    char name[32];
    snprintf(name, sizeof name, "look-%" PRId64, ++looks);
    given_key(&world->admin, keeper, name);
    Ez__V1__Master *master = ask(&world->admin, "Masters/Get", "{'id':%" PRId64 "}", keeper);
    cr_assert_str_eq(master->name, "peace");
    cr_assert_eq(master->key_count, looks, "%" PRId64 " keys, %" PRId64 " were made", master->key_count, looks);
}

size_t server_memory(const ez_world *world) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)world->server.process.pid);
    FILE *in = fopen(path, "re");
    cr_assert_not_null(in);
    unsigned long kib = 0;
    while (fgets(line, sizeof line, in))
        if (sscanf(line, "VmRSS: %lu kB", &kib) == 1)
            break;
    fclose(in);
    cr_assert_gt(kib, 0);
    return (size_t)kib * 1024;
}

unsigned connections(ez_world *world) {
    Ez__V1__Metrics *metrics = ask(&world->admin, "System/GetMetrics", "{}");
    static const char name[] = "\nezplane_connections ";
    const char *at = strstr(metrics->text, name);
    cr_assert_not_null(at);
    return (unsigned)strtoul(at + strlen(name), NULL, 10);
}

int given_peer(const char *url) {
    int fd = given_tcp(url);
    tcp_greet(fd, EZ_SP_REQ);
    cr_assert(tcp_greeted(fd));
    return fd;
}
