// SPDX-License-Identifier: Apache-2.0
//
// ez_parcel: what a message is sent as, copied from whoever sends it, and the request that carries it. No lock: it does
// not change between fill and fini.
#pragma once

#include "server/state/delivery/delivery.h"

typedef struct ez_parcel {
    char *url, *content_type, *secret; // secret: NULL where it is not signed
    uint8_t *body;
    size_t body_len;
    char *names[EZ_DELIVERY_HEADERS], *values[EZ_DELIVERY_HEADERS];
    size_t header_count;
} ez_parcel;

// False where there is no memory; fini is due all the same.
bool ez_parcel_fill(ez_parcel *parcel, const ez_delivery_message *message) EZ_MUST_CHECK;
// Wipes what may be a secret: the signing one, the URL, headers. Leaves zeros.
void ez_parcel_fini(ez_parcel *parcel);

// Submits it under that id, signed as of now. Errors as ez_outbound_submit, and RESOURCE_EXHAUSTED (NO_MEMORY).
ez_status ez_parcel_submit(const ez_parcel *parcel, ez_outbound *outbound, int64_t id, ez_outbound_done_fn *done,
                           void *user, ez_error *error) EZ_MUST_CHECK;
