// SPDX-License-Identifier: Apache-2.0
//
// The audit trail and the change list, read whole and checked: the chain's formula stands here a second time, so that a
// change to the server's is noticed.
#pragma once

#include "tests/integration/support/world.h"

// Entries newer than the one with this id, newest first, with pages of page_size (0: 1000).
typedef struct ez_trail {
    Ez__V1__AuditEntry **entries; // in the world's memory
    size_t count;
} ez_trail;
ez_trail given_trail(ez_world *world, int64_t after_id, int page_size);
void end_trail(ez_trail *trail);

// Every entry's hash is that of its content and its previous one; the oldest one's previous hash is `before`, 32 bytes
// (NULL: all zero).
void expect_chain(const ez_trail *trail, const uint8_t *before);
// No entry holds this text in any field.
void expect_not_in_trail(const ez_trail *trail, const char *secret);

// Every revision from after + 1 to the head has changes in the list, and none is there twice. Returns the head.
uint64_t expect_contiguous_changes(ez_world *world, uint64_t after);
