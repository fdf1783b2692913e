// SPDX-License-Identifier: Apache-2.0
//
// Sealing: AES-256-GCM with a random 96-bit nonce. sealed = version (1) | key id (4) | nonce (12) | ciphertext | tag
// (16). The associated data binds a secret to its place (table|row|column|key version), so that one can't be moved to
// another. Any thread; the key is not changed after opening.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"

#define EZ_SEAL_KEY_LEN  32
#define EZ_SEAL_OVERHEAD (1 + 4 + 12 + 16)

typedef struct ez_sealer ez_sealer;

// From 32 raw bytes (a derived key).
ez_status ez_sealer_create(const uint8_t key[EZ_SEAL_KEY_LEN], ez_sealer **out, ez_error *error) EZ_MUST_CHECK;
// From a file of 64 hex digits and a newline; made with mode 0600 where it is missing and may_make. FAILED_PRECONDITION
// where it is readable by others, missing, or not a key: one line that says what to do.
ez_status ez_sealer_open(const char *path, bool may_make, ez_sealer **out, ez_error *error) EZ_MUST_CHECK;
void ez_sealer_destroy(ez_sealer *sealer); // wipes the key

// First 4 bytes of SHA-256 of the key: tells keys apart without telling the key.
uint32_t ez_sealer_key_id(const ez_sealer *sealer);

// A key of its own for a purpose that is no sealing: HMAC-SHA-256 of the purpose, from which the sealing key can't be
// found.
void ez_sealer_derive(const ez_sealer *sealer, const void *purpose, size_t len, uint8_t out[EZ_SEAL_KEY_LEN]);

// Appends to out.
ez_status ez_seal(const ez_sealer *sealer, const void *plain, size_t len, const void *ad, size_t ad_len, ez_buf *out,
                  ez_error *error) EZ_MUST_CHECK;
// DATA_LOSS where it was sealed by another key, for another place, or was changed.
ez_status ez_unseal(const ez_sealer *sealer, const void *sealed, size_t len, const void *ad, size_t ad_len, ez_buf *out,
                    ez_error *error) EZ_MUST_CHECK;

// Overwrites memory that held a secret; not optimised away.
void ez_wipe(void *data, size_t len);
