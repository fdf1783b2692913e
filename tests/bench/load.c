// SPDX-License-Identifier: Apache-2.0
//
// bench_load: keeps a number of calls in flight over one REQ socket and says how many were answered.
//
//   bench_load URL SECONDS IN_FLIGHT REQUEST_HEX
//
// One line of JSON: calls, per_second, p50_us, p99_us, bytes of the request and of the last reply, bad (replies whose
// header says a code other than OK, or none at all). What the first bad one was goes to the standard error; whether it
// fails a run is the caller's business. The request is sent as it is, so that the same generator loads ezplaned and a
// bare echo.
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/frame.h"

#define LANES_MAX   1024
#define SAMPLES_MAX 4000000

typedef struct lane {
    nng_ctx ctx;
    nng_aio *aio;
    bool is_sending;
    uint64_t began_ns;
} lane;

static nng_socket sock;
static uint8_t request[65536];
static size_t request_len;
static atomic_bool stop;
static atomic_uint running;
static atomic_size_t calls, bad, sample_count, reply_bytes;
static uint32_t *samples;
static char method[128] = "no method"; // for what is said

static void send_next(lane *l) {
    nng_msg *message;
    if (atomic_load_explicit(&stop, memory_order_relaxed) || nng_msg_alloc(&message, request_len) != 0) {
        atomic_fetch_sub(&running, 1);
        return;
    }
    memcpy(nng_msg_body(message), request, request_len);
    l->is_sending = true;
    l->began_ns = ez_clock_mono_ns();
    nng_aio_set_msg(l->aio, message);
    nng_ctx_send(l->ctx, l->aio);
}

// Counts a bad call; the first one says why, the others are most likely the same.
static void note_bad(size_t call, const char *what, const char *reason, const char *message) {
    if (atomic_fetch_add(&bad, 1) == 0) {
        fprintf(stderr, "bench_load: call %zu of %s: %s%s%s%s%s\n", call + 1, method, what, *reason ? " " : "", reason,
                *message ? ": " : "", message);
    }
}

static void look_at(const nng_msg *reply, size_t call) {
    ez_arena arena;
    ez_arena_init(&arena, 65536);
    Ez__V1__ReplyHeader *header;
    ez_slice message;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_frame_read_reply(nng_msg_body((nng_msg *)(uintptr_t)reply), nng_msg_len(reply), &arena,
                                           &header, &message, &error);
    if (status != EZ_OK) {
        note_bad(call, "a reply that can't be read", error.reason, error.message);
    } else if (header->code != EZ__V1__CODE__CODE_OK) {
        note_bad(call, ez_status_name((ez_status)header->code), header->reason, header->message);
    }
    ez_arena_fini(&arena);
}

static void on_aio(void *arg) {
    lane *l = arg;
    int rv = nng_aio_result(l->aio);
    if (rv != 0) {
        note_bad(atomic_load(&calls), l->is_sending ? "it could not be sent" : "no reply came", "", nng_strerror(rv));
        atomic_fetch_sub(&running, 1);
        return;
    }
    if (l->is_sending) {
        l->is_sending = false;
        nng_ctx_recv(l->ctx, l->aio);
        return;
    }
    nng_msg *reply = nng_aio_get_msg(l->aio);
    size_t n = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    size_t at = atomic_fetch_add_explicit(&sample_count, 1, memory_order_relaxed);
    if (at < SAMPLES_MAX) {
        samples[at] = (uint32_t)((ez_clock_mono_ns() - l->began_ns) / 1000);
    }
    if (n % 64 == 0) { // looking at each would load the generator
        atomic_store(&reply_bytes, nng_msg_len(reply));
        look_at(reply, n);
    }
    nng_msg_free(reply);
    send_next(l);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void check(int rv, const char *what) {
    if (rv != 0) {
        fprintf(stderr, "bench_load: %s: %s\n", what, nng_strerror(rv));
        exit(1);
    }
}

static bool read_hex(const char *hex) {
    size_t len = strlen(hex);
    if (len % 2 != 0 || len / 2 > sizeof request) {
        return false;
    }
    for (request_len = 0; request_len < len / 2; request_len++) {
        unsigned byte;
        if (sscanf(hex + 2 * request_len, "%2x", &byte) != 1) {
            return false;
        }
        request[request_len] = (uint8_t)byte;
    }
    return true;
}

// The request's method, as long as there is one: a bare echo takes anything.
static void name_method(void) {
    ez_call_header header;
    ez_slice message;
    if (ez_frame_read_call(request, request_len, &header, &message, NULL) == EZ_OK && header.method.len > 0) {
        snprintf(method, sizeof method, "%.*s", (int)header.method.len, (const char *)header.method.data);
    }
}

static void open_socket(const char *url) {
    nng_dialer dialer;
    check(nng_req0_open(&sock), "open");
    check(nng_socket_set_ms(sock, NNG_OPT_REQ_RESENDTIME, -1), "resend time");
    check(nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, EZ_CALL_MAX), "receive limit");
    check(nng_dialer_create(&dialer, sock, url), "dialer");
    check(nng_dialer_start(dialer, 0), "dial");
}

int main(int argc, char **argv) {
    if (argc != 5 || !read_hex(argv[4])) {
        fprintf(stderr, "usage: bench_load URL SECONDS IN_FLIGHT REQUEST_HEX\n");
        return 2;
    }
    double seconds = atof(argv[2]);
    unsigned lanes = (unsigned)atoi(argv[3]);
    static lane all[LANES_MAX];
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (samples == NULL || lanes == 0 || lanes > LANES_MAX) {
        return 2;
    }
    name_method();
    open_socket(argv[1]);
    for (unsigned i = 0; i < lanes; i++) {
        check(nng_ctx_open(&all[i].ctx, sock), "context");
        check(nng_aio_alloc(&all[i].aio, on_aio, &all[i]), "aio");
    }
    atomic_store(&running, lanes);
    for (unsigned i = 0; i < lanes; i++) {
        send_next(&all[i]);
    }
    nng_msleep(200); // warm
    size_t before = atomic_load(&calls);
    atomic_store(&sample_count, 0);
    uint64_t began = ez_clock_mono_ns();
    nng_msleep((nng_duration)(seconds * 1000));
    size_t after = atomic_load(&calls);
    double took = (double)(ez_clock_mono_ns() - began) / 1e9;
    atomic_store(&stop, true);
    for (int i = 0; i < 500 && atomic_load(&running) > 0; i++) {
        nng_msleep(10);
    }
    size_t kept = atomic_load(&sample_count);
    kept = kept < SAMPLES_MAX ? kept : SAMPLES_MAX;
    qsort(samples, kept, sizeof *samples, compare);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"calls\": %zu, \"per_second\": %.0f, \"p50_us\": %u, \"p99_us\": %u, \"request_bytes\": %zu, "
           "\"reply_bytes\": %zu, "
           "\"bad\": %zu, \"generator_cpu_s\": %.2f}\n",
           after - before, (double)(after - before) / took, kept > 0 ? samples[kept / 2] : 0,
           kept > 0 ? samples[kept - 1 - kept / 100] : 0, request_len, atomic_load(&reply_bytes), atomic_load(&bad),
           (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return 0;
}
