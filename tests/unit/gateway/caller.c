// SPDX-License-Identifier: Apache-2.0
//
// The loop is one for each test's process: Criterion forks.
#include "tests/unit/gateway/caller.h"

#include <criterion/criterion.h>
#include <string.h>

struct event_base *base;

void make_base(void) {
    base = event_base_new();
}

void free_base(void) {
    event_base_free(base);
}

void on_done(void *arg, const void *frame, size_t len, const ez_error *error) {
    outcome *out = arg;
    out->count++;
    out->is_ok = !error;
    if (error)
        out->error = *error;
    else if (len < sizeof out->text)
        memcpy(out->text, frame, len);
}

void turn(void) {
    struct timeval at_most = {0, 10000};
    (void)event_base_loopexit(base, &at_most);
    (void)event_base_loop(base, EVLOOP_ONCE);
}

int listen_anywhere(nng_socket socket) {
    nng_listener listener;
    nng_sockaddr addr;
    cr_assert_eq(nng_listen(socket, "tcp://127.0.0.1:0", &listener, 0), 0);
    cr_assert_eq(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &addr), 0);
    return (addr.s_in.sa_port & 0xff) << 8 | addr.s_in.sa_port >> 8; // from network order
}
