// SPDX-License-Identifier: Apache-2.0
//
// One thread accepts, one serves each connection. Requests are kept for the receiver's life, so that a test may hold on
// to what it was given.
#include "tests/support/receiver.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX (256u << 10)

struct ez_test_receiver {
    int listener;
    unsigned port;
    SSL_CTX *tls;
    const ez_test_answer *answers;
    size_t answer_count;
    pthread_t thread;
    char url[2048], value[1024];

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t gone;
    bool stopping;
    size_t serving, connections, count, http2;
    char *requests[EZ_TEST_RECEIVED_MAX];
};

typedef struct connection {
    ez_test_receiver *receiver;
    int fd;
    SSL *tls;
} connection;

// Waits in steps, so that the end of the test is seen. False where there is nothing to wait for any more.
static bool wait_for(connection *at, short events) {
    for (;;) {
        pthread_mutex_lock(&at->receiver->lock);
        bool stopping = at->receiver->stopping;
        pthread_mutex_unlock(&at->receiver->lock);
        struct pollfd one = {.fd = at->fd, .events = events};
        if (stopping) {
            return false;
        }
        if ((at->tls != NULL && events == POLLIN && SSL_pending(at->tls) > 0) || poll(&one, 1, 20) > 0) {
            return true;
        }
    }
}

static ssize_t receive(connection *at, char *data, size_t len) {
    if (!wait_for(at, POLLIN)) {
        return -1;
    }
    return at->tls != NULL ? SSL_read(at->tls, data, (int)len) : recv(at->fd, data, len, 0);
}

static bool send_all(connection *at, const char *data, size_t len) {
    while (len > 0) {
        if (!wait_for(at, POLLOUT)) {
            return false;
        }
        ssize_t sent = at->tls != NULL ? SSL_write(at->tls, data, (int)len) : send(at->fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool is_whole(const char *text, size_t len) {
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    const char *length = strcasestr(text, "\r\nContent-Length:");
    size_t body = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return len >= (size_t)(end + 4 - text) + body;
}

// A whole request, NUL-terminated; NULL where the peer left first.
static char *receive_request(connection *at) {
    char *text = calloc(1, REQUEST_MAX);
    size_t len = 0;
    while (len < REQUEST_MAX - 1 && !is_whole(text, len)) {
        ssize_t got = receive(at, text + len, REQUEST_MAX - 1 - len);
        if (got <= 0) {
            free(text);
            return NULL;
        }
        len += (size_t)got;
    }
    return text;
}

static void answer(connection *at, const ez_test_answer *with) {
    if (with->data == NULL && !with->hangs) {
        return;
    }
    const char *data = with->data != NULL ? with->data : "";
    size_t len = with->len != 0 ? with->len : strlen(data);
    bool ok = send_all(at, data, len);
    while (ok && with->again > 0) {
        ok = send_all(at, data + len - with->again, with->again);
    }
    char sink[256];
    while (ok && with->hangs && receive(at, sink, sizeof sink) > 0) {
    }
}

static const ez_test_answer *keep(ez_test_receiver *receiver, char *request) {
    pthread_mutex_lock(&receiver->lock);
    cr_assert_lt(receiver->count, EZ_TEST_RECEIVED_MAX, "the receiver was sent too much");
    size_t i = receiver->count++;
    receiver->requests[i] = request;
    pthread_mutex_unlock(&receiver->lock);
    return &receiver->answers[i < receiver->answer_count ? i : receiver->answer_count - 1];
}

static void *serve(void *arg) {
    connection *at = arg;
    ez_test_receiver *receiver = at->receiver;
    bool ok = at->tls == NULL || SSL_accept(at->tls) == 1;
    char *request = ok ? receive_request(at) : NULL;
    if (request != NULL) {
        answer(at, keep(receiver, request));
    }
    if (at->tls != NULL) {
        (void)SSL_shutdown(at->tls);
        SSL_free(at->tls);
    }
    close(at->fd);
    free(at);
    pthread_mutex_lock(&receiver->lock);
    receiver->serving--;
    pthread_cond_signal(&receiver->gone);
    pthread_mutex_unlock(&receiver->lock);
    return NULL;
}

static void begin_serving(ez_test_receiver *receiver, int fd) {
    connection *at = calloc(1, sizeof *at);
    at->receiver = receiver;
    at->fd = fd;
    if (receiver->tls != NULL) {
        at->tls = SSL_new(receiver->tls);
        SSL_set_fd(at->tls, fd);
    }
    pthread_mutex_lock(&receiver->lock);
    receiver->serving++;
    receiver->connections++;
    pthread_mutex_unlock(&receiver->lock);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, serve, at), 0);
    pthread_detach(thread);
}

static void *accept_all(void *arg) {
    ez_test_receiver *receiver = arg;
    for (;;) {
        int fd = accept4(receiver->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL; // end_receiver shut it down
        }
        begin_serving(receiver, fd);
    }
}

static ez_test_receiver *start(const ez_test_answer *answers, size_t count, SSL_CTX *tls) {
    ez_test_receiver *receiver = calloc(1, sizeof *receiver);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof in;
    signal(SIGPIPE, SIG_IGN);
    receiver->tls = tls;
    receiver->answers = answers;
    receiver->answer_count = count;
    pthread_mutex_init(&receiver->lock, NULL);
    pthread_cond_init(&receiver->gone, NULL);
    receiver->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(receiver->listener, (struct sockaddr *)&in, size), 0);
    cr_assert_eq(listen(receiver->listener, 64), 0);
    cr_assert_eq(getsockname(receiver->listener, (struct sockaddr *)&in, &size), 0);
    receiver->port = ntohs(in.sin_port);
    cr_assert_eq(pthread_create(&receiver->thread, NULL, accept_all, receiver), 0);
    return receiver;
}

ez_test_receiver *given_receiver(const ez_test_answer *answers, size_t count) {
    return start(answers, count, NULL);
}

// Only counts: none is chosen, and so it is HTTP/1.1.
static int look_at_protocols(SSL *tls, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                             unsigned in_len, void *user) {
    (void)tls, (void)out, (void)out_len;
    ez_test_receiver *receiver = user;
    for (unsigned i = 0; i + 2 < in_len; i += in[i] + 1u) {
        if (in[i] == 2 && memcmp(in + i + 1, "h2", 2) == 0) {
            pthread_mutex_lock(&receiver->lock);
            receiver->http2++;
            pthread_mutex_unlock(&receiver->lock);
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

ez_test_receiver *given_tls_receiver(const ez_test_answer *answers, size_t count, const char *certificate,
                                     const char *key) {
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_certificate_chain_file(tls, certificate), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM), 1);
    ez_test_receiver *receiver = start(answers, count, tls);
    SSL_CTX_set_alpn_select_cb(tls, look_at_protocols, receiver);
    return receiver;
}

void end_receiver(ez_test_receiver *receiver) {
    shutdown(receiver->listener, SHUT_RDWR);
    pthread_join(receiver->thread, NULL);
    close(receiver->listener);
    pthread_mutex_lock(&receiver->lock);
    receiver->stopping = true;
    while (receiver->serving > 0) {
        pthread_cond_wait(&receiver->gone, &receiver->lock);
    }
    pthread_mutex_unlock(&receiver->lock);
    for (size_t i = 0; i < receiver->count; i++) {
        free(receiver->requests[i]);
    }
    SSL_CTX_free(receiver->tls);
    pthread_mutex_destroy(&receiver->lock);
    pthread_cond_destroy(&receiver->gone);
    free(receiver);
}

unsigned receiver_port(const ez_test_receiver *receiver) {
    return receiver->port;
}

const char *receiver_url(ez_test_receiver *receiver, const char *path) {
    snprintf(receiver->url, sizeof receiver->url, "%s://127.0.0.1:%u%s", receiver->tls != NULL ? "https" : "http",
             receiver->port, path);
    return receiver->url;
}

size_t receiver_connections(ez_test_receiver *receiver) {
    pthread_mutex_lock(&receiver->lock);
    size_t connections = receiver->connections;
    pthread_mutex_unlock(&receiver->lock);
    return connections;
}

size_t receiver_count(ez_test_receiver *receiver) {
    pthread_mutex_lock(&receiver->lock);
    size_t count = receiver->count;
    pthread_mutex_unlock(&receiver->lock);
    return count;
}

const char *receiver_request(ez_test_receiver *receiver, size_t i) {
    pthread_mutex_lock(&receiver->lock);
    const char *text = i < receiver->count ? receiver->requests[i] : NULL;
    pthread_mutex_unlock(&receiver->lock);
    cr_assert_not_null(text, "request %zu was not received", i);
    return text;
}

const char *receiver_header(ez_test_receiver *receiver, size_t i, const char *name) {
    const char *text = receiver_request(receiver, i), *end = strstr(text, "\r\n\r\n");
    char start[128];
    snprintf(start, sizeof start, "\r\n%s:", name);
    const char *at = strcasestr(text, start);
    if (at == NULL || at > end) {
        return NULL;
    }
    at += strlen(start);
    at += strspn(at, " ");
    snprintf(receiver->value, sizeof receiver->value, "%.*s", (int)strcspn(at, "\r"), at);
    return receiver->value;
}

const char *receiver_body(ez_test_receiver *receiver, size_t i) {
    return strstr(receiver_request(receiver, i), "\r\n\r\n") + 4;
}

size_t receiver_http2(ez_test_receiver *receiver) {
    pthread_mutex_lock(&receiver->lock);
    size_t count = receiver->http2;
    pthread_mutex_unlock(&receiver->lock);
    return count;
}
