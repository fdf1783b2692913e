// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share: the object, how a page token that is refused is called, and how many rows a page
// has.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/audit.pb-c.h"
#include "ez/v1/change.pb-c.h"
#include "proto/runtime/call.h"
#include "server/domain/audit/audit.h"
#include "server/state/directory/page_token.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX     1000

struct ez_audit {
    const ez_feed *feed;
};

// INVALID_ARGUMENT (PAGE_TOKEN_INVALID) where token is not one that this list gave.
ez_status ez_audit_token_read(char list, const char *token, uint64_t *numbers, size_t count,
                              ez_error *error) EZ_MUST_CHECK;

static inline size_t ez_audit_page_size(int32_t asked) {
    return asked <= 0 ? PAGE_DEFAULT : asked > PAGE_MAX ? PAGE_MAX : (size_t)asked;
}
