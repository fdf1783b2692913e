// SPDX-License-Identifier: Apache-2.0
//
// Filling ez_error. Everything is cut at its bound, and at a whole character, so that a message stays UTF-8 on the
// wire. The awkward case: a message may quote what a peer sent; the caller sees to it that this is text and no secret.
#include "proto/runtime/error.h"

#include <stdio.h>
#include <string.h>

#include "proto/runtime/utf8.h"

static void print(char *out, size_t size, const char *format, va_list args) {
    int len = vsnprintf(out, size, format, args);
    if (len < 0)
        out[0] = 0;
    else if ((size_t)len >= size) {
        // The last byte that was kept may be the head of a character that was not.
        size_t cut = size - 1;
        while (cut > 0 && ((unsigned char)out[cut - 1] & 0xC0) == 0x80)
            cut--;
        if (cut > 0 && (unsigned char)out[cut - 1] >= 0xC0 &&
            ez_utf8_next(out + cut - 1, size - 1 - (cut - 1), NULL) == 0)
            out[cut - 1] = 0;
    }
}

void ez_error_clear(ez_error *error) {
    if (!error)
        return;
    error->code = EZ_OK;
    error->reason[0] = 0;
    error->message[0] = 0;
    error->violation_count = 0;
}

ez_status ez_error_vset(ez_error *error, ez_status code, const char *reason, const char *format, va_list args) {
    if (!error)
        return code;
    error->code = code;
    error->violation_count = 0;
    snprintf(error->reason, sizeof error->reason, "%s", reason ? reason : "");
    print(error->message, sizeof error->message, format, args);
    return code;
}

ez_status ez_error_set(ez_error *error, ez_status code, const char *reason, const char *format, ...) {
    va_list args;
    va_start(args, format);
    ez_error_vset(error, code, reason, format, args);
    va_end(args);
    return code;
}

ez_status ez_error_violation(ez_error *error, const char *field, const char *format, ...) {
    if (!error)
        return EZ_INVALID_ARGUMENT;
    if (error->violation_count >= EZ_ERROR_VIOLATIONS_MAX)
        return EZ_INVALID_ARGUMENT;
    ez_violation *violation = &error->violations[error->violation_count];
    size_t keep = ez_utf8_cut(field, strlen(field), sizeof violation->field - 1);
    memcpy(violation->field, field, keep);
    violation->field[keep] = 0;
    va_list args;
    va_start(args, format);
    print(violation->description, sizeof violation->description, format, args);
    va_end(args);
    if (error->violation_count++ == 0) {
        error->code = EZ_INVALID_ARGUMENT;
        snprintf(error->reason, sizeof error->reason, "FIELD_INVALID");
        snprintf(error->message, sizeof error->message, "%s: %s", violation->field, violation->description);
    }
    return EZ_INVALID_ARGUMENT;
}

ez_status ez_error_violation_of(ez_error *error, const char *field, const ez_error *why) {
    ez_status status = ez_error_violation(error, field, "%s", why->message);
    if (error && error->violation_count == 1)
        memcpy(error->reason, why->reason, sizeof error->reason);
    return status;
}

ez_status ez_error_copy(ez_error *to, const ez_error *from) {
    ez_status code = from ? from->code : EZ_OK;
    if (!to || to == from)
        return code;
    if (!from) {
        ez_error_clear(to);
        return code;
    }
    to->code = from->code;
    memcpy(to->reason, from->reason, sizeof to->reason);
    memcpy(to->message, from->message, sizeof to->message);
    to->violation_count = from->violation_count;
    memcpy(to->violations, from->violations, from->violation_count * sizeof from->violations[0]);
    return code;
}
