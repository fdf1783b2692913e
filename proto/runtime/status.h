// SPDX-License-Identifier: Apache-2.0
//
// ez_status: the result of everything that can fail. The numbers are gRPC's canonical codes, which are also what the
// wire carries (proto/ez/v1/wire.proto, Code).
#pragma once

#include <stdbool.h>

#define EZ_MUST_CHECK        __attribute__((warn_unused_result))
#define EZ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

typedef enum ez_status {
    EZ_OK = 0,
    EZ_CANCELLED = 1,
    EZ_UNKNOWN = 2,
    EZ_INVALID_ARGUMENT = 3,
    EZ_DEADLINE_EXCEEDED = 4,
    EZ_NOT_FOUND = 5,
    EZ_ALREADY_EXISTS = 6,
    EZ_PERMISSION_DENIED = 7,
    EZ_RESOURCE_EXHAUSTED = 8,
    EZ_FAILED_PRECONDITION = 9,
    EZ_ABORTED = 10,
    EZ_OUT_OF_RANGE = 11,
    EZ_UNIMPLEMENTED = 12,
    EZ_INTERNAL = 13,
    EZ_UNAVAILABLE = 14,
    EZ_DATA_LOSS = 15,
    EZ_UNAUTHENTICATED = 16,
} ez_status;

// "NOT_FOUND"; "UNKNOWN" for a number that is none.
const char *ez_status_name(ez_status status);

// The HTTP status that docs/protocol.md gives for it; 200 for EZ_OK.
int ez_status_http(ez_status status);
