// SPDX-License-Identifier: Apache-2.0
//
// bench_echo: the limit ezplaned's calls are measured against: a bare nng REP with as many contexts, which answers
// every request with the same bytes.
//
//   bench_echo URL CONTEXTS REPLY_HEX
//
// Prints "ready" and runs until it is killed.
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct lane {
    nng_ctx ctx;
    nng_aio *aio;
    int is_sending;
} lane;

static unsigned char reply[65536];
static size_t reply_len;

static void on_aio(void *arg) {
    lane *l = arg;
    if (nng_aio_result(l->aio) != 0) {
        return;
    }
    if (l->is_sending) {
        l->is_sending = 0;
        nng_ctx_recv(l->ctx, l->aio);
        return;
    }
    nng_msg *message = nng_aio_get_msg(l->aio);
    nng_msg_free(message);
    if (nng_msg_alloc(&message, reply_len) != 0) {
        return;
    }
    memcpy(nng_msg_body(message), reply, reply_len);
    l->is_sending = 1;
    nng_aio_set_msg(l->aio, message);
    nng_ctx_send(l->ctx, l->aio);
}

int main(int argc, char **argv) {
    nng_socket sock;
    nng_listener listener;
    if (argc != 4) {
        fprintf(stderr, "usage: bench_echo URL CONTEXTS REPLY_HEX\n");
        return 2;
    }
    unsigned lanes = (unsigned)atoi(argv[2]);
    for (reply_len = 0; argv[3][2 * reply_len] != '\0' && reply_len < sizeof reply; reply_len++) {
        unsigned byte = 0;
        sscanf(argv[3] + 2 * reply_len, "%2x", &byte);
        reply[reply_len] = (unsigned char)byte;
    }
    lane *all = calloc(lanes, sizeof *all);
    if (all == NULL || nng_rep0_open(&sock) != 0 || nng_listener_create(&listener, sock, argv[1]) != 0) {
        return 1;
    }
    for (unsigned i = 0; i < lanes; i++) {
        if (nng_ctx_open(&all[i].ctx, sock) != 0 || nng_aio_alloc(&all[i].aio, on_aio, &all[i]) != 0) {
            return 1;
        }
        nng_ctx_recv(all[i].ctx, all[i].aio);
    }
    if (nng_listener_start(listener, 0) != 0) {
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}
