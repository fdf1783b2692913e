// SPDX-License-Identifier: Apache-2.0
//
// The copy on disk of what a session holds: that it serves, that it is sealed, and that one that is damaged or
// another's is not used.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/client/holder.h"

typedef struct cache_dir {
    char path[64];
    char file[96];
} cache_dir;

static cache_dir cache_make(void) {
    cache_dir dir;
    snprintf(dir.path, sizeof dir.path, "/tmp/ez-session-XXXXXX");
    cr_assert_not_null(mkdtemp(dir.path));
    snprintf(dir.file, sizeof dir.file, "%s/config.cache", dir.path);
    return dir;
}

static void cache_remove(const cache_dir *dir) {
    unlink(dir->file);
    cr_assert_eq(rmdir(dir->path), 0, "nothing but the cache is left behind");
}

// A session with a cache was here and stopped at revision 3; so did its control plane.
static void given_cache(const cache_dir *dir) {
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    holder *seen = holder_create();
    ez_session_options options = options_for(plane, seen);
    options.cache_dir = dir->path;
    ez_session *session = session_of(&options);
    until(is_at(session, 3));
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
}

static ez_session *open_cached(const cache_dir *dir, const char *token, holder *seen) {
    ez_session_options options;
    ez_session_options_init(&options);
    // Nothing listens there.
    options.client_options = (ez_client_options){
        .servers = {"tcp://127.0.0.1:1"}, .server_count = 1, .token = token, .connect_timeout_ms = 100};
    options.cache_dir = dir->path;
    options.user = seen;
    options.on_put = on_put;
    options.on_delete = on_delete;
    options.on_revision = on_revision;
    return session_of(&options);
}

Test(session_cache, cache_serves_with_the_control_plane_down) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    struct stat file;
    cr_assert_eq(stat(dir.file, &file), 0);
    cr_assert_eq(file.st_mode & 0777, 0600);
    holder *seen = holder_create();
    ez_session *session = open_cached(&dir, TOKEN, seen);
    holder copy = look(seen); // before any server was asked
    cr_assert_eq(copy.count, 3);
    cr_assert_eq(copy.revision, 3);
    cr_assert(copy.from_cache);
    unsigned at = row_at(&copy, EZ__V1__KIND__KIND_API_KEY, 3);
    cr_assert_str_eq(copy.rows[at].secret, "sk-1");
    cr_assert_eq(info_of(session).at.n, 3);
    cr_assert(!info_of(session).is_live);
    ez_session_close(session);
    holder_destroy(seen);
    cache_remove(&dir);
}

Test(session_cache, cache_holds_no_secret_in_the_clear) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    FILE *file = fopen(dir.file, "rb");
    cr_assert_not_null(file);
    char bytes[4096];
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    cr_assert_gt(len, 40);
    cr_assert_null(memmem(bytes, len, "sk-1", 4));
    cr_assert_null(memmem(bytes, len, "one", 3));
    cache_remove(&dir);
}

Test(session_cache, continues_from_its_cache_by_deltas) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    fake_plane *plane = plane_start(1, 0, 0);
    given_rows(plane);
    plane_commit(plane, (plane_change){.id = 4, .name = "four", .quiet = true});
    holder *seen = holder_create();
    ez_session_options options = options_for(plane, seen);
    options.cache_dir = dir.path;
    ez_session *session = session_of(&options);
    until(is_at(session, 4));
    cr_assert_eq(plane_look(plane).snapshots, 0);
    cr_assert_eq(look(seen).puts, 4, "three from the cache, one from the server");
    expect_same_digest(plane, session);
    ez_session_close(session);
    holder_destroy(seen);
    plane_stop(plane);
    cache_remove(&dir);
}

static void damage(const cache_dir *dir, long at) {
    FILE *file = fopen(dir->file, "r+b");
    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    cr_assert_eq(fseek(file, at, SEEK_SET), 0);
    fputc(byte ^ 0x40, file);
    cr_assert_eq(fclose(file), 0);
}

Test(session_cache, damaged_cache_is_ignored) {
    static const long places[] = {0, 9, 45, 60, 100};
    cache_dir dir = cache_make();
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        given_cache(&dir);
        damage(&dir, places[i]);
        holder *seen = holder_create();
        ez_session *session = open_cached(&dir, TOKEN, seen);
        cr_assert_eq(look(seen).puts, 0, "damaged at %ld", places[i]);
        cr_assert_eq(info_of(session).at.epoch, 0);
        ez_session_close(session);
        holder_destroy(seen);
        unlink(dir.file);
    }
    given_cache(&dir);
    cr_assert_eq(truncate(dir.file, 30), 0);
    holder *seen = holder_create();
    ez_session *session = open_cached(&dir, TOKEN, seen);
    cr_assert_eq(look(seen).puts, 0);
    ez_session_close(session);
    holder_destroy(seen);
    cache_remove(&dir);
}

Test(session_cache, another_tokens_cache_is_ignored_and_replaced) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    holder *seen = holder_create();
    ez_session *session = open_cached(&dir, "ezd_another-token", seen);
    cr_assert_eq(look(seen).puts, 0);
    ez_session_close(session);
    given_cache(&dir); // snapshots again, and writes
    session = open_cached(&dir, TOKEN, seen);
    cr_assert_eq(look(seen).count, 3);
    ez_session_close(session);
    holder_destroy(seen);
    cache_remove(&dir);
}
