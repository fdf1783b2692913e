// SPDX-License-Identifier: Apache-2.0
//
// Outgoing connections. nng owns the dialer once it has started; the TLS configuration is counted and let go of here.
// Awkward: every option must be set before the dialer starts, because nng's defaults are unlimited messages, no
// keepalive and a reconnect each second for ever.
#include "clients/c/dial.h"

#include <nng/supplemental/tls/tls.h>
#include <string.h>

#define RECONNECT_MIN_MS 200
// nng 1.5.2 takes its random pause modulo a signed number: half of its pauses are none, so a server that is away for a
// tenth of a second runs the backoff up to its ceiling. The ceiling is what a client then waits.
#define RECONNECT_MAX_MS 2000

bool ez_dial_is_tls(const char *url) {
    return strncmp(url, "tls+tcp://", 10) == 0;
}

ez_status ez_dial_check_url(const char *url, ez_error *error) {
    if (url == NULL || url[0] == '\0' || strlen(url) >= EZ_URL_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_INVALID", "A server's URL must have 1 to %d bytes.",
                            EZ_URL_MAX - 1);
    }
    if (strncmp(url, "tcp://", 6) != 0 && !ez_dial_is_tls(url)) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_INVALID",
                            "The URL \"%s\" must begin with tcp:// or tls+tcp://.", url);
    }
    return EZ_OK;
}

static ez_status tls_failed(ez_error *error, const char *what, const char *file, int rv) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "TLS_INVALID", "The %s \"%s\" can't be used: %s.", what, file,
                        nng_strerror(rv));
}

// The server's name must be set by hand: nng does not take it from the URL of a dialer whose configuration is given.
static ez_status tls_name(nng_tls_config *config, const char *url, const char *name, ez_error *error) {
    char host[EZ_URL_MAX];
    if (name == NULL) {
        const char *start = url + strlen("tls+tcp://");
        const char *colon = strrchr(start, ':');
        size_t len = colon == NULL ? strlen(start) : (size_t)(colon - start);
        if (len >= 2 && start[0] == '[' && start[len - 1] == ']') {
            start++;
            len -= 2;
        }
        memcpy(host, start, len);
        host[len] = '\0';
        name = host;
    }
    int rv = nng_tls_config_server_name(config, name);
    return rv == 0 ? EZ_OK : tls_failed(error, "server name", name, rv);
}

static ez_status tls_config(const char *url, const ez_client_tls *tls, nng_tls_config *config, ez_error *error) {
    int rv = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
    if (rv != 0) {
        return tls_failed(error, "verification mode", "required", rv);
    }
    if (tls->ca_file != NULL && (rv = nng_tls_config_ca_file(config, tls->ca_file)) != 0) {
        return tls_failed(error, "CA file", tls->ca_file, rv);
    }
    if (tls->cert_file != NULL && (rv = nng_tls_config_cert_key_file(config, tls->cert_file, NULL)) != 0) {
        return tls_failed(error, "certificate file", tls->cert_file, rv);
    }
    return tls_name(config, url, tls->server_name, error);
}

static ez_status use_tls(nng_dialer dialer, const char *url, const ez_client_tls *tls, ez_error *error) {
    nng_tls_config *config;
    int rv = nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT);
    if (rv != 0) {
        return ez_error_set(error, EZ_UNAVAILABLE, "TLS_UNAVAILABLE", "TLS can't be set up: %s.", nng_strerror(rv));
    }
    ez_status status = tls_config(url, tls, config, error);
    if (status == EZ_OK && (rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config)) != 0) {
        status = tls_failed(error, "TLS configuration of", url, rv);
    }
    nng_tls_config_free(config);
    return status;
}

// Keepalive alone may be missing from a transport; the rest is what keeps a peer from taking all memory.
static int set_bounds(nng_dialer dialer, size_t recv_max) {
    int rv = nng_dialer_set_size(dialer, NNG_OPT_RECVMAXSZ, recv_max);
    if (rv == 0) {
        rv = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    }
    if (rv == 0) {
        rv = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    }
    if (rv == 0) {
        rv = nng_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE, true);
    }
    return rv == NNG_ENOTSUP ? 0 : rv;
}

ez_status ez_dial(nng_socket socket, const char *url, const ez_client_tls *tls, size_t recv_max, nng_dialer *out,
                  ez_error *error) {
    nng_dialer dialer;
    int rv = nng_dialer_create(&dialer, socket, url);
    if (rv != 0) {
        ez_status code = rv == NNG_ENOMEM ? EZ_UNAVAILABLE : EZ_INVALID_ARGUMENT;
        return ez_error_set(error, code, "URL_INVALID", "The URL \"%s\" can't be used: %s.", url, nng_strerror(rv));
    }
    ez_status status = EZ_OK;
    rv = set_bounds(dialer, recv_max);
    if (rv == 0 && ez_dial_is_tls(url)) {
        status = use_tls(dialer, url, tls, error);
    }
    if (rv == 0 && status == EZ_OK) {
        rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
    }
    if (rv != 0) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "DIAL_FAILED", "The connection to \"%s\" can't be started: %s.",
                              url, nng_strerror(rv));
    }
    if (status != EZ_OK) {
        nng_dialer_close(dialer);
        return status;
    }
    *out = dialer;
    return EZ_OK;
}
