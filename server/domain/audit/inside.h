// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share: the object, page tokens of a few numbers, and rows that grow with what the store
// gives, bounded by the page.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/audit.pb-c.h"
#include "ez/v1/change.pb-c.h"
#include "proto/runtime/call.h"
#include "server/domain/audit/audit.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX     1000

struct ez_audit {
    const ez_feed *feed;
};

// ---- token.c: opaque page tokens

#define EZ_AUDIT_TOKEN_NUMBERS 3

// kind tells lists apart: 'a' for audit entries, 'c' for changes. The text is in arena; NULL where there is no memory.
char *ez_audit_token_write(char kind, const uint64_t *numbers, size_t count, ez_arena *arena) EZ_MUST_CHECK;
// INVALID_ARGUMENT (PAGE_TOKEN_INVALID) where it is not one that this list gave.
ez_status ez_audit_token_read(char kind, const char *token, uint64_t *numbers, size_t count,
                              ez_error *error) EZ_MUST_CHECK;

static inline size_t ez_audit_page_size(int32_t asked) {
    return asked <= 0 ? PAGE_DEFAULT : asked > PAGE_MAX ? PAGE_MAX : (size_t)asked;
}
