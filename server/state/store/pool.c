// SPDX-License-Identifier: Apache-2.0
//
// The store's reader threads. The pool owns the readers; a query belongs to whoever submitted it again from the moment
// its run is called: run may free it, so nothing here looks at a query after that.
#include "server/state/store/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct ez_store_pool {
    const ez_backend *backend;
    pthread_mutex_t lock;
    pthread_cond_t work;
    // Guarded by lock:
    ez_query *first, *last;
    unsigned waiting;
    bool stopping;
    // Only the thread that creates and destroys:
    unsigned reader_count, thread_count;
    struct seat {
        ez_store_pool *pool;
        ez_reader reader;
        pthread_t thread;
    } seats[];
};

// The next query, or NULL once the pool is stopping and the queue is empty.
static ez_query *take(ez_store_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->stopping)
        pthread_cond_wait(&pool->work, &pool->lock);
    ez_query *query = pool->first;
    if (query) {
        pool->first = query->next;
        pool->waiting--;
    }
    pthread_mutex_unlock(&pool->lock);
    return query;
}

static void *serve(void *argument) {
    struct seat *seat = argument;
    pthread_setname_np(pthread_self(), "ez-store-read");
    for (ez_query *query; (query = take(seat->pool));)
        query->run(query, &seat->reader);
    return NULL;
}

static ez_status start(ez_store_pool *pool, void *db, unsigned count, ez_error *error) {
    for (unsigned i = 0; i < count; i++) {
        struct seat *seat = &pool->seats[i];
        *seat = (struct seat){.pool = pool, .reader = {.backend = pool->backend}};
        ez_status status = pool->backend->open_reader(db, &seat->reader.handle, error);
        if (status)
            return status;
        pool->reader_count++;
        int code = pthread_create(&seat->thread, NULL, serve, seat);
        if (code)
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "can't start a reader thread: %s",
                                strerror(code));
        pool->thread_count++;
    }
    return EZ_OK;
}

ez_status ez_store_pool_create(const ez_backend *backend, void *db, unsigned count, ez_store_pool **out,
                               ez_error *error) {
    ez_store_pool *pool = calloc(1, sizeof *pool + count * sizeof pool->seats[0]);
    if (!pool)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the store's readers");
    pool->backend = backend;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    ez_status status = start(pool, db, count, error);
    if (status)
        ez_store_pool_destroy(pool);
    else
        *out = pool;
    return status;
}

void ez_store_pool_stop(ez_store_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->seats[i].thread, NULL);
    pool->thread_count = 0;
}

void ez_store_pool_destroy(ez_store_pool *pool) {
    if (!pool)
        return;
    ez_store_pool_stop(pool);
    for (unsigned i = 0; i < pool->reader_count; i++)
        pool->backend->close_reader(pool->seats[i].reader.handle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

ez_status ez_store_pool_submit(ez_store_pool *pool, ez_query *query, ez_error *error) {
    query->next = NULL;
    pthread_mutex_lock(&pool->lock);
    bool stopping = pool->stopping, full = pool->waiting >= EZ_STORE_QUEUE_MAX;
    if (!stopping && !full) {
        if (pool->first)
            pool->last->next = query;
        else
            pool->first = query;
        pool->last = query;
        pool->waiting++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    if (stopping)
        return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try another one, or later");
    if (full)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "QUERY_QUEUE_FULL",
                            "%d queries are waiting for the store: try again later", EZ_STORE_QUEUE_MAX);
    return EZ_OK;
}
