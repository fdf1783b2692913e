// SPDX-License-Identifier: Apache-2.0
//
// Base URLs and static headers. The awkward case is an address in disguise: "0x7f.1" and "2130706433" are host names to
// a text comparison and 127.0.0.1 to a resolver. A host whose last label is a number must therefore be a plain dotted
// quad, with https too.
#include "server/domain/routing/upstream.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 256

typedef struct host {
    char text[HOST_MAX]; // lower case, without brackets, port and last dot
    bool is_v6;
} host;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// url is behind "://".
static bool read_host(const char *url, host *out) {
    size_t len = strcspn(url, "/?#");
    *out = (host){.is_v6 = url[0] == '['};
    if (out->is_v6) {
        url++;
        len = strcspn(url, "]");
    } else {
        size_t colon = strcspn(url, ":");
        len = colon < len ? colon : len;
    }
    if (len > 0 && url[len - 1] == '.')
        len--;
    if (len == 0 || len >= HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = (char)(url[i] >= 'A' && url[i] <= 'Z' ? url[i] + 32 : url[i]);
        bool is_name =
            is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.' || (unsigned char)c >= 0x80;
        if (!is_name && !(out->is_v6 && c == ':'))
            return false; // "a.com\.local" is a.com to some
        out->text[i] = c;
    }
    return true;
}

static bool is_private_v4(uint32_t address) {
    return address >> 24 == 127 || address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8;
}

static bool is_private_v6(const uint8_t a[16]) {
    static const uint8_t loopback[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(a, mapped, sizeof mapped) == 0)
        return is_private_v4((uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | a[15]);
    return memcmp(a, loopback, sizeof loopback) == 0 || (a[0] & 0xfe) == 0xfc;
}

// Whether a resolver would take it for an IPv4 address: the last label is digits, or 0x….
static bool looks_numeric(const char *name) {
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    if (last[0] == '0' && last[1] == 'x')
        return last[2 + strspn(last + 2, "0123456789abcdef")] == 0;
    return is_digit(last[0]) && last[strspn(last, "0123456789")] == 0;
}

static bool is_private_name(const char *name) {
    static const char *const endings[] = {".local", ".internal", ".svc", ".localhost"};
    if (!strchr(name, '.'))
        return true;
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i]);
        if (len > end && strcmp(name + len - end, endings[i]) == 0)
            return true;
    }
    return false;
}

static ez_status refuse_url(const char *why, ez_error *error) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "BASE_URL_INVALID", "base_url: %s", why);
}

// What names of parameters and headers end in where they carry a credential. Configuration is shown and pushed.
static bool names_secret(const char *name, size_t len) {
    static const char *const endings[] = {"key", "token", "secret", "password", "passwd", "cookie", "signature", "sig"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i]);
        if (len >= end && strncasecmp(name + len - end, endings[i], end) == 0)
            return true;
    }
    return false;
}

static bool has_secret_parameter(const char *url) {
    const char *at = strchr(url, '?');
    while (at) {
        const char *name = at + 1;
        if (names_secret(name, strcspn(name, "=&#")))
            return true;
        at = strchr(name, '&');
    }
    return false;
}

ez_status ez_upstream_check_url(const char *url, ez_error *error) {
    bool is_secure = strncasecmp(url, "https://", 8) == 0;
    if (!is_secure && strncasecmp(url, "http://", 7) != 0)
        return refuse_url("must begin with https:// (or http:// for a private upstream)", error);
    host where;
    if (!read_host(url + (is_secure ? 8 : 7), &where))
        return refuse_url("the host is missing, too long or has characters that no host has", error);
    if (has_secret_parameter(url))
        return refuse_url("a parameter carries a credential; credentials belong in an API key", error);
    struct in_addr v4;
    struct in6_addr v6;
    bool is_private;
    if (where.is_v6) {
        if (inet_pton(AF_INET6, where.text, &v6) != 1)
            return refuse_url("what stands in brackets is no IPv6 address", error);
        is_private = is_private_v6(v6.s6_addr);
    } else if (inet_pton(AF_INET, where.text, &v4) == 1) {
        is_private = is_private_v4(ntohl(v4.s_addr));
    } else if (looks_numeric(where.text)) {
        return refuse_url("write the address as four decimal numbers", error);
    } else {
        is_private = is_private_name(where.text);
    }
    if (is_secure || is_private)
        return EZ_OK;
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "BASE_URL_INSECURE",
                        "base_url: http is for private upstreams only (loopback, private networks, .local, .internal, "
                        ".svc): use https for %.200s",
                        where.text);
}

// ---- Headers

static bool is_token(const char *name) {
    for (const char *at = name; *at; at++) {
        unsigned char c = (unsigned char)*at;
        bool is_alnum = is_digit(*at) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && !strchr("!#$%&'*+-.^_`|~", c))
            return false;
    }
    return name[0] != 0;
}

static bool is_refused(const char *name) {
    static const char *const refused[] = {
        "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length",
    };
    if (strncasecmp(name, "Proxy-", 6) == 0 || strcasestr(name, "Authorization") || names_secret(name, strlen(name)))
        return true;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcasecmp(name, refused[i]) == 0)
            return true;
    return false;
}

ez_status ez_upstream_check_header(const char *name, const char *value, ez_error *error) {
    if (!is_token(name))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "HEADER_REFUSED",
                            "static_headers: \"%.100s\" is no header name: letters, digits and hyphens", name);
    if (is_refused(name))
        return ez_error_set(
            error, EZ_INVALID_ARGUMENT, "HEADER_REFUSED",
            "static_headers: %.100s is hop-by-hop or carries a credential and can't be set; credentials "
            "belong in an API key",
            name);
    for (const char *at = value; *at; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "HEADER_REFUSED",
                                "static_headers: the value of %.100s has a control character", name);
    return EZ_OK;
}
