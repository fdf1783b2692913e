// SPDX-License-Identifier: Apache-2.0
//
// The digest of a configuration, docs/protocol.md section 5: the XOR, over all rows held, of each row's SHA-256. The
// one place where the formula stands; the server and every data plane that links this code take it from here. Any
// thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define EZ_DIGEST_LEN 32

// SHA-256(kind as 4 bytes big endian | id as 8 bytes big endian | the resource's bytes as they came, without secrets |
// secret_version as 8 bytes big endian).
void ez_digest_row(uint32_t kind, int64_t id, const void *bytes, size_t len, uint64_t secret_version,
                   uint8_t out[EZ_DIGEST_LEN]);

// Adds a row to a digest, or takes it out again. Both are EZ_DIGEST_LEN bytes; an empty digest is all zero.
void ez_digest_xor(uint8_t *into, const uint8_t *row);
