// SPDX-License-Identifier: Apache-2.0
//
// ez_change: a Change read from its wire form without unpacking, because a digest is made over the resource's bytes as
// they came and because a thousand simulated data planes decode each event. Internal to libezplane. All slices point
// into what was read.
#pragma once

#include "clients/c/session.h"
#include "proto/runtime/frame.h"

typedef struct ez_change {
    uint32_t kind;
    uint32_t op;
    int64_t id;
    uint64_t revision; // its n; 0: not said
    uint64_t secret_version;
    uint32_t member; // field number of the resource; 0: none
    ez_slice resource;
    ez_slice secret;
    bool has_secret;
} ez_change;

// False where the bytes are no Change.
bool ez_change_read(ez_slice bytes, ez_change *out);
// The field of Change that holds a resource of this kind; 0 for a kind that this version does not know.
uint32_t ez_change_member(uint32_t kind);
// Its message; NULL for a kind that this version does not know.
const ProtobufCMessageDescriptor *ez_change_descriptor(uint32_t kind);
// Appends "1 field": a Change as number, as it would come in a fetch. secret.data NULL: none.
ez_status ez_change_write(ez_buf *out, uint32_t number, const ez_change *change) EZ_MUST_CHECK;

// The next Change of a ChangeBatch (number 1) or FetchConfigResponse (number 4) at *at. False at the end; *bad where it
// is malformed.
bool ez_change_next(ez_slice message, uint32_t number, size_t *at, ez_change *out, bool *bad);

// A FetchConfigResponse but for its changes.
typedef struct ez_page {
    uint32_t mode;
    ez_session_revision from;
    ez_session_revision to;
    ez_slice next_page_token;
} ez_page;
bool ez_page_read(ez_slice message, ez_page *out);
