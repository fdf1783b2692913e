// SPDX-License-Identifier: Apache-2.0
//
// Bearer tokens: a prefix that says whose it is, then 256 bits of randomness in base62 (43 characters).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

#define EZ_TOKEN_TEXT_MAX 64
#define EZ_TOKEN_HASH_LEN 32

// prefix: "eza_", "ezm_", "ezd_", "sk-". out holds EZ_TOKEN_TEXT_MAX bytes. INTERNAL where there is no randomness.
ez_status ez_token_make(const char *prefix, char *out) EZ_MUST_CHECK;
// SHA-256 of the token's bytes.
void ez_token_hash(const char *token, size_t len, uint8_t out[EZ_TOKEN_HASH_LEN]);
