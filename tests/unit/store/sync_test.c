// SPDX-License-Identifier: Apache-2.0
//
// How far Redis is: read back as it was written, and never by a server that was replaced.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/state/store/sync.h"
#include "tests/unit/store/support.h"

static ez_status gather(void *user, const ez_sync_due *due, ez_error *error) {
    (void)error;
    char *out = user;
    sprintf(out + strlen(out), "%d/%lld@%llu %u%s %.*s: %s;", due->kind, (long long)due->id, (unsigned long long)due->n,
            due->tries, due->is_parked ? "p" : "", (int)due->place.len, (const char *)due->place.data, due->error);
    return EZ_OK;
}

static const char *due_text(ez_store *store, char out[1024]) {
    ez_error error = EZ_ERROR_INIT;
    out[0] = 0;
    cr_assert_eq(ez_store_each_sync_due(store, gather, out, &error), EZ_OK, "%s", error.message);
    return out;
}

Test(store_sync, is_read_back_and_fenced) {
    place at;
    given_place(&at);
    ez_store *store = open_store(&at);
    ez_error error = EZ_ERROR_INIT;
    ez_sync_state state;
    char text[1024];
    cr_assert_eq(ez_store_read_sync(store, &state, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(state.epoch, 0, "nothing was ever written");
    ez_sync_state mine = {.epoch = 7,
                          .n = 42,
                          .fence = 3,
                          .state = "behind",
                          .server = "a",
                          .rebuilds = 1,
                          .retries = 2,
                          .rebuilt_ns = 10,
                          .error = "WRONGTYPE",
                          .error_ns = 11,
                          .updated_ns = 12};
    ez_sync_due due[] = {{2, 9, 41, {(const uint8_t *)"spot", 4}, 3, 1, 2, false, "no"},
                         {5, 1, 40, {NULL, 0}, 10, 1, 2, true, "never"}};
    ez_sync_write write = {.state = &mine, .puts = due, .put_count = 2};
    cr_assert_eq(ez_store_write_sync(store, &write, &error), EZ_OK, "%s", error.message);
    ez_store_close(store);
    store = open_store(&at);
    cr_assert_eq(ez_store_read_sync(store, &state, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(memcmp(&state, &mine, offsetof(ez_sync_state, state)), 0);
    cr_assert_str_eq(state.error, "WRONGTYPE");
    cr_assert_eq(state.updated_ns, 12);
    cr_assert_str_eq(due_text(store, text), "2/9@41 3 spot: no;5/1@40 10p : never;");
    mine.fence = 4;
    due[0].tries = 4;
    write = (ez_sync_write){.state = &mine, .puts = due, .put_count = 1, .deletes = due + 1, .delete_count = 1};
    cr_assert_eq(ez_store_write_sync(store, &write, &error), EZ_OK, "%s", error.message);
    cr_assert_str_eq(due_text(store, text), "2/9@41 4 spot: no;");
    ez_sync_state stale = mine;
    stale.fence = 3;
    stale.n = 1;
    write = (ez_sync_write){.state = &stale, .clears = true};
    expect_error(ez_store_write_sync(store, &write, &error), &error, EZ_ABORTED, "FENCED", "taken over");
    cr_assert_str_eq(due_text(store, text), "2/9@41 4 spot: no;", "nothing of it was written");
    cr_assert_eq(ez_store_read_sync(store, &state, &error), EZ_OK, "%s", error.message);
    cr_assert_eq(state.n, 42);
    write = (ez_sync_write){.state = &mine, .clears = true};
    cr_assert_eq(ez_store_write_sync(store, &write, &error), EZ_OK, "%s", error.message);
    cr_assert_str_eq(due_text(store, text), "");
    ez_store_close(store);
    drop_place(&at);
}
