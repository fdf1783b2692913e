// SPDX-License-Identifier: Apache-2.0
//
// Where on the Internet an address is. Pure functions; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

// IPv6, or IPv4 as ::ffff:a.b.c.d: one form, so that 127.0.0.1 and ::ffff:127.0.0.1 are the same thing.
typedef struct ez_address {
    uint8_t bytes[16];
} ez_address;

// False where it is neither IPv4 nor IPv6. port may be NULL.
bool ez_address_from_socket(const struct sockaddr *from, ez_address *out, uint16_t *port);
// "10.1.2.3", "2001:db8::1". False where it is neither.
bool ez_address_from_text(const char *text, ez_address *out);
// Every way in which an IPv4 address can be written that some resolver takes: 0x7f.1, 0177.0.0.1, 2130706433.
bool ez_address_from_loose_text(const char *text, ez_address *out);

#define EZ_ADDRESS_TEXT_MAX 46
void ez_address_format(const ez_address *address, char out[EZ_ADDRESS_TEXT_MAX]);

// Whether the first bits of both are equal. IPv4's prefixes are 96 longer here.
bool ez_address_in(const ez_address *address, const ez_address *range, unsigned bits);

// NULL where anybody on the Internet could be there; else what it is: "loopback", "private", "link-local", … What
// carries an IPv4 address (mapped, NAT64, 6to4) is what that one is.
const char *ez_address_kind(const ez_address *address);
