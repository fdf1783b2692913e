// SPDX-License-Identifier: Apache-2.0
//
// The thread: connect, see what is due, do one step, say how far it is, wait. What goes wrong with Redis closes the
// connection and is tried again after a pause that grows up to EZ_SYNC_OUTBOX_INTERVAL; nothing is lost meanwhile,
// since what is due is what lies behind the cursor.
//
// The awkward case: whether this server is the one that writes is asked before every step, but may change right after.
// So each batch carries the token, and Redis refuses one that is older than the last it saw.
#include "server/domain/redis/redis.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/crypto/random.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "server/domain/redis/inside.h"

#define RETRY_MIN_MS 100

// ---- The pause after a failure

static void fail_link(ez_redis *r, const ez_error *error) {
    ez_redis_link_destroy(r->link);
    r->link = NULL;
    ez_batch_reset(&r->batch);
    uint64_t pause = RETRY_MIN_MS;
    for (unsigned i = 0; i < r->failures_in_a_row && pause < (uint64_t)r->options.interval_ms; i++)
        pause *= 2;
    pause = pause < (uint64_t)r->options.interval_ms ? pause : (uint64_t)r->options.interval_ms;
    uint16_t dice = 0;
    if (ez_random(&dice, sizeof dice) != EZ_OK)
        dice = 0;
    pause = pause - pause / 5 + pause / 5 * 2 * dice / UINT16_MAX;
    r->retry_ms = ez_clock_mono_ms() + pause;
    r->failures_in_a_row++;
    // It answers, and would not do what it was asked.
    static const char *const answers[] = {"REDIS_REFUSED", "REDIS_FULL", "REDIS_AHEAD", "REDIS_CONTENDED"};
    r->is_answering = false;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        r->is_answering = r->is_answering || strcmp(error->reason, answers[i]) == 0;
    atomic_fetch_add(&r->failures, 1);
    r->is_persist_due = r->is_persist_due || r->failures_in_a_row == 1;
    ez_state_note_error(r, error);
    if (r->failures_in_a_row == (unsigned)r->options.max_tries) {
        ez_log_error("Redis is away; what is due stays due", "since tries", EZ_LOG_INT(r->failures_in_a_row), "why",
                     error->message);
        r->is_well = false;
        if (r->options.failed)
            r->options.failed(r->options.failed_user, "redis");
    }
}

static void forget_errors(ez_redis *r) {
    if (r->failures_in_a_row > 0) {
        ez_log_info("Redis answers again");
        r->is_persist_due = true;
    }
    r->failures_in_a_row = 0;
}

static void tell_well(ez_redis *r) {
    if (r->is_well || r->rebuild.phase != EZ_PHASE_NONE || ez_unsent_parked(&r->due) > 0)
        return;
    r->is_well = true;
    if (r->options.healed)
        r->options.healed(r->options.failed_user);
}

// ---- One step

static ez_status connect_link(ez_redis *r, ez_error *error) {
    ez_redis_link_options options = {.url = &r->url, .ca_file = r->options.ca_file, .wake_fd = r->stop_fd};
    ez_status status = ez_redis_link_create(&options, &r->link, error);
    if (status == EZ_OK)
        r->look_ms = 0;
    if (status == EZ_OK && r->rebuild.phase == EZ_PHASE_SWEEP)
        ez_rebuild_scan_anew(r);
    return status;
}

// Notices where Redis was emptied while nothing changed, or went away while a rebuild waits.
static ez_status look(ez_redis *r, bool *asked, ez_error *error) {
    uint64_t now = ez_clock_mono_ms();
    if (now < r->look_ms)
        return EZ_OK;
    r->look_ms = now + TICK_MS;
    *asked = true;
    return r->rebuild.phase == EZ_PHASE_CLAIM ? ez_trip_ping(r, error) : ez_trip_look(r, error);
}

static ez_status step(ez_redis *r, bool *worked, bool *asked, ez_error *error) {
    ez_status status = look(r, asked, error);
    if (status != EZ_OK || ez_rebuild_waits(r))
        return status;
    *asked = true;
    if (status == EZ_OK && r->rebuild.phase != EZ_PHASE_NONE) {
        status = ez_rebuild_step(r, error);
        *worked = ez_rebuild_is_running(r);
    }
    if (status == EZ_OK && ez_rebuild_lets_follow(r))
        status = ez_follow(r, worked, error);
    if (status == EZ_OK && r->rebuild.phase == EZ_PHASE_NONE)
        status = ez_follow_due(r, worked, error);
    return status;
}

// True: there is more to do at once.
static bool work(ez_redis *r) {
    ez_error error = EZ_ERROR_INIT;
    bool worked = false;
    bool asked = !r->link;
    if (!r->link && ez_clock_mono_ms() < r->retry_ms)
        return false;
    ez_status status = r->link ? EZ_OK : connect_link(r, &error);
    if (status == EZ_OK)
        status = step(r, &worked, &asked, &error);
    if (status != EZ_OK && strcmp(error.reason, "STOPPING") == 0)
        return false;
    if (status == EZ_OK && asked) {
        r->is_answering = true;
        forget_errors(r);
        tell_well(r);
    } else if (status == EZ_OK) {
        worked = false;
    } else if (status == EZ_DATA_LOSS) {
        ez_state_note_error(r, &error);
        ez_rebuild_ask(r, error.message, false);
        worked = true;
    } else if (status == EZ_ABORTED) {
        r->token = 0; // asked anew
        ez_state_note_error(r, &error);
        fail_link(r, &error);
    } else {
        fail_link(r, &error);
    }
    return worked && status == EZ_OK;
}

// ---- Who writes

static bool take_office(ez_redis *r) {
    uint64_t token = 0;
    bool is_holder = r->options.is_holder(r->options.holder_user, &token) && token > 0;
    if (is_holder && token == r->token)
        return true;
    if (r->token != 0 || !is_holder) {
        ez_redis_link_destroy(r->link);
        r->link = NULL;
    }
    r->token = 0;
    r->is_well = false;
    if (!is_holder) {
        ez_extras_forget(&r->extras);
        return false;
    }
    ez_error error = EZ_ERROR_INIT;
    if (ez_state_load(r, &error) != EZ_OK) {
        ez_log_warn("how far Redis is can't be read from the store", "why", error.message);
        return false;
    }
    r->token = token;
    return true;
}

static void save(ez_redis *r, bool now) {
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_state_save(r, now, &error);
    if (status == EZ_OK)
        return;
    ez_log_warn("how far Redis is can't be written to the store", "why", error.message);
    if (status == EZ_ABORTED)
        r->token = 0;
}

// ---- Waiting

// When there is something to do though nobody wakes us, at most a tick from now.
static int pause_ms(const ez_redis *r) {
    uint64_t now = ez_clock_mono_ms(), at = now + TICK_MS, next = at;
    if (r->token && !r->link) {
        next = r->retry_ms;
    } else if (r->token && r->rebuild.phase == EZ_PHASE_CLAIM) {
        next = ez_rebuild_waits(r) ? r->rebuild.not_before : now;
    } else if (r->token && r->rebuild.phase == EZ_PHASE_NONE) { // else what is due waits for the rebuild
        int64_t due_ms = (ez_unsent_next_ns(&r->due) - ez_clock_wall_ns()) / NS_PER_MS;
        next = due_ms < TICK_MS ? now + (due_ms > 0 ? (uint64_t)due_ms : 0) : at;
    }
    at = next < at ? next : at;
    return (int)(at > now ? at - now : 0) + 1;
}

// Waits until there is something to do; true: to end.
static bool is_stopping(ez_redis *r, int wait_ms) {
    // While Redis is away, or a rebuild waits, commits wake nobody: the pause is kept.
    bool is_deaf = wait_ms > 0 && (!r->link || ez_rebuild_waits(r));
    struct pollfd fds[3] = {{.fd = r->stop_fd, .events = POLLIN},
                            {.fd = is_deaf ? -1 : r->wake_fd, .events = POLLIN},
                            {.fd = r->link ? ez_redis_link_fd(r->link) : -1, .events = POLLIN}};
    int ready = poll(fds, 3, wait_ms);
    uint64_t count;
    if (ready > 0 && fds[1].revents && read(r->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        ez_log_warn("the wake-up of Redis's thread can't be read");
    if (ready > 0 && fds[2].revents)
        r->look_ms = 0; // it was closed: find out
    return ready > 0 && fds[0].revents != 0;
}

static void *run(void *user) {
    ez_redis *r = user;
    int wait_ms = 0;
    while (!is_stopping(r, wait_ms)) {
        if (!take_office(r)) {
            ez_state_show_others(r);
            wait_ms = TICK_MS;
            continue;
        }
        bool more = work(r);
        ez_state_show(r);
        save(r, false);
        wait_ms = more ? 0 : pause_ms(r);
    }
    if (r->token)
        save(r, true);
    ez_redis_link_destroy(r->link);
    r->link = NULL;
    return NULL;
}

// ---- From outside

static void wake(void *user) {
    uint64_t one = 1;
    ez_redis *r = user;
    // Full means that it was woken already.
    if (write(r->wake_fd, &one, sizeof one) < 0)
        return;
}

ez_status ez_redis_read_interval(const char *text, int64_t *out_ms, ez_error *error) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
    char *end = NULL;
    long long number = text && text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : 0;
    for (size_t i = 0; number > 0 && number <= 3600000 && i < sizeof units / sizeof units[0]; i++) {
        int64_t ms = number * units[i].ms;
        if (strcmp(end, units[i].unit) == 0 && ms >= 10 && ms <= 3600000) {
            *out_ms = ms;
            return EZ_OK;
        }
    }
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "INTERVAL",
                        "EZ_SYNC_OUTBOX_INTERVAL is a time from 10ms to 60m, like 5s or 500ms");
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to write to Redis");
}

static ez_status check_prefix(const char *prefix, ez_error *error) {
    if (strlen(prefix) <= 128)
        return EZ_OK;
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "REDIS_PREFIX", "EZ_REDIS_PREFIX is longer than 128 bytes");
}

static ez_status open_parts(ez_redis *r, ez_error *error) {
    r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->prefix = strdup(r->options.prefix ? r->options.prefix : "");
    r->units = malloc(EZ_BATCH_UNITS * sizeof *r->units);
    r->was = malloc(EZ_BATCH_UNITS * sizeof *r->was);
    r->extras.units = malloc(EZ_REDIS_EXTRAS * sizeof *r->extras.units);
    if (r->stop_fd < 0 || r->wake_fd < 0 || !r->prefix || !r->units || !r->was || !r->extras.units)
        return no_memory(error);
    ez_status status = check_prefix(r->prefix, error);
    if (status == EZ_OK)
        status = ez_batch_init(&r->batch, r->options.directory, r->prefix, error);
    if (status != EZ_OK || !r->options.refresh)
        return status;
    ez_refresher_options refresher = {.url = &r->url,
                                      .prefix = r->prefix,
                                      .ca_file = r->options.ca_file,
                                      .stop_fd = r->stop_fd,
                                      .is_holder = r->options.is_holder,
                                      .holder_user = r->options.holder_user,
                                      .refresh = r->options.refresh,
                                      .refresh_user = r->options.refresh_user};
    return ez_refresher_create(&refresher, &r->refresher, error);
}

ez_status ez_redis_create(const ez_redis_options *options, ez_redis **out, ez_error *error) {
    ez_redis *r = calloc(1, sizeof *r);
    if (!r)
        return no_memory(error);
    r->options = *options;
    r->stop_fd = r->wake_fd = -1;
    r->refresh_waiting = r->view.refresh_waiting = -1;
    pthread_mutex_init(&r->view_lock, NULL);
    pthread_mutex_init(&r->extras.lock, NULL);
    ez_unsent_init(&r->due, options->interval_ms * NS_PER_MS, (uint32_t)options->max_tries);
    r->is_on = options->url && options->url[0];
    ez_status status = r->is_on ? ez_redis_url_parse(options->url, &r->url, error) : EZ_OK;
    if (status == EZ_OK && r->is_on)
        status = open_parts(r, error);
    if (status != EZ_OK) {
        ez_redis_destroy(r);
        return status;
    }
    r->options.url = NULL; // its parts are ours; it is the caller's
    *out = r;
    return EZ_OK;
}

ez_status ez_redis_start(ez_redis *r, ez_error *error) {
    if (!r->is_on)
        return EZ_OK;
    r->watcher = (ez_feed_watcher){.take = ez_extras_take, .told = wake, .user = r};
    ez_feed_watch(r->options.feed, &r->watcher);
    if (pthread_create(&r->thread, NULL, run, r) != 0)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_THREAD", "no thread for Redis");
    r->is_started = true;
    return EZ_OK;
}

void ez_redis_stop(ez_redis *r) {
    if (!r || !r->is_on)
        return;
    uint64_t one = 1;
    if (r->is_started) {
        if (write(r->stop_fd, &one, sizeof one) < 0)
            ez_log_warn("Redis's thread can't be told to end");
        pthread_join(r->thread, NULL);
    }
    r->is_started = false;
    ez_refresher_stop(r->refresher);
}

void ez_redis_destroy(ez_redis *r) {
    if (!r)
        return;
    ez_redis_stop(r);
    if (r->watcher.take)
        ez_feed_watch(r->options.feed, NULL);
    ez_refresher_destroy(r->refresher);
    ez_batch_fini(&r->batch);
    ez_unsent_fini(&r->due);
    free(r->extras.units);
    free(r->units);
    free(r->was);
    free(r->prefix);
    if (r->stop_fd >= 0)
        close(r->stop_fd);
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    pthread_mutex_destroy(&r->view_lock);
    pthread_mutex_destroy(&r->extras.lock);
    ez_wipe(&r->url, sizeof r->url);
    free(r);
}
