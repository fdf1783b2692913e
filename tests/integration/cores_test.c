// SPDX-License-Identifier: Apache-2.0
//
// A gateway before two servers of one store: it serves on when the one it calls is stopped, killed or silent, and its
// events are then the other's.
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/support/world.h"
#include "tests/support/port.h"

static ez_world a, b;
static ez_test_process gateway;
static unsigned http_port;
static char text[8192]; // of the last answer

static void begin(void) {
    const char *store = getenv("EZ_TEST_STORE");
    if (!store || strcmp(store, "postgres") != 0)
        cr_skip_test("this is about servers that share a PostgreSQL store");
    given_world(&a, NULL);
    b = (ez_world){.kept = NULL};
    given_second_server(&b.server, &a.server);
    given_callers(&b);
    static char rpc[160], events[160], addr[64], log[EZ_TEST_PATH_MAX + 16];
    // One loop: each has a connection of its own and moves by itself, so what one did says nothing of another.
    static const char *env[] = {rpc, events, addr, "EZ_HTTP_LOOPS=1", NULL};
    http_port = given_port();
    snprintf(rpc, sizeof rpc, "EZ_RPC_URL=%s,%s", a.server.rpc_url, b.server.rpc_url);
    snprintf(events, sizeof events, "EZ_EVENTS_URL=%s,%s", a.server.events_url, b.server.events_url);
    snprintf(addr, sizeof addr, "EZ_HTTP_ADDR=127.0.0.1:%u", http_port);
    snprintf(log, sizeof log, "%s/ez-gateway.log", a.server.home);
    gateway = (ez_test_process){.out = -1};
    start_process(&gateway, "ez-gateway", NULL, env, log);
    cr_assert(wait_for_line(&gateway, "ready "));
}

static void end(void) {
    if (gateway.pid > 0)
        stop_process(&gateway);
    if (b.client)
        end_world(&b);
    if (a.client)
        end_world(&a);
}

TestSuite(cores, .init = begin, .fini = end);

static int connect_http(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

// One request; its status. What came is in text.
static int request(const char *method, const char *path, const char *body) {
    char head[1024];
    int fd = connect_http(), len;
    len = snprintf(head, sizeof head,
                   "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Type: "
                   "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   method, path, a.server.admin_token, strlen(body), body);
    cr_assert_eq(write(fd, head, (size_t)len), len);
    size_t got = 0;
    ssize_t more;
    while (got < sizeof text - 1 && (more = read(fd, text + got, sizeof text - 1 - got)) > 0)
        got += (size_t)more;
    text[got] = '\0';
    close(fd);
    int status = 0;
    cr_assert_eq(sscanf(text, "HTTP/1.1 %d", &status), 1, "%s", text);
    return status;
}

static const char *id_of(ez_world *world) {
    const Ez__V1__Status *status = ask(&world->admin, "System/GetStatus", "{}");
    return status->server_id;
}

static bool serves(const char *server_id) {
    return request("GET", "/status", "") == 200 && strstr(text, server_id);
}

// Whether a stream of events begins with this server's.
static bool streams(const char *server_id) {
    char head[512], got[4096];
    int fd = connect_http();
    int len = snprintf(head, sizeof head,
                       "GET /admin/events?topics=stats.realtime HTTP/1.1\r\nHost: x\r\n"
                       "Authorization: Bearer %s\r\n\r\n",
                       a.server.admin_token);
    cr_assert_eq(write(fd, head, (size_t)len), len);
    struct timeval patience = {.tv_sec = 5};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    size_t at = 0;
    ssize_t more;
    bool has = false, ends = false;
    while (!has && !ends && at < sizeof got - 1 && (more = read(fd, got + at, sizeof got - 1 - at)) > 0) {
        at += (size_t)more;
        got[at] = '\0';
        char id[64];
        snprintf(id, sizeof id, "id: %s/", server_id);
        has = strstr(got, id) != NULL;
        ends = strstr(got, "HTTP/1.1 200") == NULL || strstr(got, "event: lost") != NULL;
    }
    close(fd);
    return has;
}

Test(cores, a_gateway_goes_on_when_its_core_is_killed_or_silent) {
    const char *a_id = id_of(&a), *b_id = id_of(&b);
    expect_soon(serves(a_id));
    expect_soon(streams(a_id));
    kill_server(&a.server);
    expect_soon(serves(b_id));
    cr_assert_eq(request("POST", "/admin/namespaces", "{\"name\":\"after\"}"), 201, "%s", text);
    expect_soon(streams(b_id));
    start_server(&a.server);
    await_answers(&a);
    a_id = id_of(&a);
    signal_process(&b.server.process, SIGSTOP);
    expect_soon(serves(a_id));
    cr_assert_eq(request("POST", "/admin/namespaces", "{\"name\":\"later\"}"), 201, "%s", text);
    expect_soon(streams(a_id));
    // Not resumed: nng 1.5.2 may lose the memory of an event that it sends just when its subscriber is found to be
    // gone.
    kill_server(&b.server);
}

// A core that stops takes no new calls: the other one has them, and nobody notices.
Test(cores, a_core_that_stops_costs_no_request) {
    const char *a_id = id_of(&a), *b_id = id_of(&b);
    expect_soon(serves(a_id));
    signal_process(&a.server.process, SIGTERM);
    uint64_t deadline = ez_test_deadline();
    bool has_moved = false;
    for (int i = 0; !has_moved && ez_test_before(deadline); i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"name\":\"n%d\"}", i);
        cr_assert_eq(request("POST", "/admin/namespaces", body), 201, "%s", text);
        cr_assert_eq(request("GET", "/status", ""), 200, "%s", text);
        has_moved = strstr(text, b_id) != NULL;
    }
    cr_assert(has_moved);
    cr_assert(WIFEXITED(wait_process(&a.server.process)));
}
