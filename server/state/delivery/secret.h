// SPDX-License-Identifier: Apache-2.0
//
// A receiver's secret at rest, in a setting: what its messages are signed with, or a URL that is one. Bound to its
// place and to a version that goes up with each new secret, so that an older one that is put back, or one of another
// place, does not open. Any thread.
#pragma once

#include "proto/crypto/seal.h"
#include "proto/runtime/frame.h"

#define EZ_DELIVERY_SECRET_MAX 1024 // bytes
#define EZ_DELIVERY_PLACE_MAX  160  // bytes of a place, NUL included

// place: "settings|error_webhook|secret". Appends to out. INVALID_ARGUMENT (SECRET_EMPTY, SECRET_TOO_LARGE): nothing is
// ever signed with an empty secret.
ez_status ez_delivery_seal(const ez_sealer *sealer, const char *place, uint64_t version, const char *secret,
                           ez_buf *out, ez_error *error) EZ_MUST_CHECK;

// secret: NUL-terminated; the caller wipes it. FAILED_PRECONDITION (SECRET_EMPTY) where none was sealed, DATA_LOSS
// where it can't be opened.
ez_status ez_delivery_unseal(const ez_sealer *sealer, const char *place, uint64_t version, ez_slice sealed,
                             char secret[EZ_DELIVERY_SECRET_MAX + 1], ez_error *error) EZ_MUST_CHECK;
