// SPDX-License-Identifier: Apache-2.0
//
// bench_fanout: the limit the push is measured against: a bare nng PUB that sends messages of one size at a steady
// pace, and a process of bare SUB sockets that note how late each came.
//
//   bench_fanout publish URL PER_SECOND SECONDS BYTES
//   bench_fanout subscribe URL SUBSCRIBERS SECONDS        one line of JSON: received, p50_ms, p99_ms, max_ms
//
// Both read the same monotonic clock. The subscribers give way to the publisher, as the data planes of ez-dpsim do.
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/runtime/clock.h"

#define SAMPLES_MAX 4000000

typedef struct subscriber {
    nng_socket sock;
    nng_aio *aio;
} subscriber;

static uint32_t *samples;
static atomic_size_t received;

static void sleep_until(uint64_t ns) {
    struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void check(int rv, const char *what) {
    if (rv != 0) {
        fprintf(stderr, "bench_fanout: %s: %s\n", what, nng_strerror(rv));
        exit(1);
    }
}

static int publish(const char *url, double per_second, double seconds, size_t bytes) {
    nng_socket sock;
    check(nng_pub0_open(&sock), "open");
    check(nng_socket_set_int(sock, NNG_OPT_SENDBUF, 1024), "send buffer");
    check(nng_listen(sock, url, NULL, 0), "listen");
    printf("ready\n");
    fflush(stdout);
    (void)!getchar(); // the subscribers are there
    uint64_t began = ez_clock_mono_ns();
    for (unsigned n = 0; (double)n < per_second * seconds; n++) {
        nng_msg *message;
        check(nng_msg_alloc(&message, bytes), "message");
        memset(nng_msg_body(message), 'x', bytes);
        uint64_t now = ez_clock_mono_ns();
        memcpy(nng_msg_body(message), &now, sizeof now);
        check(nng_sendmsg(sock, message, 0), "send");
        sleep_until(began + (uint64_t)((double)(n + 1) / per_second * 1e9));
    }
    sleep(1);
    return 0;
}

static void on_message(void *arg) {
    subscriber *s = arg;
    if (nng_aio_result(s->aio) != 0) {
        return;
    }
    nng_msg *message = nng_aio_get_msg(s->aio);
    uint64_t sent, now = ez_clock_mono_ns();
    memcpy(&sent, nng_msg_body(message), sizeof sent);
    nng_msg_free(message);
    size_t at = atomic_fetch_add_explicit(&received, 1, memory_order_relaxed);
    if (at < SAMPLES_MAX) {
        samples[at] = (uint32_t)((now - sent) / 1000);
    }
    nng_recv_aio(s->sock, s->aio);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int subscribe(const char *url, unsigned count, unsigned seconds) {
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    subscriber *all = calloc(count, sizeof *all);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (all == NULL || samples == NULL) {
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        check(nng_sub0_open(&all[i].sock), "open");
        check(nng_socket_set(all[i].sock, NNG_OPT_SUB_SUBSCRIBE, "", 0), "subscribe");
        check(nng_dial(all[i].sock, url, NULL, 0), "dial");
        check(nng_aio_alloc(&all[i].aio, on_message, &all[i]), "aio");
        nng_recv_aio(all[i].sock, all[i].aio);
    }
    printf("ready\n");
    fflush(stdout);
    sleep(seconds);
    size_t n = atomic_load(&received);
    n = n < SAMPLES_MAX ? n : SAMPLES_MAX;
    qsort(samples, n, sizeof *samples, compare);
    printf("{\"received\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n", n,
           n > 0 ? samples[n / 2] / 1000.0 : 0, n > 0 ? samples[n - 1 - n / 100] / 1000.0 : 0,
           n > 0 ? samples[n - 1] / 1000.0 : 0);
    fflush(stdout);
    _exit(0); // a SUB receive is never cancelled
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "publish") == 0) {
        return publish(argv[2], atof(argv[3]), atof(argv[4]), (size_t)atoi(argv[5]));
    }
    if (argc == 5 && strcmp(argv[1], "subscribe") == 0) {
        return subscribe(argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    }
    fprintf(stderr, "usage: bench_fanout publish URL PER_SECOND SECONDS BYTES | subscribe URL SUBSCRIBERS SECONDS\n");
    return 2;
}
