// SPDX-License-Identifier: Apache-2.0
//
// Taking a Redis URL apart. What is wrong is said without quoting any of it: the password may stand where a port was
// meant. The last @ ends the credentials, so that a password with one in it works unencoded too.
#include "server/domain/redis/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE_MAX 9999

static ez_status refuse(ez_error *error, const char *what) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "REDIS_URL",
                        "EZ_REDIS_URL %s: say redis://user:password@HOST:PORT/DATABASE, or rediss:// for TLS", what);
}

static int hex_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Copies text[0…len) with %XX decoded. False where it does not fit, or has a bad or zero code.
static bool decode(const char *text, size_t len, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_of(text[i + 1]) : -1;
            int low = high >= 0 ? hex_of(text[i + 2]) : -1;
            if (low < 0 || (high | low) == 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

static bool read_credentials(const char *text, const char *end, ez_redis_url *out) {
    const char *colon = memchr(text, ':', (size_t)(end - text));
    if (!colon)
        return decode(text, (size_t)(end - text), out->user, sizeof out->user);
    return decode(text, (size_t)(colon - text), out->user, sizeof out->user) &&
           decode(colon + 1, (size_t)(end - colon - 1), out->password, sizeof out->password);
}

static bool read_number(const char *text, size_t len, long max, long *out) {
    char digits[8];
    if (len == 0 || len >= sizeof digits || strspn(text, "0123456789") < len)
        return false;
    memcpy(digits, text, len);
    digits[len] = 0;
    *out = strtol(digits, NULL, 10);
    return *out <= max;
}

// HOST[:PORT]
static ez_status read_host(const char *text, size_t len, ez_redis_url *out, ez_error *error) {
    const char *host = text, *end = text + len, *port = NULL;
    size_t host_len;
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (!close || (close + 1 < end && close[1] != ':'))
            return refuse(error, "has a bracket that is not closed");
        host = text + 1;
        host_len = (size_t)(close - host);
        port = close + 1 < end ? close + 2 : NULL;
    } else {
        const char *colon = memchr(text, ':', len);
        host_len = colon ? (size_t)(colon - text) : len;
        port = colon ? colon + 1 : NULL;
    }
    if (host_len == 0 || host_len >= sizeof out->host)
        return refuse(error, "names no host");
    long number = 6379;
    if (port && (!read_number(port, (size_t)(end - port), 65535, &number) || number == 0))
        return refuse(error, "has a port that is no number from 1 to 65535");
    memcpy(out->host, host, host_len);
    out->host[host_len] = 0;
    snprintf(out->port, sizeof out->port, "%ld", number);
    return EZ_OK;
}

static ez_status read_rest(const char *text, ez_redis_url *out, ez_error *error) {
    if (strchr(text, '?') || strchr(text, '#'))
        return refuse(error, "has a ? or #, which is not understood (in a password write %3F or %23)");
    const char *at = strrchr(text, '@');
    if (at && !read_credentials(text, at, out))
        return refuse(error, "has a user or password that can't be read");
    const char *host = at ? at + 1 : text;
    const char *slash = strchr(host, '/');
    ez_status status = read_host(host, slash ? (size_t)(slash - host) : strlen(host), out, error);
    if (status != EZ_OK)
        return status;
    long database = 0;
    if (slash && slash[1] && !read_number(slash + 1, strlen(slash + 1), DATABASE_MAX, &database))
        return refuse(error, "has a database that is no number");
    out->database = (int)database;
    return EZ_OK;
}

ez_status ez_redis_url_parse(const char *text, ez_redis_url *out, ez_error *error) {
    ez_redis_url url = {.is_tls = false};
    if (strncmp(text, "rediss://", 9) == 0)
        url.is_tls = true;
    else if (strncmp(text, "redis://", 8) != 0)
        return refuse(error, "is no Redis URL");
    ez_status status = read_rest(text + (url.is_tls ? 9 : 8), &url, error);
    if (status != EZ_OK)
        return status;
    bool is_v6 = strchr(url.host, ':') != NULL;
    snprintf(url.shown, sizeof url.shown, "%s://%s%.230s%s:%s/%d", url.is_tls ? "rediss" : "redis", is_v6 ? "[" : "",
             url.host, is_v6 ? "]" : "", url.port, url.database);
    *out = url;
    return EZ_OK;
}
