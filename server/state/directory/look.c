// SPDX-License-Identifier: Apache-2.0
//
// Looks for other servers' commits that somebody waits for, or that there is a hint of. Each is numbered; one that the
// thread begins stands for all that were asked for until then.
#include <errno.h>
#include <time.h>

#include "proto/runtime/clock.h"
#include "server/state/directory/group.h"

#define FOLLOWS_MS 3000 // a look that went well is good for so long; there is one each second

bool ez_writer_has_others(const ez_writer *writer) {
    return ez_store_is_shared(writer->options.store);
}

bool ez_writer_owes_look(const ez_writer *writer) {
    return writer->looks.asked > writer->looks.ended;
}

void ez_writer_take_looks(ez_writer *writer) {
    pthread_mutex_lock(&writer->lock);
    uint64_t asked = writer->looks.asked;
    bool is_owed = ez_writer_owes_look(writer);
    pthread_mutex_unlock(&writer->lock);
    if (!is_owed)
        return;
    ez_error error = EZ_ERROR_INIT;
    bool failed = atomic_load(&writer->is_broken) || ez_writer_catch_up(writer, &error) != EZ_OK;
    pthread_mutex_lock(&writer->lock);
    writer->looks.ended = asked;
    if (failed)
        writer->looks.failed = asked;
    pthread_cond_broadcast(&writer->looks.over);
    pthread_mutex_unlock(&writer->lock);
}

bool ez_writer_look(ez_writer *writer, uint64_t timeout_ms) {
    if (!ez_writer_has_others(writer))
        return true;
    uint64_t until_ms = ez_clock_mono_ms() + timeout_ms;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&writer->lock);
    uint64_t mine = writer->is_stopping ? UINT64_MAX : ++writer->looks.asked;
    pthread_cond_signal(&writer->wake);
    while (writer->looks.ended < mine && !writer->is_stopping &&
           pthread_cond_timedwait(&writer->looks.over, &writer->lock, &until) != ETIMEDOUT) {
    }
    bool is_done = writer->looks.ended >= mine && writer->looks.failed < mine;
    pthread_mutex_unlock(&writer->lock);
    return is_done;
}

bool ez_writer_follows(const ez_writer *writer) {
    uint64_t followed_ms = atomic_load(&writer->followed_ms);
    return !ez_writer_has_others(writer) || ez_clock_mono_ms() < followed_ms + FOLLOWS_MS;
}

void ez_writer_hint(void *user, uint64_t n) {
    ez_writer *writer = user;
    if (!ez_writer_has_others(writer) || (n > 0 && ez_feed_head(writer->options.feed).n >= n))
        return;
    pthread_mutex_lock(&writer->lock);
    if (!writer->is_stopping) {
        writer->looks.asked++; // also where one is under way: it may have read the head already
        pthread_cond_signal(&writer->wake);
    }
    pthread_mutex_unlock(&writer->lock);
}
