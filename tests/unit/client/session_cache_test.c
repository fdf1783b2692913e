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

#include "clients/c/session_private.h"
#include "ez/v1/key.pb-c.h"
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

// It would lack rows, and nothing would ever say so.
Test(session_cache, of_other_kinds_is_ignored) {
    cache_dir dir = cache_make();
    given_cache(&dir);
    ez_session_options options;
    ez_session_options_init(&options);
    options.client_options = (ez_client_options){
        .servers = {"tcp://127.0.0.1:1"}, .server_count = 1, .token = TOKEN, .connect_timeout_ms = 100};
    options.cache_dir = dir.path;
    options.kinds[0] = EZ__V1__KIND__KIND_NAMESPACE;
    options.kind_count = 1;
    ez_session *session = session_of(&options);
    cr_assert_eq(info_of(session).rows, 0);
    cr_assert_eq(info_of(session).at.epoch, 0);
    ez_session_close(session);
    cache_remove(&dir);
}

// ---- A large one ----

#define MILLION 1000000

// A key with most of what a key can have; returns its packed length. One with nothing but its name takes half of that.
static size_t pack_key(int64_t id, uint8_t *out, size_t size) {
    char name[32];
    uint8_t hash[32] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16)};
    char *scopes[] = {(char[]){"chat"}, (char[]){"embeddings"}};
    char *limits[] = {(char[]){"gpt-4o-mini"}, (char[]){"claude-sonnet"}, (char[]){"llama-3.3-70b"}};
    char *addresses[] = {(char[]){"10.20.0.0/16"}, (char[]){"192.168.1.0/24"}};
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 1767225600;
    time.nanos = 123456789;
    Ez__V1__Key__LabelsEntry team = EZ__V1__KEY__LABELS_ENTRY__INIT, cost = EZ__V1__KEY__LABELS_ENTRY__INIT;
    Ez__V1__Key__LabelsEntry *labels[] = {&team, &cost};
    team.key = (char[]){"team"};
    team.value = (char[]){"search"};
    cost.key = (char[]){"cost-centre"};
    cost.value = (char[]){"4711-research"};
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.n_labels = 2;
    key.labels = labels;
    snprintf(name, sizeof name, "customer-%lld", (long long)id);
    key.id = id;
    key.master_id = 1 + id % 1000;
    key.name = name;
    key.token_prefix = (char[]){"sk-Zx81q"};
    key.token_last4 = (char[]){"9fQk"};
    key.token_sha256 = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
    key.group = (char[]){"premium"};
    key.n_scopes = 2;
    key.scopes = scopes;
    key.model_limits_enabled = true;
    key.n_model_limits = 3;
    key.model_limits = limits;
    key.n_allow_ips = 2;
    key.allow_ips = addresses;
    key.default_namespace = (char[]){"production"};
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = -1;
    key.created_at = key.updated_at = key.expires_at = &time;
    key.revision = (uint64_t)id;
    cr_assert_leq(ez__v1__key__get_packed_size(&key), size);
    return ez__v1__key__pack(&key, out);
}

// The session's cache alone: no server has a million keys within a test's time.
static void given_large_cache(const cache_dir *dir, uint8_t digest[EZ_DIGEST_LEN]) {
    ez_session *session = calloc(1, sizeof *session);
    cr_assert_not_null(session);
    ez_session_options_init(&session->options);
    session->options.cache_dir = dir->path;
    session->token = (char[]){TOKEN};
    session->is_closed = true; // its group leaves it alone
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_session_group_open(&session->group, &error), EZ_OK, "%s", error.message);
    ez_rows_init(&session->rows, session->options.max_rows, true);
    cr_assert_eq(ez_cache_open(session, &error), EZ_OK, "%s", error.message);
    for (int64_t id = 1; id <= MILLION; id++) {
        uint8_t bytes[512];
        ez_change change = {.kind = EZ__V1__KIND__KIND_KEY, .op = EZ__V1__OP__OP_PUT, .id = id};
        change.member = ez_change_member(change.kind);
        change.resource = (ez_slice){bytes, pack_key(id, bytes, sizeof bytes)};
        ez_apply_change(session, &change);
    }
    cr_assert_eq(session->rows.held, MILLION);
    memcpy(digest, session->rows.digest, EZ_DIGEST_LEN);
    session->at = (ez_session_revision){.epoch = 1, .n = MILLION};
    session->is_consistent = true;
    while (ez_cache_flush(session)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    ez_session_group_close(session->group);
    ez_cache_close(session);
    ez_rows_fini(&session->rows);
    free(session);
}

Test(session_cache, holds_a_million_keys) {
    cache_dir dir = cache_make();
    uint8_t digest[EZ_DIGEST_LEN];
    given_large_cache(&dir, digest);
    struct stat file;
    cr_assert_eq(stat(dir.file, &file), 0, "it was not written");
    ez_session_options options;
    ez_session_options_init(&options);
    options.client_options = (ez_client_options){
        .servers = {"tcp://127.0.0.1:1"}, .server_count = 1, .token = TOKEN, .connect_timeout_ms = 100};
    options.cache_dir = dir.path;
    ez_session *session = session_of(&options);
    ez_session_info info = info_of(session);
    cr_assert_eq(info.rows, MILLION);
    cr_assert_eq(info.at.n, MILLION);
    cr_assert_arr_eq(info.digest, digest, EZ_DIGEST_LEN);
    ez_session_close(session);
    cache_remove(&dir);
}
