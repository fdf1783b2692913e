// SPDX-License-Identifier: Apache-2.0
//
// An API key's secret between its two forms: the message, and what is sealed for exactly one key and one version of it.
#pragma once

#include "ez/v1/api_key.pb-c.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/frame.h"

#define EZ_SECRET_PLAIN_MAX (64u << 10) // bytes of a packed ApiKeySecret

// Appends to out; an empty secret appends nothing. The packed form is wiped.
ez_status ez_secret_seal(const ez_sealer *sealer, int64_t api_key_id, uint64_t secret_version,
                         const Ez__V1__ApiKeySecret *secret, ez_buf *out, ez_error *error) EZ_MUST_CHECK;
// Into arena; *out NULL where sealed is empty.
ez_status ez_secret_unseal(const ez_sealer *sealer, int64_t api_key_id, uint64_t secret_version, ez_slice sealed,
                           ez_arena *arena, Ez__V1__ApiKeySecret **out, ez_error *error) EZ_MUST_CHECK;
