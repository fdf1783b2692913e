// SPDX-License-Identifier: Apache-2.0
//
// The spool by itself: what a crash, a damaged disk and the server's answers leave of it. Batches hold the text
// "batch <n>", so that a test sees which one it has.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/c/spool.h"
#include "tests/support/expect.h"
#include "tests/support/folder.h"

#define MAX_BYTES (16u << 20)

typedef struct place {
    char path[EZ_TEST_PATH_MAX];
    int dir;
    ez_spool_key keys[2];
    unsigned key_count;
    uint64_t max;
} place;

static place given_place(const char *token) {
    place p = {.key_count = 1, .max = MAX_BYTES};
    ez_error error = EZ_ERROR_INIT;
    given_folder(p.path);
    p.dir = open(p.path, O_RDONLY | O_DIRECTORY);
    cr_assert_geq(p.dir, 0);
    expect_ok(ez_spool_key_make(token, &p.keys[0], &error), &error);
    return p;
}

static void end_place(place *p) {
    close(p->dir);
    for (unsigned i = 0; i < p->key_count; i++) {
        ez_spool_key_clear(&p->keys[i]);
    }
    remove_folder(p->path);
}

static ez_spool *open_spool(place *p) {
    const ez_spool_options options = {
        .dir = p->dir, .stream = EZ_SPOOL_USAGE, .keys = p->keys, .key_count = p->key_count, .max = p->max};
    ez_spool *spool = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_open(&options, &spool, &error), &error);
    return spool;
}

static void add(ez_spool *spool, unsigned n) {
    char text[32];
    snprintf(text, sizeof text, "batch %u", n);
    cr_assert(ez_spool_add(spool, (ez_slice){(const uint8_t *)text, strlen(text)}, 1));
}

static void commit(ez_spool *spool, uint64_t note) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_commit(spool, note, &error), &error);
}

static bool front(ez_spool *spool, ez_spool_batch *out) {
    bool has = false;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_front(spool, out, &has, &error), &error);
    return has;
}

// The number in the front batch; 0: it has no rows.
static unsigned number_of(const ez_spool_batch *batch) {
    char text[32] = "";
    unsigned n = 0;
    cr_assert_lt(batch->body.len, sizeof text);
    memcpy(text, batch->body.len == 0 ? (const uint8_t *)"" : batch->body.data, batch->body.len);
    cr_assert(batch->body.len == 0 || sscanf(text, "batch %u", &n) == 1, "what was read was never written");
    return n;
}

static void expect_front(ez_spool *spool, unsigned n, uint64_t sequence) {
    ez_spool_batch batch;
    cr_assert(front(spool, &batch), "batch %u is gone", n);
    cr_assert_eq(number_of(&batch), n);
    cr_assert_eq(batch.sequence, sequence);
}

static ez_spool_info info_of(const ez_spool *spool) {
    ez_spool_info info;
    ez_spool_get_info(spool, &info);
    return info;
}

static uint64_t front_epoch(ez_spool *spool) {
    ez_spool_batch batch;
    cr_assert(front(spool, &batch));
    return batch.epoch;
}

static void end_with(ez_spool *spool, unsigned first, unsigned last, uint64_t sequence) {
    for (unsigned n = first; n <= last; n++, sequence++) {
        expect_front(spool, n, sequence);
        ez_spool_acknowledge(spool);
    }
    cr_assert_eq(info_of(spool).batches, 0);
    ez_spool_close(spool);
}

static void file_of(const place *p, unsigned number, char out[EZ_TEST_PATH_MAX]) {
    snprintf(out, EZ_TEST_PATH_MAX, "%.200s/usage-%016x.spool", p->path, number);
}

static size_t read_bytes(const char *path, uint8_t *out, size_t room) {
    int fd = open(path, O_RDONLY);
    cr_assert_geq(fd, 0, "%s is not there", path);
    ssize_t len = read(fd, out, room);
    close(fd);
    cr_assert(len > 0 && (size_t)len < room);
    return (size_t)len;
}

// ---- Restarts ----

Test(spool, what_was_committed_is_there_again_with_its_labels_and_before_what_is_new) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    uint64_t epoch = info_of(spool).epoch;
    add(spool, 1);
    add(spool, 2);
    commit(spool, 7);
    add(spool, 3);
    commit(spool, 8);
    expect_front(spool, 1, 1);
    ez_spool_acknowledge(spool);
    ez_spool_close(spool); // as good as a kill: nothing is written here

    spool = open_spool(&p);
    ez_spool_info info = info_of(spool);
    cr_assert_eq(info.note, 8);
    cr_assert_eq(info.restored, 2);
    cr_assert_eq(info.rows, 2);
    cr_assert_eq(info.torn, 0);
    cr_assert_neq(info.epoch, epoch);
    add(spool, 4);
    commit(spool, 9);
    expect_front(spool, 2, 2);
    cr_assert_eq(front_epoch(spool), epoch);
    ez_spool_acknowledge(spool);
    expect_front(spool, 3, 3);
    ez_spool_acknowledge(spool);
    expect_front(spool, 4, 1);
    cr_assert_eq(front_epoch(spool), info.epoch);
    ez_spool_close(spool);
    end_place(&p);
}

Test(spool, what_was_not_committed_is_not_there) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    add(spool, 1);
    commit(spool, 1);
    add(spool, 2);
    ez_spool_close(spool);
    spool = open_spool(&p);
    cr_assert_eq(info_of(spool).note, 1);
    end_with(spool, 1, 1, 1);
    end_place(&p);
}

Test(spool, a_note_is_kept_with_nothing_to_send_and_over_many_segments) {
    place p = given_place("ezd_a");
    p.max = 1u << 20;
    ez_spool *spool = open_spool(&p);
    static uint8_t big[100000];
    for (uint64_t note = 1; note <= 100; note++) {
        cr_assert(ez_spool_add(spool, (ez_slice){big, sizeof big}, 1));
        commit(spool, note);
        ez_spool_acknowledge(spool);
    }
    cr_assert_lt(info_of(spool).bytes, 1u << 20, "acknowledged segments are removed");
    ez_spool_close(spool);
    spool = open_spool(&p);
    cr_assert_eq(info_of(spool).note, 100);
    cr_assert_eq(info_of(spool).batches, 0);
    commit(spool, 101);
    ez_spool_close(spool);
    spool = open_spool(&p);
    cr_assert_eq(info_of(spool).note, 101);
    ez_spool_close(spool);
    end_place(&p);
}

Test(spool, is_full_at_its_bound_and_has_room_again_behind_it) {
    place p = given_place("ezd_a");
    p.max = 1u << 20;
    ez_spool *spool = open_spool(&p);
    static uint8_t big[100000];
    unsigned count = 0;
    while (ez_spool_has_room(spool, sizeof big)) {
        cr_assert(ez_spool_add(spool, (ez_slice){big, sizeof big}, 1));
        commit(spool, ++count);
        cr_assert_lt(count, 12);
    }
    cr_assert_geq(count, 9);
    cr_assert_leq(info_of(spool).bytes, 1u << 20);
    for (unsigned i = 0; i < 4; i++) {
        ez_spool_acknowledge(spool);
    }
    cr_assert(ez_spool_has_room(spool, sizeof big), "room comes with whole segments");
    ez_spool_close(spool);
    end_place(&p);
}

// ---- Damage ----

// Three commits of two batches each; the file's bytes, and where the last commit begins.
static size_t given_file(place *p, uint8_t *bytes, size_t room, size_t *before_last) {
    char path[EZ_TEST_PATH_MAX];
    file_of(p, 1, path);
    ez_spool *spool = open_spool(p);
    for (unsigned n = 1; n <= 6; n++) {
        add(spool, n);
        if (n % 2 == 0) {
            *before_last = n == 6 ? info_of(spool).bytes : 0;
            commit(spool, n / 2);
        }
    }
    ez_spool_close(spool);
    return read_bytes(path, bytes, room);
}

Test(spool, a_commit_torn_at_any_byte_is_gone_whole_and_nothing_else_is) {
    place p = given_place("ezd_a");
    static uint8_t bytes[8192];
    char path[EZ_TEST_PATH_MAX];
    size_t before_last = 0, len = given_file(&p, bytes, sizeof bytes, &before_last);
    cr_assert_gt(before_last, 0);
    file_of(&p, 1, path);
    for (size_t cut = before_last; cut < len; cut++) {
        write_file(path, bytes, cut);
        ez_spool *spool = open_spool(&p);
        ez_spool_info info = info_of(spool);
        cr_assert_eq(info.note, 2, "cut at %zu", cut);
        cr_assert_eq(info.batches, 4, "cut at %zu", cut);
        cr_assert_eq(info.torn, cut - before_last);
        add(spool, 7);
        commit(spool, 3);
        ez_spool_close(spool);
        spool = open_spool(&p);
        cr_assert_eq(info_of(spool).torn, 0, "cut at %zu: the tail was cut off", cut);
        cr_assert_eq(info_of(spool).note, 3);
        for (unsigned n = 1; n <= 4; n++) {
            expect_front(spool, n, n);
            ez_spool_acknowledge(spool);
        }
        end_with(spool, 7, 7, 1);
    }
    end_place(&p);
}

static void remove_file(const place *p, const char *name) {
    unlinkat(p->dir, name, 0);
}

Test(spool, no_flipped_bit_goes_unseen_or_makes_another_batch) {
    place p = given_place("ezd_a");
    static uint8_t bytes[8192];
    char path[EZ_TEST_PATH_MAX];
    size_t before_last, len = given_file(&p, bytes, sizeof bytes, &before_last);
    file_of(&p, 1, path);
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= (uint8_t)(1u << at % 8);
        write_file(path, bytes, len);
        bytes[at] ^= (uint8_t)(1u << at % 8);
        ez_spool *spool = open_spool(&p);
        ez_spool_batch batch;
        unsigned whole = 0, last = 0;
        while (front(spool, &batch)) {
            unsigned n = number_of(&batch);
            cr_assert(n == 0 || (n == batch.sequence && n > last), "byte %zu: batch %u came as %" PRIu64, at, n,
                      batch.sequence);
            last = n == 0 ? last : n;
            whole += n != 0;
            ez_spool_acknowledge(spool);
        }
        ez_spool_info info = info_of(spool);
        cr_assert(whole == 6 || info.damaged > 0 || info.torn > 0, "byte %zu: a loss that nobody hears of", at);
        // A header takes its file with it, a commit its two batches, a batch itself.
        cr_assert_geq(whole, at < EZ_SEGMENT_HEAD ? 0 : 4, "byte %zu: only %u batches are left", at, whole);
        ez_spool_close(spool);
        remove_file(&p, "usage-0000000000000001.spool.damaged");
        remove_file(&p, "usage-0000000000000002.spool");
    }
    end_place(&p);
}

Test(spool, a_segment_that_was_never_finished_is_removed) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    add(spool, 1);
    commit(spool, 1);
    ez_spool_close(spool);
    char path[EZ_TEST_PATH_MAX];
    file_of(&p, 2, path);
    write_file(path, "EZSPOOL1", 8);
    spool = open_spool(&p);
    cr_assert_eq(info_of(spool).note, 1);
    end_with(spool, 1, 1, 1);
    end_place(&p);
}

Test(spool, another_data_planes_spool_is_refused_and_the_previous_tokens_is_read) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    add(spool, 1);
    commit(spool, 5);
    ez_spool_close(spool);

    ez_spool_key old = p.keys[0];
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_key_make("ezd_b", &p.keys[0], &error), &error);
    const ez_spool_options foreign = {
        .dir = p.dir, .stream = EZ_SPOOL_USAGE, .keys = p.keys, .key_count = 1, .max = MAX_BYTES};
    expect_reason(EZ_FAILED_PRECONDITION, "SPOOL_FOREIGN", ez_spool_open(&foreign, &spool, &error), &error);

    p.keys[1] = old;
    p.key_count = 2;
    spool = open_spool(&p);
    cr_assert_eq(info_of(spool).note, 5);
    add(spool, 2);
    commit(spool, 6);
    expect_front(spool, 1, 1);
    ez_spool_acknowledge(spool);
    end_with(spool, 2, 2, 1);
    ez_spool_key_clear(&p.keys[1]);
    p.key_count = 1;
    spool = open_spool(&p); // nothing of the old token's is left
    cr_assert_eq(info_of(spool).note, 6);
    ez_spool_close(spool);
    end_place(&p);
}

Test(spool, what_lies_on_disk_can_not_be_read) {
    place p = given_place("ezd_a");
    static uint8_t bytes[8192];
    size_t before_last, len = given_file(&p, bytes, sizeof bytes, &before_last);
    cr_assert_null(memmem(bytes, len, "batch", 5));
    end_place(&p);
}

// ---- The server's answers ----

static void gap(ez_spool *spool, uint64_t expected) {
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_gap(spool, expected, &error), &error);
}

Test(spool, a_server_that_went_back_gets_again_what_is_still_held) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    for (unsigned n = 1; n <= 5; n++) {
        add(spool, n);
        commit(spool, n);
    }
    uint64_t epoch = front_epoch(spool);
    for (unsigned n = 1; n <= 4; n++) {
        ez_spool_acknowledge(spool);
    }
    gap(spool, 3);
    cr_assert_eq(front_epoch(spool), epoch);
    cr_assert_eq(info_of(spool).batches, 3);
    end_with(spool, 3, 5, 3);
    end_place(&p);
}

Test(spool, what_is_held_no_longer_begins_a_new_epoch_that_outlives_a_crash) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    for (unsigned n = 1; n <= 3; n++) {
        add(spool, n);
    }
    commit(spool, 1);
    uint64_t epoch = front_epoch(spool);
    ez_spool_acknowledge(spool);
    gap(spool, 1); // the server knows nothing of this epoch
    uint64_t second = front_epoch(spool);
    cr_assert_neq(second, epoch);
    expect_front(spool, 2, 1);
    add(spool, 4);
    commit(spool, 2);
    cr_assert_eq(info_of(spool).relabeled, 1);
    ez_spool_close(spool);

    spool = open_spool(&p);
    cr_assert_eq(front_epoch(spool), second);
    end_with(spool, 2, 4, 1);
    end_place(&p);
}

Test(spool, a_gap_behind_the_first_batch_is_no_gap) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    add(spool, 1);
    commit(spool, 1);
    ez_error error = EZ_ERROR_INIT;
    expect_reason(EZ_INTERNAL, "GAP_INVALID", ez_spool_gap(spool, 0, &error), &error);
    expect_reason(EZ_INTERNAL, "GAP_INVALID", ez_spool_gap(spool, 9, &error), &error);
    end_with(spool, 1, 1, 1);
    end_place(&p);
}

Test(spool, what_was_rejected_is_sent_without_rows_also_after_a_crash) {
    place p = given_place("ezd_a");
    ez_spool *spool = open_spool(&p);
    add(spool, 1);
    add(spool, 2);
    commit(spool, 1);
    ez_slice rows;
    bool is_kept = false;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_reject(spool, &rows, &is_kept, &error), &error);
    cr_assert(is_kept);
    cr_assert_eq(rows.len, 7);
    expect_front(spool, 0, 1);
    ez_spool_close(spool);
    spool = open_spool(&p);
    expect_front(spool, 0, 1);
    ez_spool_acknowledge(spool);
    end_with(spool, 2, 2, 2);
    cr_assert_eq(faccessat(p.dir, "usage.rejected", F_OK, 0), 0);
    end_place(&p);
}

Test(spool, in_memory_it_is_bounded_and_keeps_its_order) {
    const ez_spool_options options = {.dir = -1, .stream = EZ_SPOOL_LOGS, .max = 1000};
    ez_spool *spool = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_spool_open(&options, &spool, &error), &error);
    unsigned n = 0;
    while (ez_spool_has_room(spool, 9)) {
        add(spool, ++n);
    }
    cr_assert_gt(n, 90);
    for (unsigned i = 1; i <= 50; i++) {
        expect_front(spool, i, i);
        ez_spool_acknowledge(spool);
    }
    gap(spool, 20);
    expect_front(spool, 51, 1);
    end_with(spool, 51, n, 1);
}
