// SPDX-License-Identifier: Apache-2.0
//
// The REP socket and its exchanges: opened in one go, stopped in phases (stop listening → drain → close).
//
// Contexts outnumber the calls that are admitted, so that the surplus is refused with a word instead of waiting in
// the kernel's buffers without one.
#include "server/rpc/rpc.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/rpc/exchange.h"

#define SP_HEADER      64 // what the protocol puts before a frame counts too
#define CLOSED_AT_ONCE 64

static void write_address(const nng_sockaddr *address, char out[EZ_REMOTE_MAX]) {
    out[0] = '\0';
    if (address->s_family == NNG_AF_INET) {
        const uint8_t *b = (const uint8_t *)&address->s_in.sa_addr;
        snprintf(out, EZ_REMOTE_MAX, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    } else if (address->s_family == NNG_AF_INET6) {
        const uint8_t *b = address->s_in6.sa_addr;
        static const uint8_t loopback[16] = {[15] = 1};
        if (memcmp(b, loopback, sizeof loopback) == 0) {
            snprintf(out, EZ_REMOTE_MAX, "[::1]");
            return;
        }
        snprintf(out, EZ_REMOTE_MAX, "[%02x%02x:%02x%02x:%02x%02x:%02x%02x:%02x%02x:%02x%02x:%02x%02x:%02x%02x]", b[0],
                 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    }
}

// Under nng's lock: only options are read here, and the pipe closed. The address is gone once the pipe is.
static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) {
    ez_rpc *rpc = arg;
    uint32_t id = (uint32_t)nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_PRE) {
        nng_sockaddr address;
        char text[EZ_REMOTE_MAX] = "";
        if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &address) == 0) {
            write_address(&address, text);
        }
        if (atomic_load(&rpc->is_stopping) || !ez_peers_add(rpc->peers, id, text)) {
            nng_pipe_close(pipe);
        }
    } else if (event == NNG_PIPE_EV_REM_POST) {
        ez_peers_remove(rpc->peers, id);
    }
}

static ez_status listen_on(ez_rpc *rpc, ez_error *error) {
    int rv = nng_listener_create(&rpc->listener, rpc->socket, rpc->options.url);
    if (rv == 0) {
        rv = nng_listener_set_size(rpc->listener, NNG_OPT_RECVMAXSZ, EZ_CALL_MAX + SP_HEADER);
    }
    if (rv == 0) {
        rv = nng_listener_set_bool(rpc->listener, NNG_OPT_TCP_KEEPALIVE, true);
    }
    if (rv == 0) {
        rv = nng_listener_set_bool(rpc->listener, NNG_OPT_TCP_NODELAY, true);
    }
    if (rv == 0) {
        rv = nng_listener_start(rpc->listener, 0);
    }
    if (rv != 0) {
        return ez_error_set(error, rv == NNG_EADDRINUSE ? EZ_FAILED_PRECONDITION : EZ_INVALID_ARGUMENT, "RPC_LISTEN",
                            "can't listen on EZ_RPC_URL=%s: %s", rpc->options.url, nng_strerror(rv));
    }
    return EZ_OK;
}

static ez_status open_exchanges(ez_rpc *rpc, ez_error *error) {
    rpc->exchanges = calloc(rpc->options.contexts, sizeof *rpc->exchanges);
    rpc->calls = calloc((size_t)ez_method_count * 17u, sizeof *rpc->calls);
    rpc->peers = ez_peers_create(rpc->options.max_peers, rpc->options.per_peer);
    if (rpc->exchanges == NULL || rpc->calls == NULL || rpc->peers == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the calls socket");
    }
    int rv = nng_pipe_notify(rpc->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, rpc);
    rv = rv != 0 ? rv : nng_pipe_notify(rpc->socket, NNG_PIPE_EV_REM_POST, on_pipe, rpc);
    if (rv != 0) {
        return ez_error_set(error, EZ_INTERNAL, "RPC_SOCKET", "can't watch the calls socket: %s", nng_strerror(rv));
    }
    for (; rpc->exchange_count < rpc->options.contexts; rpc->exchange_count++) {
        ez_status status = ez_exchange_init(&rpc->exchanges[rpc->exchange_count], rpc, error);
        if (status != EZ_OK) {
            return status;
        }
    }
    return EZ_OK;
}

ez_status ez_rpc_open(const ez_rpc_options *options, ez_rpc **out, ez_error *error) {
    ez_rpc *rpc = calloc(1, sizeof *rpc);
    if (rpc == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for the calls socket");
    }
    rpc->options = *options;
    rpc->admitted_max = options->contexts - options->contexts / 8;
    int rv = nng_rep0_open(&rpc->socket);
    if (rv != 0) {
        free(rpc);
        return ez_error_set(error, EZ_UNAVAILABLE, "RPC_SOCKET", "can't open the calls socket: %s", nng_strerror(rv));
    }
    ez_status status = open_exchanges(rpc, error);
    if (status == EZ_OK) {
        status = listen_on(rpc, error);
    }
    if (status != EZ_OK) {
        ez_rpc_close(rpc);
        return status;
    }
    *out = rpc;
    return EZ_OK;
}

void ez_rpc_start(ez_rpc *rpc) {
    for (unsigned i = 0; i < rpc->exchange_count; i++) {
        ez_exchange_receive(&rpc->exchanges[i]);
    }
}

void ez_rpc_tick(ez_rpc *rpc) {
    uint32_t ids[CLOSED_AT_ONCE];
    size_t stuck;
    size_t due = ez_peers_due(rpc->peers, ez_clock_mono_ms(), ids, CLOSED_AT_ONCE, &stuck);
    for (size_t i = 0; i < due; i++) {
        nng_pipe_close((nng_pipe){.id = ids[i]});
    }
    if (stuck > 0 && !rpc->is_stuck) {
        ez_log_error("nng does not end closed connections any more: they keep their descriptors until this server is "
                     "started anew",
                     "at_least", EZ_LOG_INT((long long)stuck));
    }
    rpc->is_stuck = stuck > 0;
}

bool ez_rpc_drain(ez_rpc *rpc, unsigned timeout_ms) {
    // nng closes a listener's connections with it, and with them the answers that are still due: it stays, and turns
    // new connections away.
    atomic_store(&rpc->is_stopping, true);
    uint64_t until = ez_clock_mono_ms() + timeout_ms;
    while (atomic_load(&rpc->in_flight) > 0 && ez_clock_mono_ms() < until) {
        usleep(5000);
    }
    return atomic_load(&rpc->in_flight) == 0;
}

void ez_rpc_close(ez_rpc *rpc) {
    if (rpc == NULL) {
        return;
    }
    for (unsigned i = 0; i < rpc->exchange_count; i++) {
        nng_aio_stop(rpc->exchanges[i].aio);
    }
    nng_close(rpc->socket);
    for (unsigned i = 0; i < rpc->exchange_count; i++) {
        ez_exchange_fini(&rpc->exchanges[i]);
    }
    ez_peers_destroy(rpc->peers);
    free(rpc->exchanges);
    free((void *)rpc->calls);
    free(rpc);
}

bool ez_rpc_is_stopping(const ez_rpc *rpc) {
    return atomic_load_explicit(&rpc->is_stopping, memory_order_relaxed);
}

void ez_rpc_count(ez_rpc *rpc, ez_rpc_numbers *out) {
    out->in_flight = atomic_load_explicit(&rpc->in_flight, memory_order_relaxed);
    out->peers = ez_peers_count(rpc->peers);
}

uint64_t ez_rpc_calls(const ez_rpc *rpc, const ez_method *method, ez_status code) {
    return atomic_load_explicit(&rpc->calls[method->index * 17u + (unsigned)code], memory_order_relaxed);
}
