// SPDX-License-Identifier: Apache-2.0
//
// Namespaces, URLs, address ranges and JSON objects. Judged by hand, without a parser of somebody else's, so that what
// is accepted here is narrow and the same everywhere. The awkward case is the URL: anything that two programs might
// read differently (credentials, blanks, backslashes, a fragment) is refused.
#include "proto/runtime/format.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "proto/runtime/json_walk.h"
#include "proto/runtime/utf8.h"

#define NAMESPACE_CHARACTERS 64

static bool is_blank(uint32_t c) {
    return c == ' ' || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000 || c == 0xFEFF;
}

static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

static const char *namespace_fault(const char *text, size_t len) {
    size_t count = 0;
    for (size_t at = 0; at < len; count++) {
        uint32_t c;
        size_t size = ez_utf8_next(text + at, len - at, &c);
        if (size == 0 || c == '.' || c == '/' || is_blank(c) || is_control(c))
            return "must not hold a dot, a slash, a blank or a control character";
        at += size;
    }
    return count >= 1 && count <= NAMESPACE_CHARACTERS ? NULL : "must have 1 to 64 characters";
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// 1–65535 in decimal; an empty port is none.
static bool is_port(const char *text, size_t len) {
    unsigned value = 0;
    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value >= 1 && value <= 65535;
}

static bool is_host(const char *text, size_t len) {
    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool ok = c >= 0x80 || is_digit((char)c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                  c == '_' || (c == '.' && i > 0 && text[i - 1] != '.');
        if (!ok)
            return false;
    }
    return true;
}

static bool is_bracketed(const char *text, size_t len) {
    char address[INET6_ADDRSTRLEN];
    struct in6_addr out;
    if (len < 2 || text[len - 1] != ']' || len - 2 >= sizeof address)
        return false;
    memcpy(address, text + 1, len - 2);
    address[len - 2] = 0;
    return inet_pton(AF_INET6, address, &out) == 1;
}

static bool is_authority(const char *text, size_t len) {
    const char *close = text[0] == '[' ? memchr(text, ']', len) : NULL;
    const char *colon = close ? (close + 1 < text + len ? close + 1 : NULL) : memchr(text, ':', len);
    size_t host_len = colon ? (size_t)(colon - text) : len;
    if (colon && (*colon != ':' || !is_port(colon + 1, len - host_len - 1)))
        return false;
    return close ? is_bracketed(text, host_len) : is_host(text, host_len);
}

static const char *url_fault(const char *text, size_t len) {
    for (size_t at = 0, size; at < len; at += size) {
        uint32_t c;
        size = ez_utf8_next(text + at, len - at, &c);
        if (size == 0 || is_blank(c) || is_control(c) || c == '\\' || c == '"' || c == '<' || c == '>')
            return "must be a URL without blanks, quotes, backslashes or control characters";
        if (c == '#')
            return "must be a URL without a fragment (#)";
    }
    size_t scheme = len > 8 && strncasecmp(text, "https://", 8) == 0  ? 8
                    : len > 7 && strncasecmp(text, "http://", 7) == 0 ? 7
                                                                      : 0;
    if (scheme == 0)
        return "must be a URL that begins with https:// or http://, and a host";
    size_t host_len = 0;
    while (scheme + host_len < len && text[scheme + host_len] != '/' && text[scheme + host_len] != '?')
        host_len++;
    if (memchr(text + scheme, '@', host_len))
        return "must be a URL without credentials";
    if (host_len == 0 || !is_authority(text + scheme, host_len))
        return "must be a URL with a host, and a port of 1 to 65535 if it has one";
    return NULL;
}

static const char *cidr_fault(const char *text, size_t len) {
    static const char fault[] = "must be an IPv4 or IPv6 address, or a range such as 10.0.0.0/8 or 2001:db8::/32";
    char address[INET6_ADDRSTRLEN];
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash ? (size_t)(slash - text) : len;
    if (address_len == 0 || address_len >= sizeof address)
        return fault;
    memcpy(address, text, address_len);
    address[address_len] = 0;
    struct in6_addr out; // large enough for both families
    bool is_v6 = memchr(address, ':', address_len) != NULL;
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, address, &out) != 1)
        return fault;
    if (!slash)
        return NULL;
    size_t digits = len - address_len - 1;
    if (digits < 1 || digits > 3 || (digits > 1 && slash[1] == '0'))
        return fault;
    unsigned bits = 0;
    for (size_t i = 1; i <= digits; i++) {
        if (!is_digit(slash[i]))
            return fault;
        bits = bits * 10 + (unsigned)(slash[i] - '0');
    }
    return bits <= (is_v6 ? 128u : 32u) ? NULL : fault;
}

static const char *json_object_fault(const char *text, size_t len) {
    ez_json_walk walk;
    ez_json_walk_init(&walk, text, len);
    bool is_object = len >= 2 && text[0] == '{' && text[len - 1] == '}' && ez_json_walk_skip(&walk);
    return is_object && ez_json_walk_end(&walk) ? NULL : "must be a JSON object";
}

const char *ez_format_fault(ez_format format, const char *text, size_t len) {
    switch (format) {
    case EZ_FORMAT_NAMESPACE:
        return namespace_fault(text, len);
    case EZ_FORMAT_URL:
        return url_fault(text, len);
    case EZ_FORMAT_CIDR:
        return cidr_fault(text, len);
    case EZ_FORMAT_JSON_OBJECT:
        return json_object_fault(text, len);
    case EZ_FORMAT_NONE:
        break;
    }
    return NULL;
}
