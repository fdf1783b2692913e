// SPDX-License-Identifier: Apache-2.0
//
// One libevent loop per core. Each has its own listening socket on the same address (SO_REUSEPORT: the kernel spreads
// connections), its own way to the core, its own memory; what they share is read-only or an atomic counter. Stopping:
// the listeners go first; idle connections get a moment, so that a client that is just sending hears "Connection:
// close" instead of a reset; then the loop ends when nothing is under way, or at the deadline.
#include "gateway/server.h"

#include <event2/event.h>
#include <event2/http.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/cors.h"
#include "gateway/exchange.h"
#include "gateway/listener.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"
#include "proto/runtime/log.h"

#define HEADERS_MAX   (16 << 10)
#define BODY_MAX      ((4 << 20) - (16 << 10)) // leaves room for the call's header within EZ_CALL_MAX
#define RESPONSE_MS   30000
#define RECEIVING_MAX (256u << 20) // over all loops
#define IDLE_GRACE_MS 1000
#define TICK_MS       1000
#define DRAIN_TICK_MS 20

typedef struct loop {
    ez_server *server;
    pthread_t thread;
    bool is_running;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct event *wake, *tick;
    int wake_fd;
    ez_backend *backend;
    ez_connections *connections;
    ez_streams *streams;
    ez_exchanger *exchanger;
    ez_counters counters;
    uint64_t draining_ms; // since when; 0: not
} loop;

struct ez_server {
    loop *loops;
    unsigned count;
    ez_router *router;
    ez_pages *pages;
    ez_metrics metrics;
    atomic_uint connections, streams;
    atomic_uint drain_ms;
};

static void on_request(struct evhttp_request *req, void *arg) {
    ez_exchanger_take(((loop *)arg)->exchanger, req);
}

static void set_tick(loop *one, long ms) {
    struct timeval every = {ms / 1000, ms % 1000 * 1000};
    (void)event_add(one->tick, &every);
}

static void drain(loop *one) {
    uint64_t now = ez_clock_mono_ms();
    uint64_t since = now - one->draining_ms;
    if (since >= IDLE_GRACE_MS)
        ez_connections_close_idle(one->connections);
    bool is_done = ez_connections_count(one->connections) == 0 && ez_exchanger_count(one->exchanger) == 0;
    if (is_done || since >= atomic_load(&one->server->drain_ms))
        (void)event_base_loopbreak(one->base);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    loop *one = arg;
    ez_connections_sweep(one->connections);
    ez_streams_tick(one->streams);
    if (one->draining_ms)
        drain(one);
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    loop *one = arg;
    uint64_t value;
    if (read(fd, &value, sizeof value) != sizeof value || one->draining_ms)
        return;
    one->draining_ms = ez_clock_mono_ms();
    ez_exchanger_drain(one->exchanger);
    ez_streams_drain(one->streams);
    evhttp_del_accept_socket(one->http, one->bound);
    one->bound = NULL;
    set_tick(one, DRAIN_TICK_MS);
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory or descriptors for a loop");
}

static ez_status make_base(loop *one, const ez_server_options *options, ez_error *error) {
    struct event_config *config = event_config_new();
    if (!config)
        return no_memory(error);
    // Each base is touched by its own thread alone; the one thing that comes from outside is the wish to stop.
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    one->base = event_base_new_with_config(config);
    event_config_free(config);
    one->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    one->http = one->base ? evhttp_new(one->base) : NULL;
    if (!one->http || one->wake_fd < 0)
        return no_memory(error);
    evhttp_set_max_headers_size(one->http, HEADERS_MAX);
    evhttp_set_max_body_size(one->http, BODY_MAX);
    evhttp_set_allowed_methods(one->http, UINT16_MAX); // the unknown ones too: ours to refuse, as a problem document
    evhttp_set_default_content_type(one->http, NULL);
    evhttp_set_timeout(one->http, (int)options->idle_s);
    evhttp_set_gencb(one->http, on_request, one);
    return EZ_OK;
}

static ez_status make_events(loop *one, ez_error *error) {
    one->wake = event_new(one->base, one->wake_fd, EV_READ | EV_PERSIST, on_wake, one);
    one->tick = event_new(one->base, -1, EV_PERSIST, on_tick, one);
    if (!one->wake || !one->tick || event_add(one->wake, NULL) != 0)
        return no_memory(error);
    set_tick(one, TICK_MS);
    return EZ_OK;
}

static ez_status make_parts(loop *one, const ez_server_options *options, ez_error *error) {
    ez_server *server = one->server;
    ez_connection_limits limits = {
        .max = options->max_connections,
        .request_ms = options->request_s * 1000,
        .response_ms = RESPONSE_MS,
        .max_receiving = RECEIVING_MAX / server->count,
        .total = &server->connections,
        .refused = &one->counters.refused,
        .timeouts = &one->counters.timeouts,
    };
    ez_status status = ez_backend_open(one->base, options->rpc_url, options->max_calls, &one->backend, error);
    if (status == EZ_OK)
        status = ez_connections_create(one->base, one->http, &limits, &one->connections, error);
    ez_streams_options streams = {
        .base = one->base,
        .url = options->events_url,
        .backend = one->backend,
        .counters = &one->counters,
        .max = options->max_streams,
        .total = &server->streams,
        .check_s = options->stream_check_s,
        .beat_s = options->stream_beat_s,
    };
    if (status == EZ_OK)
        status = ez_streams_open(&streams, &one->streams, error);
    if (status != EZ_OK)
        return status;
    ez_exchange_parts parts = {
        .router = server->router,
        .pages = server->pages,
        .cors_origins = options->cors_origins,
        .backend = one->backend,
        .connections = one->connections,
        .streams = one->streams,
        .counters = &one->counters,
        .metrics = &server->metrics,
    };
    return ez_exchanger_create(&parts, &one->exchanger, error);
}

static ez_status make_loop(loop *one, const ez_server_options *options, ez_listener *listener, ez_error *error) {
    ez_status status = make_base(one, options, error);
    if (status == EZ_OK)
        status = make_parts(one, options, error);
    if (status == EZ_OK)
        status = make_events(one, error);
    int fd = -1;
    if (status == EZ_OK)
        status = ez_listener_bind(listener, &fd, error);
    if (status != EZ_OK)
        return status;
    one->bound = evhttp_accept_socket_with_handle(one->http, fd);
    if (!one->bound) {
        close(fd);
        return no_memory(error);
    }
    return EZ_OK;
}

static void free_loop(loop *one) {
    ez_backend_close(one->backend);
    ez_exchanger_destroy(one->exchanger);
    if (one->http)
        evhttp_free(one->http);
    ez_connections_destroy(one->connections);
    ez_streams_close(one->streams);
    struct event *const events[] = {one->wake, one->tick};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (events[i])
            event_free(events[i]);
    }
    if (one->base)
        event_base_free(one->base);
    if (one->wake_fd >= 0)
        close(one->wake_fd);
}

static void free_server(ez_server *server) {
    for (unsigned i = 0; i < server->count; i++)
        free_loop(&server->loops[i]);
    ez_router_destroy(server->router);
    ez_pages_destroy(server->pages);
    free(server->loops);
    free(server);
}

static void *run(void *arg) {
    loop *one = arg;
    (void)event_base_dispatch(one->base);
    return NULL;
}

static void stop(ez_server *server) {
    for (unsigned i = 0; i < server->count; i++) {
        uint64_t value = 1;
        ssize_t ignored = server->loops[i].is_running ? write(server->loops[i].wake_fd, &value, sizeof value) : 0;
        (void)ignored; // it can only be full, and then the loop is awake
    }
    for (unsigned i = 0; i < server->count; i++) {
        if (server->loops[i].is_running)
            (void)pthread_join(server->loops[i].thread, NULL);
    }
}

static unsigned loops_of(const ez_server_options *options) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long loops = options->loops ? (long)options->loops : cores > 0 ? cores : 1;
    return loops < EZ_METRICS_LOOPS_MAX ? (unsigned)loops : EZ_METRICS_LOOPS_MAX;
}

static ez_status make_server(const ez_server_options *options, ez_server **out, ez_error *error) {
    ez_server *made = calloc(1, sizeof *made);
    unsigned count = loops_of(options);
    void *loops = NULL;
    if (!made || posix_memalign(&loops, _Alignof(loop), count * sizeof(loop)) != 0) {
        free(made);
        return no_memory(error);
    }
    memset(loops, 0, count * sizeof(loop));
    made->loops = loops;
    made->count = count;
    made->metrics.loops = count;
    made->metrics.connections = &made->connections;
    made->metrics.streams = &made->streams;
    for (unsigned i = 0; i < count; i++) {
        made->loops[i].server = made;
        made->loops[i].wake_fd = -1;
    }
    *out = made;
    return EZ_OK;
}

static ez_status start_loops(ez_server *server, ez_error *error) {
    for (unsigned i = 0; i < server->count; i++) {
        server->metrics.counters[i] = &server->loops[i].counters;
        server->metrics.backends[i] = server->loops[i].backend;
        server->metrics.events[i] = ez_streams_events(server->loops[i].streams);
    }
    for (unsigned i = 0; i < server->count; i++) {
        if (pthread_create(&server->loops[i].thread, NULL, run, &server->loops[i]) != 0)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "can't start a thread");
        server->loops[i].is_running = true;
    }
    return EZ_OK;
}

ez_status ez_server_open(const ez_server_options *options, ez_server **out, char *addr, ez_error *error) {
    ez_server *made = NULL;
    ez_listener listener;
    ez_status status = ez_cors_check(options->cors_origins, error);
    if (status == EZ_OK)
        status = ez_listener_parse(options->http_addr, &listener, error);
    if (status == EZ_OK)
        status = make_server(options, &made, error);
    if (status != EZ_OK)
        return status;
    status = ez_router_create(ez_routes, ez_route_count, &made->router, error);
    if (status == EZ_OK)
        status = ez_pages_create(&made->pages, error);
    for (unsigned i = 0; i < made->count && status == EZ_OK; i++)
        status = make_loop(&made->loops[i], options, &listener, error);
    if (status == EZ_OK)
        status = start_loops(made, error);
    if (status != EZ_OK) {
        stop(made);
        free_server(made);
        return status;
    }
    ez_listener_text(&listener, addr, EZ_SERVER_ADDR_MAX);
    *out = made;
    return EZ_OK;
}

void ez_server_close(ez_server *server, uint32_t drain_ms) {
    if (!server)
        return;
    atomic_store(&server->drain_ms, drain_ms);
    stop(server);
    free_server(server);
}
