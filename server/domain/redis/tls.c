// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL's client side. The awkward case: a read may have to write and the other way round, hence *events; and what
// OpenSSL has read ahead does not show on the socket, so a caller reads before it polls.
#include "server/domain/redis/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>

struct ez_redis_tls {
    SSL_CTX *context;
    SSL *ssl;
};

static ez_status fail(ez_error *error, const char *what) {
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return ez_error_set(error, EZ_UNAVAILABLE, "REDIS_TLS", "%s%s%s", what, why ? ": " : "", why ? why : "");
}

static bool is_address(const char *host) {
    unsigned char out[16];
    return inet_pton(AF_INET, host, out) == 1 || inet_pton(AF_INET6, host, out) == 1;
}

static bool set_up(ez_redis_tls *tls, int fd, const char *host) {
    X509_VERIFY_PARAM *rules = SSL_get0_param(tls->ssl);
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1 && SSL_set_fd(tls->ssl, fd) == 1;
    return SSL_set1_host(tls->ssl, host) == 1 && SSL_set_tlsext_host_name(tls->ssl, host) == 1 &&
           SSL_set_fd(tls->ssl, fd) == 1;
}

ez_status ez_redis_tls_create(int fd, const char *host, const char *ca_file, ez_redis_tls **out, ez_error *error) {
    ez_redis_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for TLS to Redis");
    tls->context = SSL_CTX_new(TLS_client_method());
    bool is_trusting = tls->context && SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) == 1 &&
                       (ca_file && ca_file[0] ? SSL_CTX_load_verify_locations(tls->context, ca_file, NULL) == 1
                                              : SSL_CTX_set_default_verify_paths(tls->context) == 1);
    if (!is_trusting) {
        ez_redis_tls_destroy(tls);
        return fail(error, "the certificates to trust (EZ_REDIS_CA_FILE) can't be read");
    }
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    tls->ssl = SSL_new(tls->context);
    if (!tls->ssl || !set_up(tls, fd, host)) {
        ez_redis_tls_destroy(tls);
        return fail(error, "TLS to Redis can't be set up");
    }
    SSL_set_connect_state(tls->ssl);
    *out = tls;
    return EZ_OK;
}

void ez_redis_tls_destroy(ez_redis_tls *tls) {
    if (!tls)
        return;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    free(tls);
}

static ssize_t judge(ez_redis_tls *tls, int result, short *events, ez_error *error) {
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLOUT;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        break;
    }
    long verdict = SSL_get_verify_result(tls->ssl);
    if (verdict != X509_V_OK) {
        ERR_clear_error();
        ez_error_set(error, EZ_UNAVAILABLE, "REDIS_TLS", "Redis's certificate is not trusted: %s",
                     X509_verify_cert_error_string(verdict));
    } else {
        (void)fail(error, "TLS to Redis broke");
    }
    return -2;
}

static int as_int(size_t len) {
    return len > INT_MAX ? INT_MAX : (int)len;
}

ssize_t ez_redis_tls_read(ez_redis_tls *tls, void *out, size_t len, short *events, ez_error *error) {
    ERR_clear_error();
    int got = SSL_read(tls->ssl, out, as_int(len));
    return got > 0 ? got : judge(tls, got, events, error);
}

ssize_t ez_redis_tls_write(ez_redis_tls *tls, const void *data, size_t len, short *events, ez_error *error) {
    ERR_clear_error();
    int sent = SSL_write(tls->ssl, data, as_int(len));
    return sent > 0 ? sent : judge(tls, sent, events, error);
}
