// SPDX-License-Identifier: Apache-2.0
//
// The registries of special addresses (RFC 6890 and its successors) as a table, first match wins. IPv6 is judged the
// other way round as well: of what is not listed, only 2000::/3 is on the Internet.
//
// The awkward case is an address within an address: 64:ff9b::7f00:1 (NAT64) and 2002:7f00:1:: (6to4) lead to 127.0.0.1
// where a translator stands in between, so what they carry is judged. NAT64 with a public address inside must stay
// possible: on a network without IPv4 every name that has IPv4 only resolves to one.
#include "server/platform/outbound/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

typedef struct range {
    uint8_t bytes[16];
    uint8_t bits;
    const char *kind;
} range;

#define V4(a, b, c, d)                                                                                                 \
    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }

static const range special[] = {
    {V4(0, 0, 0, 0), 96 + 8, "unspecified"},
    {V4(10, 0, 0, 0), 96 + 8, "private"},
    {V4(100, 64, 0, 0), 96 + 10, "private (carrier-grade NAT)"},
    {V4(127, 0, 0, 0), 96 + 8, "loopback"},
    {V4(168, 63, 129, 16), 96 + 32, "a cloud platform's own"}, // Azure's, reachable from every machine there
    {V4(169, 254, 0, 0), 96 + 16, "link-local"},
    {V4(172, 16, 0, 0), 96 + 12, "private"},
    {V4(192, 0, 0, 0), 96 + 24, "reserved"},
    {V4(192, 0, 2, 0), 96 + 24, "reserved for documentation"},
    {V4(192, 88, 99, 0), 96 + 24, "reserved"},
    {V4(192, 168, 0, 0), 96 + 16, "private"},
    {V4(198, 18, 0, 0), 96 + 15, "private (benchmarking)"},
    {V4(198, 51, 100, 0), 96 + 24, "reserved for documentation"},
    {V4(203, 0, 113, 0), 96 + 24, "reserved for documentation"},
    {V4(224, 0, 0, 0), 96 + 4, "multicast"},
    {V4(240, 0, 0, 0), 96 + 4, "reserved"}, // and broadcast
    {{0}, 128, "unspecified"},
    {{[15] = 1}, 128, "loopback"},
    {{0}, 96, "reserved (IPv4-compatible)"},
    {{[8] = 0xff, 0xff}, 96, "reserved (IPv4-translated)"},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, "private (NAT64)"},
    {{0x01, 0x00}, 64, "reserved"}, // discard
    {{0x20, 0x01}, 23, "reserved"}, // protocols, Teredo among them
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "reserved for documentation"},
    {{0x3f, 0xff}, 20, "reserved for documentation"},
    {{0xfc}, 7, "private (unique local)"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "private (site-local)"},
    {{0xff}, 8, "multicast"},
};

static const uint8_t v4_prefix[12] = {[10] = 0xff, 0xff};

static void from_v4(const void *bytes, ez_address *out) {
    memcpy(out->bytes, v4_prefix, sizeof v4_prefix);
    memcpy(out->bytes + 12, bytes, 4);
}

static bool is_v4(const ez_address *address) {
    return memcmp(address->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool ez_address_from_socket(const struct sockaddr *from, ez_address *out, uint16_t *port) {
    in_port_t at;
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        from_v4(&in.sin_addr, out);
        at = in.sin_port;
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof in);
        memcpy(out->bytes, &in.sin6_addr, sizeof out->bytes);
        at = in.sin6_port;
    } else {
        return false;
    }
    if (port != NULL) {
        *port = ntohs(at);
    }
    return true;
}

bool ez_address_from_text(const char *text, ez_address *out) {
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        from_v4(&v4, out);
        return true;
    }
    return inet_pton(AF_INET6, text, out->bytes) == 1;
}

bool ez_address_from_loose_text(const char *text, ez_address *out) {
    struct in_addr v4;
    if (text[0] == '\0' || strchr(text, ' ') != NULL || inet_aton(text, &v4) == 0) {
        return false;
    }
    from_v4(&v4, out);
    return true;
}

void ez_address_format(const ez_address *address, char out[EZ_ADDRESS_TEXT_MAX]) {
    bool v4 = is_v4(address);
    if (inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? 12 : 0), out, EZ_ADDRESS_TEXT_MAX) == NULL) {
        out[0] = '\0';
    }
}

bool ez_address_in(const ez_address *address, const ez_address *other, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address->bytes, other->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((address->bytes[whole] ^ other->bytes[whole]) >> (8 - rest)) == 0;
}

static const char *listed_kind(const ez_address *address) {
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        ez_address start;
        memcpy(start.bytes, special[i].bytes, sizeof start.bytes);
        if (ez_address_in(address, &start, special[i].bits)) {
            return special[i].kind;
        }
    }
    return NULL;
}

const char *ez_address_kind(const ez_address *address) {
    static const ez_address nat64 = {{0x00, 0x64, 0xff, 0x9b}}, six_to_four = {{0x20, 0x02}}, global = {{0x20}};
    const char *kind = listed_kind(address);
    if (kind != NULL || is_v4(address)) {
        return kind;
    }
    ez_address inner;
    if (ez_address_in(address, &nat64, 96)) {
        from_v4(address->bytes + 12, &inner);
        return listed_kind(&inner);
    }
    if (ez_address_in(address, &six_to_four, 16)) {
        from_v4(address->bytes + 2, &inner);
        return listed_kind(&inner);
    }
    return ez_address_in(address, &global, 3) ? NULL : "reserved";
}
