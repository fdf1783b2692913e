// SPDX-License-Identifier: Apache-2.0
//
// Reading the trail takes many pages while others may write; entries newer than the first page are not looked at.
#include "tests/integration/support/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"

#define HASH_LEN 32

ez_trail given_trail(ez_world *world, int64_t after_id, int page_size) {
    ez_trail trail = {0};
    char token[600] = "";
    bool more = true;
    while (more) {
        Ez__V1__ListAuditResponse *page =
            ask(&world->admin, "Audit/List", "{'page_size':%d,'page_token':'%s'}", page_size ? page_size : 1000, token);
        trail.entries = realloc(trail.entries, (trail.count + page->n_items + 1) * sizeof *trail.entries);
        cr_assert_not_null(trail.entries);
        for (size_t i = 0; i < page->n_items && more; i++) {
            more = page->items[i]->id > after_id;
            if (more)
                trail.entries[trail.count++] = page->items[i];
        }
        more = more && page->next_page_token[0];
        snprintf(token, sizeof token, "%s", page->next_page_token);
    }
    return trail;
}

void end_trail(ez_trail *trail) {
    free(trail->entries);
}

static void be(uint8_t *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

// SHA-256(previous hash | id | time in ns | revision, 8 bytes each | each text behind its length in 4 bytes).
static void hash_entry(const Ez__V1__AuditEntry *entry, uint8_t out[HASH_LEN]) {
    const char *texts[] = {entry->actor,   entry->method,     entry->resource,
                           entry->request, entry->request_id, entry->remote};
    ez_buf whole;
    ez_buf_init(&whole, 1u << 20);
    uint8_t number[8];
    uint64_t time = entry->time ? (uint64_t)entry->time->seconds * 1000000000u + (uint64_t)entry->time->nanos : 0;
    const uint64_t numbers[] = {(uint64_t)entry->id, time, entry->revision};
    cr_assert_eq(ez_buf_append(&whole, entry->previous_hash.data, entry->previous_hash.len), EZ_OK);
    for (size_t i = 0; i < 3; i++) {
        be(number, numbers[i], 8);
        cr_assert_eq(ez_buf_append(&whole, number, 8), EZ_OK);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        be(number, strlen(texts[i]), 4);
        cr_assert_eq(ez_buf_append(&whole, number, 4), EZ_OK);
        cr_assert_eq(ez_buf_append(&whole, texts[i], strlen(texts[i])), EZ_OK);
    }
    ez_sha256(whole.data, whole.len, out);
    ez_buf_fini(&whole);
}

void expect_chain(const ez_trail *trail, const uint8_t *before) {
    static const uint8_t none[HASH_LEN];
    const uint8_t *previous = before ? before : none;
    for (size_t i = trail->count; i > 0; i--) {
        const Ez__V1__AuditEntry *entry = trail->entries[i - 1];
        uint8_t hash[HASH_LEN];
        cr_assert_eq(entry->previous_hash.len, HASH_LEN);
        cr_assert_eq(entry->hash.len, HASH_LEN);
        cr_assert_eq(memcmp(entry->previous_hash.data, previous, HASH_LEN), 0,
                     "audit entry %" PRId64 " does not follow the one before it", entry->id);
        hash_entry(entry, hash);
        cr_assert_eq(memcmp(entry->hash.data, hash, HASH_LEN), 0, "audit entry %" PRId64 " was changed", entry->id);
        previous = entry->hash.data;
    }
}

void expect_not_in_trail(const ez_trail *trail, const char *secret) {
    for (size_t i = 0; i < trail->count; i++) {
        const Ez__V1__AuditEntry *e = trail->entries[i];
        const char *texts[] = {e->actor, e->method, e->resource, e->request, e->request_id, e->remote};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            cr_assert_null(strstr(texts[k], secret), "audit entry %" PRId64 " (%s) holds a secret", e->id, e->method);
    }
}

uint64_t expect_contiguous_changes(ez_world *world, uint64_t after) {
    char token[600] = "";
    uint64_t at = after;
    do {
        Ez__V1__ListChangesResponse *page = ask(
            &world->admin, "Changes/List", "{'since':%" PRIu64 ",'page_size':1000,'page_token':'%s'}", after, token);
        for (size_t i = 0; i < page->n_items; i++) {
            uint64_t n = page->items[i]->revision;
            cr_assert(n == at || n == at + 1, "revision %" PRIu64 " follows %" PRIu64, n, at);
            at = n;
        }
        snprintf(token, sizeof token, "%s", page->next_page_token);
    } while (token[0]);
    uint64_t head = revision_of(world);
    cr_assert_eq(at, head, "the last change is of revision %" PRIu64 ", the store is at %" PRIu64, at, head);
    return at;
}
