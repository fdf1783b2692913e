// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 and HMAC, by OpenSSL. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EZ_SHA256_LEN 32

void ez_sha256(const void *data, size_t len, uint8_t out[EZ_SHA256_LEN]);

// Several pieces as if they stood one behind the other.
typedef struct ez_sha256_part {
    const void *data;
    size_t len;
} ez_sha256_part;
void ez_sha256_parts(const ez_sha256_part *parts, size_t count, uint8_t out[EZ_SHA256_LEN]);

void ez_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[EZ_SHA256_LEN]);

// out holds 2 * len + 1 bytes.
void ez_hex(const void *data, size_t len, char *out);

// In time that does not depend on where they differ.
bool ez_equal_secret(const void *a, const void *b, size_t len);
