// SPDX-License-Identifier: Apache-2.0
//
// ez_rows against a plain array: thousands of random puts, rejections and removals, the digest recomputed from scratch.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/session_rows.h"

#define IDS 300

typedef struct plain_rows {
    bool held[IDS];
    bool rejected[IDS];
    char text[IDS][16];
} plain_rows;

static ez_slice slice(const char *text) {
    return (ez_slice){(const uint8_t *)text, strlen(text)};
}

static void hold(ez_rows *rows, int64_t id, const char *text) {
    uint8_t hash[EZ_DIGEST_LEN];
    ez_digest_row(2, id, text, strlen(text), 0, hash);
    ez_row *row = ez_rows_get(rows, 2, id);
    cr_assert_not_null(row);
    cr_assert(ez_rows_hold(rows, row, hash, 0, slice(text), (ez_slice){0}));
}

static void expect_equal(const ez_rows *rows, const plain_rows *model) {
    uint8_t digest[EZ_DIGEST_LEN] = {0}, hash[EZ_DIGEST_LEN];
    uint64_t held = 0, rejected = 0;
    for (int id = 0; id < IDS; id++) {
        const ez_row *row = ez_rows_find(rows, 2, id);
        cr_assert_eq(row != NULL && row->is_held, model->held[id], "id %d", id);
        cr_assert_eq(row != NULL && row->is_rejected, model->rejected[id], "id %d", id);
        held += model->held[id];
        rejected += model->rejected[id];
        if (model->held[id]) {
            ez_slice bytes = ez_row_bytes(row);
            cr_assert_eq(bytes.len, strlen(model->text[id]));
            cr_assert_arr_eq(bytes.data, model->text[id], bytes.len);
            ez_digest_row(2, id, bytes.data, bytes.len, 0, hash);
            ez_digest_xor(digest, hash);
        }
    }
    cr_assert_eq(rows->held, held);
    cr_assert_eq(rows->rejected, rejected);
    cr_assert_arr_eq(rows->digest, digest, EZ_DIGEST_LEN);
}

Test(session_rows, agrees_with_a_plain_array) {
    ez_rows rows;
    ez_rows_init(&rows, 100000, true);
    plain_rows *wanted = calloc(1, sizeof *wanted);
    unsigned random = 12345;
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245u + 12345u;
        int id = (int)((random >> 16) % IDS);
        switch ((random >> 8) % 4) {
        case 0: {
            ez_row *row = ez_rows_find(&rows, 2, id);
            if (row != NULL) {
                ez_rows_remove(&rows, row);
            }
            wanted->held[id] = wanted->rejected[id] = false;
            break;
        }
        case 1: {
            ez_row *row = ez_rows_get(&rows, 2, id);
            ez_rows_reject(&rows, row, "no");
            wanted->rejected[id] = true;
            break;
        }
        default:
            snprintf(wanted->text[id], sizeof wanted->text[id], "t%u", random % 1000);
            hold(&rows, id, wanted->text[id]);
            wanted->held[id] = true;
            wanted->rejected[id] = false;
        }
        if (i % 1000 == 0) {
            expect_equal(&rows, wanted);
        }
    }
    expect_equal(&rows, wanted);
    free(wanted);
    ez_rows_fini(&rows);
}

Test(session_rows, kinds_do_not_mix) {
    ez_rows rows;
    ez_rows_init(&rows, 10, true);
    hold(&rows, 1, "key");
    cr_assert_null(ez_rows_find(&rows, 3, 1));
    cr_assert_not_null(ez_rows_get(&rows, 3, 1));
    cr_assert(ez_rows_find(&rows, 2, 1)->is_held);
    cr_assert(!ez_rows_find(&rows, 3, 1)->is_held);
    ez_rows_fini(&rows);
}

Test(session_rows, has_a_ceiling) {
    ez_rows rows;
    ez_rows_init(&rows, 5, false);
    int64_t id = 0;
    while (ez_rows_get(&rows, 2, id) != NULL) {
        id++;
    }
    cr_assert_eq(id, 5 + EZ_REASONS_KEPT);
    cr_assert_not_null(ez_rows_get(&rows, 2, 0), "what is there is found all the same");
    ez_rows_fini(&rows);
}

Test(session_rows, reasons_are_bounded_and_go_with_their_row) {
    ez_rows rows;
    ez_rows_init(&rows, 1000, false);
    for (int64_t id = 0; id < 150; id++) {
        ez_rows_reject(&rows, ez_rows_get(&rows, 2, id), "no");
    }
    cr_assert_eq(rows.rejected, 150);
    cr_assert_eq(rows.rejection_count, EZ_REASONS_KEPT);
    ez_rows_reject(&rows, ez_rows_find(&rows, 2, 7), "still no");
    cr_assert_eq(rows.rejected, 150, "a row is rejected once");
    for (int64_t id = 0; id < 150; id++) {
        ez_rows_accept(&rows, ez_rows_find(&rows, 2, id));
    }
    cr_assert_eq(rows.rejected, 0);
    cr_assert_eq(rows.rejection_count, 0);
    ez_rows_fini(&rows);
}

Test(session_rows, keeps_a_secret_given_from_its_own_memory) {
    ez_rows rows;
    ez_rows_init(&rows, 10, true);
    uint8_t hash[EZ_DIGEST_LEN] = {1};
    ez_row *row = ez_rows_get(&rows, 5, 1);
    cr_assert(ez_rows_hold(&rows, row, hash, 1, slice("first"), slice("sk-secret")));
    cr_assert(ez_rows_hold(&rows, row, hash, 1, slice("a longer second"), ez_row_secret(row)));
    cr_assert_eq(ez_row_secret(row).len, 9);
    cr_assert_arr_eq(ez_row_secret(row).data, "sk-secret", 9);
    ez_rows_fini(&rows);
}

// A simulator holds thousands of tables; and a revision that no longer fits must not look older than it is.
Test(session_rows, a_row_is_small_and_its_revision_saturates) {
    cr_assert_eq(sizeof(ez_row), 64);
    ez_row row = {.kind = UINT8_MAX, .seen = UINT16_MAX};
    ez_rows_date(&row, EZ_ROW_REVISION_MAX - 1);
    cr_assert_eq(row.revision, EZ_ROW_REVISION_MAX - 1);
    ez_rows_date(&row, UINT64_MAX);
    cr_assert_eq(row.revision, EZ_ROW_REVISION_MAX);
    cr_assert_eq(row.kind, UINT8_MAX);
    cr_assert_eq(row.seen, UINT16_MAX);
}
