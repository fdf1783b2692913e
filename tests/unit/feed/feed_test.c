// SPDX-License-Identifier: Apache-2.0
//
// The ring of changes: deltas from every cursor, paged at every size, what is too old, and readers beside the appender.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ez/v1/config.pb-c.h"
#include "server/state/feed/feed.h"
#include "tests/support/expect.h"

enum { MASTER = EZ__V1__KIND__KIND_MASTER, ADMIN_TOKEN = EZ__V1__KIND__KIND_ADMIN_TOKEN };

static const uint8_t digest[32] = {1, 2, 3};

static ez_feed *given_feed(size_t keep, uint64_t n) {
    ez_error error = EZ_ERROR_INIT;
    ez_feed *feed;
    ez_feed_options options = {.epoch = 8, .n = n, .keep = keep};
    expect_ok(ez_feed_create(&options, &feed, &error), &error);
    return feed;
}

// Revision n: count changes, whose ids are n * 100 and on. kind: of all.
static void append(ez_feed *feed, uint64_t n, unsigned count, int kind) {
    static const uint8_t master[] = {0x12, 1, 'm'};
    ez_store_change changes[200];
    ez_error error = EZ_ERROR_INIT;
    for (unsigned i = 0; i < count; i++)
        changes[i] = (ez_store_change){.n = n,
                                       .seq = i,
                                       .kind = kind,
                                       .id = (int64_t)n * 100 + i,
                                       .op = i % 5 == 4 ? EZ__V1__OP__OP_DELETE : EZ__V1__OP__OP_PUT,
                                       .data = {master, sizeof master}};
    expect_ok(ez_feed_append(feed, n, changes, count, digest, 1, false, &error), &error);
}

typedef struct harvest {
    int64_t ids[2000];
    size_t count;
    size_t limit; // of one page
    size_t page;  // taken in this page
} harvest;

static bool take(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    harvest *taken = user;
    (void)secret_version;
    if (taken->page == taken->limit)
        return false;
    Ez__V1__Change *change = ez__v1__change__unpack(NULL, encoded.len, encoded.data);
    cr_assert(change);
    cr_assert_eq(change->id, id);
    cr_assert_eq((int)change->kind, kind);
    cr_assert_eq((int)change->op, op);
    cr_assert_eq(change->revision->n, (uint64_t)id / 100);
    cr_assert_eq(change->resource_case == EZ__V1__CHANGE__RESOURCE__NOT_SET, op == EZ__V1__OP__OP_DELETE);
    ez__v1__change__free_unpacked(change, NULL);
    taken->ids[taken->count++] = id;
    taken->page++;
    return true;
}

// Reads everything from a revision on, in pages.
static void read_from(ez_feed *feed, uint64_t since, uint64_t until, size_t limit, harvest *out) {
    ez_error error = EZ_ERROR_INIT;
    ez_feed_cursor cursor = {since, 0};
    bool done = false;
    *out = (harvest){.limit = limit};
    for (int pages = 0; !done; pages++) {
        cr_assert_lt(pages, 2000, "it does not end");
        out->page = 0;
        expect_ok(ez_feed_read(feed, &cursor, until, take, out, &done, &error), &error);
    }
    cr_assert_eq(cursor.n, until);
    cr_assert_eq(cursor.seq, 0);
}

Test(feed, gives_every_delta_in_pages_of_every_size) {
    ez_feed *feed = given_feed(1000, 10);
    static const unsigned counts[] = {1, 3, 0, 7, 1, 1, 12, 0, 2};
    const unsigned revisions = sizeof counts / sizeof counts[0];
    for (unsigned i = 0; i < revisions; i++)
        append(feed, 11 + i, counts[i] ? counts[i] : 2, counts[i] ? MASTER : ADMIN_TOKEN);
    for (size_t limit = 1; limit < 30; limit++) {
        for (unsigned since = 0; since <= revisions; since++) {
            harvest taken;
            read_from(feed, 10 + since, 10 + revisions, limit, &taken);
            size_t at = 0;
            for (unsigned i = since; i < revisions; i++) {
                for (unsigned j = 0; j < counts[i]; j++)
                    cr_assert_eq(taken.ids[at++], (11 + i) * 100 + j);
            }
            cr_assert_eq(taken.count, at);
        }
    }
    harvest taken;
    read_from(feed, 11, 13, 5, &taken);
    cr_assert_eq(taken.count, 3, "it goes no further than it was asked to");
    ez_feed_destroy(feed);
}

Test(feed, what_fell_out_is_too_old) {
    ez_error error = EZ_ERROR_INIT;
    ez_feed *feed = given_feed(10, 0);
    cr_assert_eq(ez_feed_oldest(feed), 0);
    for (uint64_t n = 1; n <= 8; n++)
        append(feed, n, 3, MASTER);
    // 10 of 24 changes are kept: one of revision 5, all of 6 to 8. A delta may start from 5.
    cr_assert_eq(ez_feed_oldest(feed), 5);
    harvest taken;
    read_from(feed, 5, 8, 100, &taken);
    cr_assert_eq(taken.count, 9);
    ez_feed_cursor cursor = {4, 0};
    bool done;
    taken.page = taken.count = 0;
    expect_reason(EZ_OUT_OF_RANGE, "REVISION_TOO_OLD", ez_feed_read(feed, &cursor, 8, take, &taken, &done, &error),
                  &error);
    cr_assert_eq(ez_feed_head(feed).n, 8);
    cr_assert_eq(ez_feed_head(feed).epoch, 8);
    append(feed, 9, 40, MASTER); // more than it keeps, in one revision
    cr_assert_eq(ez_feed_oldest(feed), 9);
    read_from(feed, 9, 9, 100, &taken);
    cr_assert_eq(taken.count, 0);
    ez_feed_destroy(feed);
}

Test(feed, knows_the_digests_of_what_was_committed) {
    ez_feed *feed = given_feed(10, 4);
    uint8_t out[32], first[32] = {9};
    cr_assert_not(ez_feed_digest(feed, 4, out));
    ez_feed_note_digest(feed, first);
    cr_assert(ez_feed_digest(feed, 4, out));
    cr_assert_arr_eq(out, first, 32);
    append(feed, 5, 1, ADMIN_TOKEN);
    cr_assert(ez_feed_digest(feed, 5, out));
    cr_assert_arr_eq(out, digest, 32);
    cr_assert_not(ez_feed_digest(feed, 6, out));
    ez_feed_destroy(feed);
}

Test(feed, a_skip_makes_everything_before_too_old) {
    ez_error error = EZ_ERROR_INIT;
    uint8_t out[32];
    ez_feed *feed = given_feed(10, 0);
    for (uint64_t n = 1; n <= 3; n++)
        append(feed, n, 2, MASTER);
    ez_feed_skip(feed, 20, NULL, 1);
    cr_assert_eq(ez_feed_head(feed).n, 20);
    cr_assert_eq(ez_feed_oldest(feed), 20);
    cr_assert_not(ez_feed_digest(feed, 20, out));
    ez_feed_cursor cursor = {3, 0};
    bool done;
    harvest none = {.limit = 9};
    expect_reason(EZ_OUT_OF_RANGE, "REVISION_TOO_OLD", ez_feed_read(feed, &cursor, 20, take, &none, &done, &error),
                  &error);
    append(feed, 21, 2, MASTER);
    read_from(feed, 20, 21, 9, &none);
    cr_assert_eq(none.count, 2);
    ez_feed_destroy(feed);
}

static ez_feed *shared;
static atomic_bool is_over;
static atomic_uint faults, reads;

static bool check_order(void *user, int kind, int64_t id, int op, uint64_t secret_version, ez_slice encoded) {
    (void)kind;
    (void)op;
    (void)secret_version;
    int64_t *next = user;
    if (id != *next || encoded.len == 0)
        atomic_fetch_add(&faults, 1);
    *next = id + 1;
    if (*next % 100 == 3)
        *next = (id / 100 + 1) * 100; // three changes in each revision
    return true;
}

static void *read_all(void *user) {
    (void)user;
    while (!atomic_load(&is_over)) {
        ez_error error = EZ_ERROR_INIT;
        uint64_t head = ez_feed_head(shared).n;
        ez_feed_cursor cursor = {ez_feed_oldest(shared), 0};
        int64_t next = (int64_t)(cursor.n + 1) * 100;
        bool done;
        ez_status status = ez_feed_read(shared, &cursor, head, check_order, &next, &done, &error);
        // What falls out while it is read is too old; nothing else can be wrong.
        if (status == EZ_OK ? cursor.n < head || !done : status != EZ_OUT_OF_RANGE)
            atomic_fetch_add(&faults, 1);
        atomic_fetch_add(&reads, status == EZ_OK);
    }
    return NULL;
}

Test(feed, readers_see_whole_deltas_while_it_moves) {
    pthread_t readers[2];
    shared = given_feed(64, 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_all, NULL), 0);
    for (uint64_t n = 1; n <= 30000 || atomic_load(&reads) < 10; n++)
        append(shared, n, 3, MASTER);
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    cr_assert_eq(atomic_load(&faults), 0);
    ez_feed_destroy(shared);
}
