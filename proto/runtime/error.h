// SPDX-License-Identifier: Apache-2.0
//
// ez_error: why something failed, in words for people and a word for programs. A plain value without heap memory: put
// it on the stack, pass its address, or NULL where the text is not wanted. Texts are cut at their bound, never overrun.
#pragma once

#include <stdarg.h>

#include "proto/runtime/status.h"

#define EZ_ERROR_REASON_MAX     48
#define EZ_ERROR_MESSAGE_MAX    480
#define EZ_ERROR_VIOLATIONS_MAX 8
#define EZ_VIOLATION_FIELD_MAX  96
#define EZ_VIOLATION_TEXT_MAX   240

typedef struct ez_violation {
    char field[EZ_VIOLATION_FIELD_MAX]; // path within the request: "key.allow_ips[2]"
    char description[EZ_VIOLATION_TEXT_MAX];
} ez_violation;

typedef struct ez_error {
    ez_status code;
    char reason[EZ_ERROR_REASON_MAX];   // UPPER_SNAKE, stable
    char message[EZ_ERROR_MESSAGE_MAX]; // one sentence: what is wrong, where, what to do; no secret
    unsigned violation_count;           // first EZ_ERROR_VIOLATIONS_MAX are kept
    ez_violation violations[EZ_ERROR_VIOLATIONS_MAX];
} ez_error;

#define EZ_ERROR_INIT                                                                                                  \
    { .code = EZ_OK }

// Makes it empty. Cheap: clears the heads, not the texts.
void ez_error_clear(ez_error *error);

// Fills error (may be NULL) and returns code, so that a function can "return ez_error_set(…)".
ez_status ez_error_set(ez_error *error, ez_status code, const char *reason, const char *format, ...) EZ_PRINTF(4, 5);
ez_status ez_error_vset(ez_error *error, ez_status code, const char *reason, const char *format, va_list args)
    EZ_PRINTF(4, 0);

// Adds one field's fault; the first one also sets code INVALID_ARGUMENT, reason FIELD_INVALID and the message.
// Returns EZ_INVALID_ARGUMENT.
ez_status ez_error_violation(ez_error *error, const char *field, const char *format, ...) EZ_PRINTF(3, 4);

// Adds why one value was refused as the fault of its field, and keeps why's reason where it is the first. Returns
// EZ_INVALID_ARGUMENT.
ez_status ez_error_violation_of(ez_error *error, const char *field, const ez_error *why);

// Copies from onto to (either may be NULL) and returns its code.
ez_status ez_error_copy(ez_error *to, const ez_error *from);
