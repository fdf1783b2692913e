// SPDX-License-Identifier: Apache-2.0
//
// URLs are read by hand, after ez_format_fault has seen that they are narrow enough to be read in one way only: it
// leaves no credentials, escapes or backslashes in the host, so that libcurl and this file agree on what the host is.
#include "server/platform/outbound/guard.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/runtime/format.h"

typedef struct item {
    bool is_name;
    char name[EZ_OUTBOUND_HOST_MAX];
    ez_address address;
    unsigned bits;
    uint16_t port; // 0: any
} item;

struct ez_outbound_allow {
    size_t count;
    item items[EZ_OUTBOUND_ALLOW_ITEMS];
};

// ---- The list

static bool read_port(const char *text, uint16_t *out) {
    unsigned value = 0;
    size_t len = strlen(text);
    if (len < 1 || len > 5 || strspn(text, "0123456789") != len) {
        return false;
    }
    sscanf(text, "%u", &value);
    *out = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

static bool read_name(const char *text, item *out) {
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len >= sizeof out->name || text[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || !(isalnum(c) || c == '-' || c == '_' || c == '.')) {
            return false;
        }
        out->name[i] = (char)tolower(c);
    }
    out->name[len] = '\0';
    ez_address loose; // 0x7f.1 as a name would let through more than it seems to
    out->is_name = true;
    return !ez_address_from_loose_text(out->name, &loose);
}

static bool read_range(char *text, item *out) {
    if (ez_format_fault(EZ_FORMAT_CIDR, text, strlen(text)) != NULL) {
        return false;
    }
    char *slash = strchr(text, '/');
    bool is_v4 = strchr(text, ':') == NULL;
    out->bits = 128;
    if (slash != NULL) {
        *slash = '\0';
        out->bits = (unsigned)atoi(slash + 1) + (is_v4 ? 96 : 0);
    }
    return ez_address_from_text(text, &out->address);
}

// text is written to.
static bool read_item(char *text, item *out) {
    memset(out, 0, sizeof *out);
    if (read_range(text, out)) {
        return true;
    }
    if (strchr(text, '/') != NULL) {
        return false;
    }
    char *colon = strrchr(text, ':');
    bool is_bracketed = text[0] == '[';
    if (is_bracketed && (colon == NULL || colon[-1] != ']')) { // [::1]
        colon = NULL;
    }
    if (colon != NULL) {
        *colon = '\0';
        if (!read_port(colon + 1, &out->port)) {
            return false;
        }
    }
    size_t len = strlen(text);
    if (is_bracketed) {
        if (len < 2 || text[len - 1] != ']') {
            return false;
        }
        text[len - 1] = '\0';
        text++;
    }
    if (read_range(text, out)) {
        return true;
    }
    return !is_bracketed && read_name(text, out);
}

static ez_status invalid_item(ez_error *error, const char *text) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "OUTBOUND_ALLOW_INVALID",
                        "EZ_OUTBOUND_ALLOW: \"%.80s\" is no host, host:port, address or range such as 10.0.0.0/8",
                        text);
}

static ez_status read_list(ez_outbound_allow *allow, char *list, ez_error *error) {
    char *rest = list;
    for (char *text; (text = strsep(&rest, ",")) != NULL;) {
        while (isspace((unsigned char)*text)) {
            text++;
        }
        size_t len = strlen(text);
        while (len > 0 && isspace((unsigned char)text[len - 1])) {
            text[--len] = '\0';
        }
        if (len == 0) {
            continue;
        }
        if (allow->count == EZ_OUTBOUND_ALLOW_ITEMS) {
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "OUTBOUND_ALLOW_INVALID",
                                "EZ_OUTBOUND_ALLOW has more than %d items: use ranges", EZ_OUTBOUND_ALLOW_ITEMS);
        }
        char shown[81];
        snprintf(shown, sizeof shown, "%s", text);
        if (!read_item(text, &allow->items[allow->count])) {
            return invalid_item(error, shown);
        }
        allow->count++;
    }
    return EZ_OK;
}

ez_status ez_outbound_allow_create(const char *list, ez_outbound_allow **out, ez_error *error) {
    ez_outbound_allow *allow = calloc(1, sizeof *allow);
    char *copy = strdup(list != NULL ? list : "");
    ez_status status = allow == NULL || copy == NULL
                           ? ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for EZ_OUTBOUND_ALLOW")
                           : read_list(allow, copy, error);
    free(copy);
    if (status != EZ_OK) {
        free(allow);
        return status;
    }
    *out = allow;
    return EZ_OK;
}

void ez_outbound_allow_destroy(ez_outbound_allow *allow) {
    free(allow);
}

static bool lets_through(const ez_outbound_allow *allow, uint16_t port, const char *name, const ez_address *address) {
    for (size_t i = 0; allow != NULL && i < allow->count; i++) {
        const item *at = &allow->items[i];
        bool is_it = at->is_name ? name != NULL && strcmp(at->name, name) == 0
                                 : address != NULL && ez_address_in(address, &at->address, at->bits);
        if (is_it && (at->port == 0 || at->port == port)) {
            return true;
        }
    }
    return false;
}

// ---- URLs

static ez_status invalid_url(ez_error *error, const char *why) {
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_INVALID", "%s", why);
}

static bool is_ascii(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

ez_status ez_outbound_read_url(const char *url, ez_outbound_target *out, ez_error *error) {
    size_t len = strnlen(url, EZ_OUTBOUND_URL_MAX + 1);
    if (len > EZ_OUTBOUND_URL_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_INVALID", "a URL has at most %d bytes",
                            EZ_OUTBOUND_URL_MAX);
    }
    const char *fault = ez_format_fault(EZ_FORMAT_URL, url, len);
    if (fault != NULL) {
        char why[160];
        snprintf(why, sizeof why, "the URL %s", fault);
        return invalid_url(error, why);
    }
    bool is_https = strncasecmp(url, "https://", 8) == 0;
    const char *host = url + (is_https ? 8 : 7);
    size_t host_len = strcspn(host, "/?");
    const char *port = host;
    if (host[0] == '[') {
        host++;
        host_len = strcspn(host, "]");
        port = host + host_len + 1;
    } else {
        host_len = strcspn(host, ":/?");
        port = host + host_len;
    }
    if (!is_ascii(host, host_len)) {
        return invalid_url(error, "the URL's host has letters that are not ASCII: write it in its xn-- form");
    }
    host_len -= host_len > 1 && host[host_len - 1] == '.';
    if (host_len >= sizeof out->host) {
        return invalid_url(error, "the URL's host is too long");
    }
    unsigned number = is_https ? 443 : 80;
    if (port[0] == ':') {
        sscanf(port + 1, "%5u", &number);
    }
    out->is_https = is_https;
    out->port = (uint16_t)number;
    for (size_t i = 0; i < host_len; i++) {
        out->host[i] = (char)tolower((unsigned char)host[i]);
    }
    out->host[host_len] = '\0';
    return EZ_OK;
}

// An address written as one, or a name that means this machine wherever it is resolved.
static const char *host_kind(const ez_outbound_target *target, ez_address *address, bool *is_address) {
    const char *host = target->host;
    *is_address = ez_address_from_text(host, address) || ez_address_from_loose_text(host, address);
    if (*is_address) {
        return ez_address_kind(address);
    }
    size_t len = strlen(host);
    bool is_local = strcmp(host, "localhost") == 0 || (len > 10 && strcmp(host + len - 10, ".localhost") == 0);
    return is_local ? "loopback" : NULL;
}

ez_status ez_outbound_check_target(const ez_outbound_allow *allow, const ez_outbound_target *target, ez_error *error) {
    ez_address address;
    bool is_address;
    const char *kind = host_kind(target, &address, &is_address);
    if (lets_through(allow, target->port, target->host, is_address ? &address : NULL)) {
        return EZ_OK;
    }
    if (kind != NULL) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_NOT_ALLOWED",
                            "%.100s is not on the Internet (%s): only EZ_OUTBOUND_ALLOW, which whoever runs the server "
                            "sets, can let it through",
                            target->host, kind);
    }
    if (!target->is_https) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_NOT_HTTPS",
                            "http://%.100s is not encrypted: use https, or let that host through with the server's "
                            "EZ_OUTBOUND_ALLOW",
                            target->host);
    }
    return EZ_OK;
}

ez_status ez_outbound_check_url(const ez_outbound_allow *allow, const char *url, ez_error *error) {
    ez_outbound_target target;
    ez_status status = ez_outbound_read_url(url, &target, error);
    return status != EZ_OK ? status : ez_outbound_check_target(allow, &target, error);
}

const char *ez_outbound_peer_fault(const ez_outbound_allow *allow, const ez_outbound_target *target,
                                   const ez_address *address) {
    const char *kind = ez_address_kind(address);
    if (kind == NULL) {
        return NULL;
    }
    ez_address literal;
    bool is_address;
    host_kind(target, &literal, &is_address);
    // A literal that is let through is the peer itself, so it is asked for as an address.
    bool is_let = lets_through(allow, target->port, is_address ? NULL : target->host, address);
    return is_let ? NULL : kind;
}

void ez_outbound_show_url(const char *url, char *out, size_t size) {
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    size_t host_len = strcspn(host, "/?#");
    for (size_t i = host_len; i > 0; i--) { // up to the last @: what stands before it are credentials
        if (host[i - 1] == '@') {
            host_len -= i;
            host += i;
            break;
        }
    }
    const char *rest = host + host_len;
    bool is_bare = rest[0] == '\0' || strcmp(rest, "/") == 0;
    snprintf(out, size, "%.*s%.*s%s", scheme != NULL ? (int)(scheme + 3 - url) : 0, url, (int)host_len, host,
             is_bare ? rest : "/…");
}
