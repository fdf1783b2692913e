// SPDX-License-Identifier: Apache-2.0
//
// The truth log of ez-dpsim (tools/dpsim/truth.h), added up: what was handed to the reporters and synced, and nothing
// else.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EZ_BOOKS_IDS 64

typedef struct ez_books_sums {
    int64_t id;
    int64_t requests, success, failure, tokens_in, tokens_out, quota_used, rate_limited;
} ez_books_sums;

typedef struct ez_books {
    ez_books_sums keys[EZ_BOOKS_IDS], api_keys[EZ_BOOKS_IDS], masters[EZ_BOOKS_IDS];
    unsigned key_count, api_key_count, master_count;
    int64_t records, errors, tokens_in, tokens_out, cost_nano_usd; // of log records
    unsigned steps, lost; // lost: steps that a kill took before they were synced, by stream
    unsigned open;        // steps of which it is not known yet
} ez_books;

// Fails the test where a line can't be read.
void read_books(const char *path, ez_books *books);
// Steps that were begun so far; cheap. 0 where there is no file.
unsigned count_steps(const char *path);
