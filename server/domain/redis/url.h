// SPDX-License-Identifier: Apache-2.0
//
// Where Redis is: redis://user:password@HOST:PORT/DATABASE, of which HOST alone is needed, or rediss:// with TLS. User
// and password may be percent-encoded; an IPv6 address stands in brackets. A plain value.
#pragma once

#include "proto/runtime/error.h"

typedef struct ez_redis_url {
    bool is_tls;
    char host[256];
    char port[8];
    char user[256];     // "": none
    char password[512]; // "": none; never shown
    int database;
    char shown[300]; // scheme, host, port and database, for people
} ez_redis_url;

// INVALID_ARGUMENT (REDIS_URL), without a word of it, where it can't be used.
ez_status ez_redis_url_parse(const char *text, ez_redis_url *out, ez_error *error) EZ_MUST_CHECK;
