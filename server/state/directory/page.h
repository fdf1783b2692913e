// SPDX-License-Identifier: Apache-2.0
//
// Lists: one page of a kind from the directory, filtered, as the packed bytes of a List…Response (items = 1,
// next_page_token = 2, total = 3). Tokens are opaque, bound to method and order, and stable under inserts (keyset by
// id). A page looks at no more than EZ_PAGE_SCAN_MAX entries: with a filter it may be short and still have a next one.
#pragma once

#include "proto/runtime/call.h"
#include "server/state/directory/directory.h"

#define EZ_PAGE_SCAN_MAX     50000
#define EZ_PAGE_SIZE_DEFAULT 50
#define EZ_PAGE_SIZE_MAX     1000

typedef struct ez_page {
    int kind;
    int32_t page_size;      // 0: default
    const char *page_token; // "" : first
    const char *order_by;   // "", "id", "id desc", "created_at", "created_at desc"
    bool with_total;
    bool is_group; // only members of this group index
    ez_index index;
    ez_index_key key;
    const char *q;    // "" or part of the name
    uint32_t q_field; // number of the text field q looks at
    // Whether an entry is on the list; NULL: all. With it, with_total counts matches among at most EZ_PAGE_SCAN_MAX
    // entries.
    bool (*accept)(void *user, const ez_entry *entry);
    // Appends the resource as it is shown (without tag and length); NULL: its bytes as they are.
    ez_status (*show)(void *user, const ez_entry *entry, ez_call *call, ez_buf *out);
    void *user;
} ez_page;

// Fills the call's reply. INVALID_ARGUMENT: token, order_by (says what it may be).
ez_status ez_page_reply(const ez_directory *directory, const ez_page *page, ez_call *call) EZ_MUST_CHECK;
