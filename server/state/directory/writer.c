// SPDX-License-Identifier: Apache-2.0
//
// The writer's queue and thread. Writes wait in a list that is linked through themselves and belong to the writer until
// they are answered; the thread takes as many as one commit may hold and hands them to the group. The chores a tick
// asked for are done one bounded step at a time, when no change waits; under a load that never pauses, one step a
// second.
//
// Awkward: when the store stopped answering in the middle of a commit, what is durable is not known. The writer then
// refuses everything until the store's feed can be read again and has been caught up with.
#include "server/state/directory/writer.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/crypto/digest.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/state/directory/group.h"

#define TRIM_ROWS     1000
#define LOOK_MS       1000  // between looks for other servers' commits
#define CHORES_MS     1000  // chores that were put off so long come between two groups, whoever waits
#define TRIM_GRACE_MS 60000 // what this server no longer needs is kept that long for others

static ez_revision head_of(const ez_writer *writer) {
    return (ez_revision){writer->head.epoch, writer->head.n};
}

// ---- Taking writes from the queue

static void take_writes(ez_writer *writer) {
    writer->item_count = 0;
    while (writer->first && writer->item_count < EZ_GROUP_WRITES) {
        ez_write *write = writer->first;
        writer->first = write->next;
        writer->items[writer->item_count++] = (ez_group_item){.write = write};
    }
    if (!writer->first)
        writer->last = &writer->first;
    writer->waiting -= writer->item_count;
}

// The group had no room for these: they go first next time.
static void put_back(ez_writer *writer, size_t used, size_t taken) {
    pthread_mutex_lock(&writer->lock);
    for (size_t i = taken; i-- > used;) {
        ez_write *write = writer->items[i].write;
        write->next = writer->first;
        writer->first = write;
        if (!write->next)
            writer->last = &write->next;
        writer->waiting++;
    }
    pthread_mutex_unlock(&writer->lock);
}

static void refuse_all(ez_writer *writer) {
    ez_error error = EZ_ERROR_INIT;
    ez_error_set(&error, EZ_UNAVAILABLE, "STORE_UNAVAILABLE", "the store does not answer: try again later");
    for (size_t i = 0; i < writer->item_count; i++)
        ez_group_refuse(writer->items[i].write, &error, head_of(writer));
}

static void run_writes(ez_writer *writer) {
    if (atomic_load(&writer->is_broken)) {
        refuse_all(writer);
        return;
    }
    size_t taken = writer->item_count, used = 0;
    ez_group_run(writer, &used);
    if (used < taken)
        put_back(writer, used, taken);
}

// ---- Chores

static void owe_chores(ez_writer *writer) {
    if (!writer->has_chores)
        writer->chores_since_ms = ez_clock_mono_ms();
    writer->has_chores = true;
}

static void recover(ez_writer *writer) {
    ez_error error = EZ_ERROR_INIT;
    if (ez_writer_catch_up(writer, &error) != EZ_OK) {
        ez_log_warn("the store can't be followed yet", "error", error.message);
        return;
    }
    atomic_store(&writer->is_broken, false);
    ez_log_info("the store answers again: changes are accepted");
}

// False: the store did not answer when it was looked at last.
static bool look_for_others(ez_writer *writer) {
    uint64_t now = ez_clock_mono_ms();
    if (!ez_writer_has_others(writer))
        return true;
    if (now - writer->looked_ms < LOOK_MS)
        return atomic_load(&writer->followed_ms) >= writer->looked_ms;
    writer->looked_ms = now;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_writer_catch_up(writer, &error);
    if (status != EZ_OK)
        ez_log_warn("other servers' changes can't be read", "error", error.message);
    return status == EZ_OK;
}

// Changes that fell out of this server's feed may be news to another one: those wait a while before they are forgotten.
static uint64_t find_trim_from(ez_writer *writer) {
    uint64_t fallen = ez_feed_oldest(writer->options.feed) + 1;
    if (!ez_writer_has_others(writer))
        return fallen;
    uint64_t now = ez_clock_mono_ms();
    if (now >= writer->trim_next_ms) {
        writer->trim_from = writer->trim_next;
        writer->trim_next = fallen;
        writer->trim_next_ms = now + TRIM_GRACE_MS;
    }
    return writer->trim_from;
}

static void trim(ez_writer *writer) {
    uint64_t fence;
    if (!ez_holder_may(&writer->options.holder, &fence))
        return;
    uint64_t keep_from = writer->options.feed_keep ? find_trim_from(writer) : 0;
    int64_t before = ez_clock_wall_ns() - writer->options.idempotency_ns;
    ez_error error = EZ_ERROR_INIT;
    bool has_more = false;
    if (ez_store_trim(writer->options.store, fence, keep_from, before, TRIM_ROWS, &has_more, &error) != EZ_OK)
        ez_log_warn("old changes were not forgotten", "error", error.message);
    if (has_more)
        owe_chores(writer);
}

static void do_chores(ez_writer *writer) {
    writer->has_chores = false;
    if (atomic_load(&writer->is_broken)) {
        recover(writer);
        return;
    }
    if (look_for_others(writer)) // trimming waits for a store that is away, and changes for trimming
        trim(writer);
}

// A change that waits goes first, but not for ever: what is not forgotten fills the disk.
static bool has_time_for_chores(ez_writer *writer) {
    if (!writer->has_chores)
        return false;
    pthread_mutex_lock(&writer->lock);
    bool is_idle = !writer->first;
    pthread_mutex_unlock(&writer->lock);
    return is_idle || ez_clock_mono_ms() - writer->chores_since_ms >= CHORES_MS;
}

// ---- The thread

// Waits for something to do, and takes it. False where there is nothing left and the writer stops.
static bool wait_for_work(ez_writer *writer) {
    pthread_mutex_lock(&writer->lock);
    while (!writer->first && !writer->is_stopping && !writer->is_ticked && !writer->has_chores &&
           !ez_writer_owes_look(writer))
        pthread_cond_wait(&writer->wake, &writer->lock);
    take_writes(writer);
    if (writer->is_ticked)
        owe_chores(writer);
    writer->is_ticked = false;
    bool goes_on = writer->item_count > 0 || !writer->is_stopping;
    pthread_mutex_unlock(&writer->lock);
    return goes_on;
}

static void *run_thread(void *user) {
    ez_writer *writer = user;
    while (wait_for_work(writer)) {
        ez_writer_take_looks(writer);
        if (writer->item_count > 0)
            run_writes(writer);
        if (has_time_for_chores(writer))
            do_chores(writer);
    }
    return NULL;
}

static void init_locks(ez_writer *writer) {
    pthread_condattr_t monotonic;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->wake, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->looks.over, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void destroy_locks(ez_writer *writer) {
    pthread_cond_destroy(&writer->looks.over);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
}

ez_status ez_writer_create(const ez_writer_options *options, ez_writer **out, ez_error *error) {
    ez_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the writer");
    ez_status status = ez_overlay_create(options->directory, &writer->overlay, error);
    if (status != EZ_OK) {
        free(writer);
        return status;
    }
    writer->options = *options;
    writer->head = *options->head;
    writer->options.head = NULL; // the caller's: it may be gone once this returns
    writer->last = &writer->first;
    atomic_init(&writer->followed_ms, ez_clock_mono_ms());
    init_locks(writer);
    uint8_t digest[EZ_DIGEST_LEN];
    uint64_t rows;
    ez_directory_digest(options->directory, digest, &rows);
    ez_feed_note_digest(options->feed, digest);
    if (pthread_create(&writer->thread, NULL, run_thread, writer) != 0) {
        destroy_locks(writer);
        ez_overlay_destroy(writer->overlay);
        free(writer);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for the writer can be started");
    }
    *out = writer;
    return EZ_OK;
}

void ez_writer_stop(ez_writer *writer) {
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    bool was_stopping = writer->is_stopping;
    writer->is_stopping = true;
    pthread_cond_signal(&writer->wake);
    pthread_cond_broadcast(&writer->looks.over);
    pthread_mutex_unlock(&writer->lock);
    if (!was_stopping)
        pthread_join(writer->thread, NULL);
}

void ez_writer_destroy(ez_writer *writer) {
    if (!writer)
        return;
    ez_writer_stop(writer);
    destroy_locks(writer);
    ez_overlay_destroy(writer->overlay);
    free(writer);
}

static ez_status enqueue(ez_writer *writer, ez_write *write, ez_error *error) {
    if (writer->is_stopping)
        return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    if (atomic_load(&writer->is_broken))
        return ez_error_set(error, EZ_UNAVAILABLE, "STORE_UNAVAILABLE", "the store does not answer: try again later");
    if (writer->waiting >= writer->options.queue)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "WRITE_QUEUE_FULL",
                            "%zu changes are waiting already: try again", writer->waiting);
    write->next = NULL;
    *writer->last = write;
    writer->last = &write->next;
    writer->waiting++;
    pthread_cond_signal(&writer->wake);
    return EZ_OK;
}

ez_status ez_writer_submit(ez_writer *writer, ez_write *write, ez_error *error) {
    pthread_mutex_lock(&writer->lock);
    ez_status status = enqueue(writer, write, error);
    pthread_mutex_unlock(&writer->lock);
    return status;
}

void ez_writer_tick(ez_writer *writer) {
    pthread_mutex_lock(&writer->lock);
    writer->is_ticked = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
}

// ---- Waiting for one write

typedef struct waiting {
    ez_write write; // first: done gets its address
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
} waiting;

static void end_wait(ez_write *write) {
    waiting *wait = (waiting *)write;
    pthread_mutex_lock(&wait->lock);
    wait->is_over = true;
    pthread_cond_signal(&wait->over);
    pthread_mutex_unlock(&wait->lock);
}

ez_status ez_writer_run(ez_writer *writer, ez_call *call, ez_handler *run, void *self, ProtobufCMessage *request,
                        ez_error *error) {
    return ez_writer_run_fenced(writer, EZ_NO_FENCE, call, run, self, request, error);
}

ez_status ez_writer_run_fenced(ez_writer *writer, uint64_t fence, ez_call *call, ez_handler *run, void *self,
                               ProtobufCMessage *request, ez_error *error) {
    waiting wait = {
        .write = {.call = call, .run = run, .self = self, .request = request, .done = end_wait, .fence = fence},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .over = PTHREAD_COND_INITIALIZER};
    assert(!pthread_equal(pthread_self(), writer->thread));
    ez_status status = ez_writer_submit(writer, &wait.write, error);
    if (status != EZ_OK)
        return status;
    pthread_mutex_lock(&wait.lock);
    while (!wait.is_over)
        pthread_cond_wait(&wait.over, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    pthread_mutex_destroy(&wait.lock);
    pthread_cond_destroy(&wait.over);
    return wait.write.status == EZ_OK ? EZ_OK : ez_error_copy(error, &call->error);
}
