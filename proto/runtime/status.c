// SPDX-License-Identifier: Apache-2.0
//
// Names and HTTP statuses of the canonical codes: docs/protocol.md, section 2. A number from the wire that is none of
// them counts as UNKNOWN.
#include "proto/runtime/status.h"

#include <stddef.h>

static const struct {
    const char *name;
    int http;
} codes[] = {
    [EZ_OK] = {"OK", 200},
    [EZ_CANCELLED] = {"CANCELLED", 499},
    [EZ_UNKNOWN] = {"UNKNOWN", 500},
    [EZ_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400},
    [EZ_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504},
    [EZ_NOT_FOUND] = {"NOT_FOUND", 404},
    [EZ_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409},
    [EZ_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403},
    [EZ_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429},
    [EZ_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 412},
    [EZ_ABORTED] = {"ABORTED", 409},
    [EZ_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400},
    [EZ_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501},
    [EZ_INTERNAL] = {"INTERNAL", 500},
    [EZ_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [EZ_DATA_LOSS] = {"DATA_LOSS", 500},
    [EZ_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
};

static size_t place(ez_status status) {
    size_t at = (size_t)status;
    return at < sizeof codes / sizeof codes[0] ? at : EZ_UNKNOWN;
}

const char *ez_status_name(ez_status status) {
    return codes[place(status)].name;
}

int ez_status_http(ez_status status) {
    return codes[place(status)].http;
}
