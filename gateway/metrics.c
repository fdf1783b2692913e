// SPDX-License-Identifier: Apache-2.0
//
// Counters as Prometheus wants them. The names begin with ez_gateway_, so that they stand beside the core's own in one
// scrape. Sums are read loop by loop without a lock: a scrape under load is exact per counter, not across them.
#include "gateway/metrics.h"

#include <inttypes.h>

static uint64_t get(const atomic_ullong *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void ez_metrics_answered(ez_counters *counters, int status, uint64_t duration_us) {
    unsigned kind = status >= 100 && status < 600 ? (unsigned)status / 100 : 0;
    atomic_fetch_add_explicit(&counters->requests[kind], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->duration_us, duration_us, memory_order_relaxed);
}

static void put(ez_buf *out, const char *name, const char *type, const char *help, uint64_t value) {
    (void)ez_buf_printf(out, "# HELP ez_gateway_%s %s\n# TYPE ez_gateway_%s %s\nez_gateway_%s %" PRIu64 "\n", name,
                        help, name, type, name, value);
}

void ez_metrics_write(const ez_metrics *metrics, ez_buf *out) {
    ez_backend_counts calls = {0};
    unsigned connected = 0;
    unsigned listening = 0;
    uint64_t requests[6] = {0}, duration = 0, refused = 0, timeouts = 0, events = 0, lost = 0;
    for (unsigned i = 0; i < metrics->loops; i++) {
        const ez_counters *from = metrics->counters[i];
        ez_backend_counts one;
        ez_backend_count(metrics->backends[i], &one);
        calls.calls += one.calls;
        calls.retries += one.retries;
        calls.failures += one.failures;
        calls.in_flight += one.in_flight;
        connected += ez_backend_is_connected(metrics->backends[i]);
        for (unsigned kind = 0; kind < 6; kind++)
            requests[kind] += get(&from->requests[kind]);
        duration += get(&from->duration_us);
        refused += get(&from->refused);
        timeouts += get(&from->timeouts);
        lost += get(&from->streams_lost);
        events += ez_events_count(metrics->events[i]);
        listening += ez_events_is_up(metrics->events[i]);
    }
    (void)ez_buf_puts(out, "# HELP ez_gateway_requests_total Requests answered, by class of status.\n"
                           "# TYPE ez_gateway_requests_total counter\n");
    for (unsigned kind = 2; kind < 6; kind++)
        (void)ez_buf_printf(out, "ez_gateway_requests_total{status=\"%uxx\"} %" PRIu64 "\n", kind, requests[kind]);
    (void)ez_buf_printf(out,
                        "# HELP ez_gateway_request_seconds_sum Time from a request's last byte to its answer.\n"
                        "# TYPE ez_gateway_request_seconds_sum counter\nez_gateway_request_seconds_sum %.6f\n",
                        (double)duration / 1e6);
    put(out, "connections", "gauge", "HTTP connections now.",
        atomic_load_explicit(metrics->connections, memory_order_relaxed));
    put(out, "connections_refused_total", "counter", "HTTP connections above the bound.", refused);
    put(out, "connections_too_slow_total", "counter", "HTTP connections closed for taking too long.", timeouts);
    put(out, "calls_total", "counter", "Calls made to the core.", calls.calls);
    put(out, "call_retries_total", "counter", "Calls sent again after a lost connection.", calls.retries);
    put(out, "call_failures_total", "counter", "Calls the core gave no reply to.", calls.failures);
    put(out, "calls_in_flight", "gauge", "Calls waiting for the core now.", calls.in_flight);
    put(out, "core_connections", "gauge", "Loops that have a connection to the core.", connected);
    put(out, "streams", "gauge", "Event streams now.", atomic_load_explicit(metrics->streams, memory_order_relaxed));
    put(out, "streams_lost_total", "counter", "Times a stream was told that it lost events.", lost);
    put(out, "events_total", "counter", "Events that came from the core, over all loops.", events);
    put(out, "events_connections", "gauge", "Loops that have a connection to the core's events.", listening);
}
