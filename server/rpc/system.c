// SPDX-License-Identifier: Apache-2.0
//
// How the server is, for people (/status), for load balancers (/readyz) and for Prometheus (/metrics).
#include "server/rpc/system.h"

#include <stdlib.h>
#include <string.h>

#include "ez/v1/system.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/version.h"

struct ez_system {
    ez_system_options options;
    ez_rpc *_Atomic rpc;
    int64_t started_ns;
    uint64_t started_mono_ns;
};

ez_status ez_system_create(const ez_system_options *options, ez_system **out, ez_error *error) {
    ez_system *system = calloc(1, sizeof *system);
    if (system == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    }
    system->options = *options;
    system->started_ns = ez_clock_wall_ns();
    system->started_mono_ns = ez_clock_mono_ns();
    *out = system;
    return EZ_OK;
}

void ez_system_destroy(ez_system *system) {
    free(system);
}

void ez_system_watch(ez_system *system, ez_rpc *rpc) {
    system->rpc = rpc;
}

static int64_t count(const ez_system *system, int kind) {
    return (int64_t)ez_directory_count(system->options.directory, kind);
}

// What only admins are shown is absent for others: 0 would be a lie.
#define SHOW(name, NAME, value)                                                                                        \
    (status->opt_##name##_case = EZ__V1__STATUS__OPT_##NAME##_##NAME, status->name = (int64_t)(value))

static const char *const follows[] = {
    [EZ_FOLLOWS_NOBODY] = "", [EZ_FOLLOWS_BY_POLL] = "poll", [EZ_FOLLOWS_BY_NOTIFY] = "notify"};

static void add_lease(struct ez_system *self, ez_call *call, Ez__V1__Status *status) {
    char holder[EZ_LEASE_HOLDER_MAX] = "";
    uint64_t token = 0;
    if (self->options.look_at_lease != NULL) {
        self->options.look_at_lease(self->options.lease, holder, &token);
    }
    if (holder[0] == '\0') {
        return;
    }
    status->lease_holder = ez_arena_strndup(&call->arena, holder, strlen(holder));
    status->opt_lease_token_case = EZ__V1__STATUS__OPT_LEASE_TOKEN_LEASE_TOKEN;
    status->lease_token = token;
}

static void add_detail(struct ez_system *self, ez_call *call, Ez__V1__Status *status) {
    uint32_t enrolled, live;
    ez_fleet_counts(self->options.fleet, &enrolled, &live);
    live = ez_fleet_count_all(self->options.fleet);
    status->server_id = (char *)self->options.server_id;
    status->store = (char *)ez_store_name(self->options.store);
    status->redis = (char *)ez_redis_word(self->options.redis);
    SHOW(masters, MASTERS, count(self, EZ__V1__KIND__KIND_MASTER));
    SHOW(keys, KEYS, count(self, EZ__V1__KIND__KIND_KEY));
    SHOW(namespaces, NAMESPACES, count(self, EZ__V1__KIND__KIND_NAMESPACE));
    SHOW(provider_groups, PROVIDER_GROUPS, count(self, EZ__V1__KIND__KIND_PROVIDER_GROUP));
    SHOW(api_keys, API_KEYS, count(self, EZ__V1__KIND__KIND_API_KEY));
    SHOW(bindings, BINDINGS, count(self, EZ__V1__KIND__KIND_BINDING));
    SHOW(data_planes, DATA_PLANES, enrolled);
    SHOW(data_planes_live, DATA_PLANES_LIVE, live);
    status->follows_by = (char *)follows[ez_store_follows(self->options.store)];
    add_lease(self, call, status);
}

ez_status ez_handle_system_get_status(struct ez_system *self, ez_call *call, Ez__V1__GetStatusRequest *request) {
    (void)request;
    ez_revision head = ez_feed_head(self->options.feed);
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    Google__Protobuf__Timestamp started = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__Status status = EZ__V1__STATUS__INIT;
    revision.epoch = head.epoch;
    revision.n = head.n;
    started.seconds = self->started_ns / 1000000000;
    ez_rpc *rpc = self->rpc;
    status.status = (char *)(rpc != NULL && ez_rpc_is_stopping(rpc) ? "stopping" : "ok");
    status.version = (char *)ez_version;
    status.started_at = &started;
    status.uptime_seconds = (ez_clock_mono_ns() - self->started_mono_ns) / 1000000000u;
    status.revision = &revision;
    status.insecure_listen = self->options.insecure_listen;
    if (call->principal.scope == EZ_SCOPE_ADMIN) {
        add_detail(self, call, &status);
    }
    return ez_call_reply(call, &status.base);
}

ez_status ez_handle_system_get_about(struct ez_system *self, ez_call *call, Ez__V1__GetAboutRequest *request) {
    (void)self;
    (void)request;
    Ez__V1__About about = EZ__V1__ABOUT__INIT;
    about.name = (char *)"ezplane";
    about.description = (char *)"A control plane for LLM gateways: configuration pushed in milliseconds, and you can "
                                "wait until it holds.";
    about.repo = (char *)"https://github.com/ezplane/ezplane";
    about.version = (char *)ez_version;
    return ez_call_reply(call, &about.base);
}

ez_status ez_handle_system_get_ready(struct ez_system *self, ez_call *call, struct ez_reader *reader,
                                     Ez__V1__GetReadyRequest *request) {
    (void)self;
    (void)request;
    ez_status status = ez_reader_ping(reader, &call->error);
    if (status != EZ_OK) {
        return status;
    }
    Ez__V1__Ready ready = EZ__V1__READY__INIT;
    ready.ready = true;
    return ez_call_reply(call, &ready.base);
}

ez_status ez_handle_events_watch(struct ez_system *self, ez_call *call, Ez__V1__WatchEventsRequest *request) {
    (void)request;
    Ez__V1__WatchEventsResponse reply = EZ__V1__WATCH_EVENTS_RESPONSE__INIT;
    reply.events_url = (char *)self->options.events_url;
    reply.server_id = (char *)self->options.server_id;
    ez_publish_topic topics[EZ_PUBLISH_TOPICS_MAX];
    Ez__V1__TopicPosition positions[EZ_PUBLISH_TOPICS_MAX], *list[EZ_PUBLISH_TOPICS_MAX];
    reply.n_topics = self->options.events != NULL ? ez_publish_topics(self->options.events, topics) : 0;
    reply.topics = list;
    for (size_t i = 0; i < reply.n_topics; i++) {
        ez__v1__topic_position__init(&positions[i]);
        positions[i].topic = topics[i].name;
        positions[i].sequence = topics[i].sequence;
        list[i] = &positions[i];
    }
    return ez_call_reply(call, &reply.base);
}

// ---- Metrics

typedef struct gauge {
    const char *name, *help;
    int kind; // of the directory
} gauge;

static const gauge gauges[] = {
    {"ezplane_masters", "Masters.", EZ__V1__KIND__KIND_MASTER},
    {"ezplane_keys", "Child keys.", EZ__V1__KIND__KIND_KEY},
    {"ezplane_namespaces", "Namespaces.", EZ__V1__KIND__KIND_NAMESPACE},
    {"ezplane_provider_groups", "Provider groups.", EZ__V1__KIND__KIND_PROVIDER_GROUP},
    {"ezplane_api_keys", "API keys.", EZ__V1__KIND__KIND_API_KEY},
    {"ezplane_bindings", "Bindings.", EZ__V1__KIND__KIND_BINDING},
};

static void write_gauge(ez_buf *out, const char *name, const char *help, unsigned long long value) {
    ez_buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %llu\n", name, help, name, name, value);
}

static void write_calls(const ez_rpc *rpc, ez_buf *out) {
    ez_buf_puts(out,
                "# HELP ezplane_calls_total Calls answered, by method and code.\n# TYPE ezplane_calls_total counter\n");
    for (unsigned i = 0; i < ez_method_count; i++) {
        for (int code = 0; code <= EZ_UNAUTHENTICATED; code++) {
            uint64_t calls = ez_rpc_calls(rpc, &ez_methods[i], (ez_status)code);
            if (calls > 0) {
                ez_buf_printf(out, "ezplane_calls_total{method=\"%s\",code=\"%s\"} %llu\n", ez_methods[i].name,
                              ez_status_name((ez_status)code), (unsigned long long)calls);
            }
        }
    }
}

ez_status ez_handle_system_get_metrics(struct ez_system *self, ez_call *call, Ez__V1__GetMetricsRequest *request) {
    (void)request;
    ez_buf text;
    ez_buf_init(&text, 256u << 10);
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        write_gauge(&text, gauges[i].name, gauges[i].help, (unsigned long long)count(self, gauges[i].kind));
    }
    uint32_t enrolled, live;
    ez_fleet_counts(self->options.fleet, &enrolled, &live);
    write_gauge(&text, "ezplane_revision", "Newest committed revision.", ez_feed_head(self->options.feed).n);
    write_gauge(&text, "ezplane_data_planes", "Enrolled data planes.", enrolled);
    write_gauge(&text, "ezplane_data_planes_live", "Data planes of this server, heard within three heartbeats.", live);
    ez_redis_write_metrics(self->options.redis, &text);
    if (self->options.write_metrics != NULL) {
        self->options.write_metrics(self->options.metrics_user, &text);
    }
    ez_oauth_write_metrics(self->options.oauth, &text);
    ez_rpc *rpc = self->rpc;
    if (rpc != NULL) {
        ez_rpc_numbers numbers;
        ez_rpc_count(rpc, &numbers);
        write_gauge(&text, "ezplane_calls_in_flight", "Calls being worked on.", numbers.in_flight);
        write_gauge(&text, "ezplane_connections", "Connections to the calls socket.", numbers.peers);
        write_calls(rpc, &text);
    }
    Ez__V1__Metrics metrics = EZ__V1__METRICS__INIT;
    const char *written = text.overflow ? NULL : ez_buf_cstr(&text);
    metrics.text = (char *)(written != NULL ? written : "");
    ez_status status = written != NULL
                           ? ez_call_reply(call, &metrics.base)
                           : ez_call_fail(call, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", "too many metrics");
    ez_buf_fini(&text);
    return status;
}
