// SPDX-License-Identifier: Apache-2.0
//
// bench_hop: the limit the gateway is measured against: HTTP by evhttp, each request sent over one nng REQ socket (a
// context per request, completions joined by one eventfd write), the reply's bytes given back as they are. No routes,
// no JSON, no limits.
//
//   bench_hop ADDR PORT URL LOOPS REQUEST_HEX BODY_BYTES
//
// Prints "ready" and runs until it is killed.
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct loop loop;

typedef struct trip {
    struct trip *next;
    loop *loop;
    nng_ctx ctx;
    nng_aio *aio;
    int is_sending;
    struct evhttp_request *http;
} trip;

struct loop {
    struct event_base *base;
    struct evhttp *http;
    nng_socket sock;
    int wake;
    pthread_mutex_t lock; // guards done
    trip *done;
    trip *free; // the loop's own
};

static unsigned char request[65536];
static size_t request_len;
static size_t body_bytes;
static char body[65536];

static void on_aio(void *arg) {
    trip *t = arg;
    if (nng_aio_result(t->aio) == 0 && t->is_sending) {
        t->is_sending = 0;
        nng_ctx_recv(t->ctx, t->aio);
        return;
    }
    loop *l = t->loop;
    pthread_mutex_lock(&l->lock);
    int was_empty = l->done == NULL;
    t->next = l->done;
    l->done = t;
    pthread_mutex_unlock(&l->lock);
    if (was_empty) {
        uint64_t one = 1;
        (void)!write(l->wake, &one, sizeof one);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    loop *l = arg;
    uint64_t count;
    (void)what;
    (void)!read(fd, &count, sizeof count);
    pthread_mutex_lock(&l->lock);
    trip *t = l->done;
    l->done = NULL;
    pthread_mutex_unlock(&l->lock);
    while (t != NULL) {
        trip *next = t->next;
        nng_msg *reply = nng_aio_get_msg(t->aio);
        struct evbuffer *out = evhttp_request_get_output_buffer(t->http);
        struct evkeyvalq *headers = evhttp_request_get_output_headers(t->http);
        evhttp_add_header(headers, "Content-Type", "application/json");
        evbuffer_add(out, body, body_bytes);
        evhttp_send_reply(t->http, 200, "OK", NULL);
        if (nng_aio_result(t->aio) == 0) {
            nng_msg_free(reply);
        }
        t->next = l->free;
        l->free = t;
        t = next;
    }
}

static void on_request(struct evhttp_request *http, void *arg) {
    loop *l = arg;
    trip *t = l->free;
    if (t != NULL) {
        l->free = t->next;
    } else {
        t = calloc(1, sizeof *t);
        t->loop = l;
        nng_ctx_open(&t->ctx, l->sock);
        nng_aio_alloc(&t->aio, on_aio, t);
    }
    nng_msg *message;
    nng_msg_alloc(&message, request_len);
    memcpy(nng_msg_body(message), request, request_len);
    t->http = http;
    t->is_sending = 1;
    nng_aio_set_msg(t->aio, message);
    nng_ctx_send(t->ctx, t->aio);
}

static int listen_on(const char *address, unsigned port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    (void)address;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&in, sizeof in) != 0 || listen(fd, 512) != 0) {
        perror("bench_hop: listen");
        exit(1);
    }
    return fd;
}

static void *run(void *arg) {
    loop *l = arg;
    event_base_dispatch(l->base);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: bench_hop ADDR PORT URL LOOPS REQUEST_HEX BODY_BYTES\n");
        return 2;
    }
    unsigned loops = (unsigned)atoi(argv[4]);
    for (; argv[5][2 * request_len] != '\0' && request_len < sizeof request; request_len++) {
        unsigned byte = 0;
        sscanf(argv[5] + 2 * request_len, "%2x", &byte);
        request[request_len] = (unsigned char)byte;
    }
    body_bytes = (size_t)atoi(argv[6]);
    memset(body, 'x', sizeof body);
    evthread_use_pthreads();
    for (unsigned i = 0; i < loops; i++) {
        loop *l = calloc(1, sizeof *l);
        l->base = event_base_new();
        l->http = evhttp_new(l->base);
        l->wake = eventfd(0, EFD_NONBLOCK);
        pthread_mutex_init(&l->lock, NULL);
        if (nng_req0_open(&l->sock) != 0 || nng_socket_set_ms(l->sock, NNG_OPT_REQ_RESENDTIME, -1) != 0 ||
            nng_dial(l->sock, argv[3], NULL, 0) != 0) {
            fprintf(stderr, "bench_hop: can't dial\n");
            return 1;
        }
        evhttp_set_gencb(l->http, on_request, l);
        evhttp_accept_socket(l->http, listen_on(argv[1], (unsigned)atoi(argv[2])));
        event_add(event_new(l->base, l->wake, EV_READ | EV_PERSIST, on_wake, l), NULL);
        pthread_t thread;
        pthread_create(&thread, NULL, run, l);
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}
