// SPDX-License-Identifier: Apache-2.0
//
// The store's front: which backend a URL means, the lock around the backend's one database handle, and what both
// backends need done once: checking a group and finding the last change of each resource in it. An ez_store owns its
// backend handle and its reader threads, and is opened and closed by one thread.
//
// Awkward: a group may put, delete and put the same resource again. All of it goes to the feed, only the end of it to
// the resource's table; PostgreSQL would even refuse one statement that writes a row twice.
#include "server/state/store/store.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/cleanup.h"
#include "server/state/store/inside.h"
#include "server/state/store/sql.h"

#define GROUP_MAX 4000000u // changes in one commit: a bound on sums, far above what the writer makes

static const struct scheme {
    const char *prefix;
    const ez_backend *backend;
    bool cut; // the backend wants what is behind the prefix
} schemes[] = {
    {"sqlite:", &ez_backend_sqlite, true},
    {"postgres://", &ez_backend_postgres, false},
    {"postgresql://", &ez_backend_postgres, false},
};

static const struct scheme *find_scheme(const char *url) {
    for (size_t i = 0; url && i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return &schemes[i];
    }
    return NULL;
}

ez_status ez_store_open(const ez_store_options *options, ez_store **out, ez_error *error) {
    const struct scheme *scheme = find_scheme(options->url);
    // The URL is not shown: it may hold a password.
    if (!scheme)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "STORE_URL", "EZ_STORE is sqlite:PATH or postgres://…");
    if (options->readers < 1 || options->readers > EZ_STORE_READERS_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "STORE_READERS", "a store has 1 to %d readers, not %d",
                            EZ_STORE_READERS_MAX, options->readers);
    ez_store *store = calloc(1, sizeof *store);
    if (!store)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to open the store");
    store->backend = scheme->backend;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->usage_lock, NULL);
    pthread_mutex_init(&store->logs_lock, NULL);
    pthread_mutex_init(&store->alerts_lock, NULL);
    pthread_mutex_init(&store->lease_lock, NULL);
    pthread_mutex_init(&store->servers_lock, NULL);
    pthread_mutex_init(&store->claims_lock, NULL);
    const char *location = options->url + (scheme->cut ? strlen(scheme->prefix) : 0);
    ez_status status = store->backend->open(options, location, &store->db, error);
    if (!status)
        status = ez_store_pool_create(store->backend, store->db, (unsigned)options->readers, &store->pool, error);
    if (status)
        ez_store_close(store);
    else
        *out = store;
    return status;
}

void ez_store_stop(ez_store *store) {
    if (store)
        ez_store_pool_stop(store->pool);
}

void ez_store_close(ez_store *store) {
    if (!store)
        return;
    ez_store_pool_destroy(store->pool);
    store->backend->close(store->db);
    pthread_mutex_destroy(&store->lock);
    pthread_mutex_destroy(&store->usage_lock);
    pthread_mutex_destroy(&store->logs_lock);
    pthread_mutex_destroy(&store->alerts_lock);
    pthread_mutex_destroy(&store->lease_lock);
    pthread_mutex_destroy(&store->servers_lock);
    pthread_mutex_destroy(&store->claims_lock);
    free(store);
}

const char *ez_store_name(const ez_store *store) {
    return store->backend->name;
}

ez_status ez_store_read_head(ez_store *store, ez_store_head *out, ez_error *error) {
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->read_head(store->db, out, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

ez_status ez_store_each_row(ez_store *store, int kind, ez_store_row_fn *each, void *user, ez_error *error) {
    assert(ez_sql_table(kind));
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->each_row(store->db, kind, each, user, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

ez_status ez_store_each_change(ez_store *store, uint64_t after, uint64_t until, size_t limit, ez_store_change_fn *each,
                               void *user, ez_error *error) {
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->each_change(store->db, after, until, limit, each, user, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

ez_status ez_store_oldest_change(ez_store *store, uint64_t *out, ez_error *error) {
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->oldest_change(store->db, out, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

// By (kind, id), then by place in the group.
static int compare(const void *left, const void *right, void *user) {
    const ez_store_change *changes = user;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    if (changes[a].kind != changes[b].kind)
        return changes[a].kind < changes[b].kind ? -1 : 1;
    if (changes[a].id != changes[b].id)
        return changes[a].id < changes[b].id ? -1 : 1;
    return a < b ? -1 : a > b;
}

// Leaves the last change of each resource in indexes, ordered; returns how many.
static size_t find_latest(const ez_store_commit_group *group, uint32_t *indexes) {
    const ez_store_change *changes = group->changes;
    size_t kept = 0;
    for (uint32_t i = 0; i < group->change_count; i++)
        indexes[i] = i;
    qsort_r(indexes, group->change_count, sizeof *indexes, compare, (void *)(uintptr_t)changes);
    for (size_t i = 0; i < group->change_count; i++) {
        const ez_store_change *change = &changes[indexes[i]];
        const ez_store_change *next = i + 1 < group->change_count ? &changes[indexes[i + 1]] : NULL;
        if (!next || next->kind != change->kind || next->id != change->id)
            indexes[kept++] = indexes[i];
    }
    return kept;
}

static void check_group(const ez_store_commit_group *group) {
    assert(group->to >= group->from && group->to <= INT64_MAX);
    for (size_t i = 0; i < group->change_count; i++) {
        const ez_store_change *change = &group->changes[i];
        assert(change->n > group->from && change->n <= group->to && ez_sql_table(change->kind));
        assert(change->op == EZ__V1__OP__OP_PUT || change->op == EZ__V1__OP__OP_DELETE);
        (void)change;
    }
}

ez_status ez_store_commit(ez_store *store, const ez_store_commit_group *group, ez_error *error) {
    if (group->change_count > GROUP_MAX || group->audit_count > GROUP_MAX || group->idempotent_count > GROUP_MAX)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "CHANGE_TOO_LARGE",
                            "a commit of %zu changes is too large: split it", group->change_count);
    check_group(group);
    // Nearly every commit is small.
    uint32_t few[64];
    ez_autofree uint32_t *many = NULL;
    if (group->change_count > sizeof few / sizeof few[0]) {
        many = malloc(group->change_count * sizeof *many);
        if (!many)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for a commit of %zu changes",
                                group->change_count);
    }
    uint32_t *indexes = many ? many : few;
    size_t count = find_latest(group, indexes);
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->commit(store->db, group, indexes, count, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

ez_status ez_store_hold_head(ez_store *store, ez_error *error) {
    if (!ez_store_is_shared(store))
        return EZ_OK;
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->hold_head(store->db, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

void ez_store_release_head(ez_store *store) {
    if (!ez_store_is_shared(store))
        return;
    pthread_mutex_lock(&store->lock);
    store->backend->release_head(store->db);
    pthread_mutex_unlock(&store->lock);
}

ez_status ez_store_find_idempotent(ez_store *store, const uint8_t key[EZ_SHA256_LEN], ez_arena *arena,
                                   ez_store_idempotent *out, bool *found, ez_error *error) {
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->find_idempotent(store->db, key, arena, out, found, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

ez_status ez_store_trim(ez_store *store, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows,
                        bool *more, ez_error *error) {
    assert(max_rows);
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->trim(store->db, fence, keep_from, before_ns, max_rows, more, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

bool ez_store_is_shared(const ez_store *store) {
    return !store->backend->meter->has_one_writer;
}

static pthread_mutex_t *lease_lock(ez_store *store) {
    return ez_store_is_shared(store) ? &store->lease_lock : &store->lock;
}

ez_status ez_store_take_lease(ez_store *store, const char *holder, uint32_t ttl_ms, uint32_t timeout_ms,
                              ez_store_lease *out, ez_error *error) {
    assert(holder[0] && strlen(holder) < EZ_LEASE_HOLDER_MAX);
    pthread_mutex_lock(lease_lock(store));
    ez_status status = store->backend->take_lease(store->db, holder, ttl_ms, timeout_ms, out, error);
    pthread_mutex_unlock(lease_lock(store));
    return status;
}

ez_status ez_store_drop_lease(ez_store *store, const char *holder, uint32_t timeout_ms, ez_error *error) {
    pthread_mutex_lock(lease_lock(store));
    ez_status status = store->backend->drop_lease(store->db, holder, timeout_ms, error);
    pthread_mutex_unlock(lease_lock(store));
    return status;
}

ez_status ez_store_follow(ez_store *store, ez_store_changed_fn *changed, void *user, ez_error *error) {
    if (!ez_store_is_shared(store))
        return EZ_OK;
    pthread_mutex_lock(&store->lock);
    ez_status status = store->backend->follow(store->db, changed, user, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

void ez_store_unfollow(ez_store *store) {
    if (ez_store_is_shared(store))
        store->backend->unfollow(store->db);
}

ez_follows ez_store_follows(ez_store *store) {
    if (!ez_store_is_shared(store))
        return EZ_FOLLOWS_NOBODY;
    return store->backend->hears(store->db) ? EZ_FOLLOWS_BY_NOTIFY : EZ_FOLLOWS_BY_POLL;
}

ez_status ez_store_submit(ez_store *store, ez_query *query, ez_error *error) {
    return ez_store_pool_submit(store->pool, query, error);
}

ez_status ez_reader_each_audit(ez_reader *reader, const ez_audit_filter *filter, ez_store_audit_fn *each, void *user,
                               ez_error *error) {
    return reader->backend->reader_each_audit(reader->handle, filter, each, user, error);
}

ez_status ez_reader_each_change(ez_reader *reader, uint64_t after_n, uint32_t after_seq, size_t limit,
                                ez_store_change_fn *each, void *user, ez_error *error) {
    return reader->backend->reader_each_change(reader->handle, after_n, after_seq, limit, each, user, error);
}

ez_status ez_reader_oldest_change(ez_reader *reader, uint64_t *out, ez_error *error) {
    return reader->backend->reader_oldest_change(reader->handle, out, error);
}

ez_status ez_reader_ping(ez_reader *reader, ez_error *error) {
    return reader->backend->reader_ping(reader->handle, error);
}
