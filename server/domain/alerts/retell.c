// SPDX-License-Identifier: Apache-2.0
//
// One query at most is on its way. What it read is told on the reader's thread; where it failed, the next round is
// soon.
#include "server/domain/alerts/retell.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "proto/runtime/log.h"
#include "server/domain/alerts/inside.h"
#include "server/domain/alerts/open.h"

#define PAGE      200 // alerts between two ticks: a fifth of the notifier's inbox
#define ARENA_MAX (4u << 20)

struct ez_alert_reteller {
    ez_query query; // first: the query is the object
    ez_store *store;
    ez_alert_notifier *notifier;
    ez_holder holder;
    uint64_t due_ms;
    bool was_holder;
    // Handed over by is_running: the timer's while it is false, a reader's else.
    atomic_bool is_running;
    ez_open_place place;
    size_t told;
    bool more, failed;
};

static ez_status tell(void *user, const ez_alert_row *row, ez_error *error) {
    (void)error;
    ez_alert_reteller *self = user;
    ez_arena arena;
    ez_arena_init(&arena, ARENA_MAX);
    Ez__V1__Alert *alert = ez_alert_message(row, &arena);
    if (alert)
        ez_alert_notifier_note(self->notifier, "open", alert);
    ez_arena_fini(&arena);
    self->told++;
    return EZ_OK;
}

static void read_page(ez_query *query, ez_reader *reader) {
    ez_alert_reteller *self = (ez_alert_reteller *)query;
    ez_error error = EZ_ERROR_INIT;
    bool more = false;
    ez_status status = ez_alerts_open_page(reader, &self->place, PAGE, tell, self, &more, &error);
    self->failed = status != EZ_OK;
    self->more = !self->failed && more && self->told < EZ_RETELL_MAX;
    if (self->failed)
        ez_log_warn("open alerts could not be read; trying again", "reason", error.reason, "message", error.message);
    atomic_store(&self->is_running, false);
}

ez_status ez_alert_reteller_create(ez_store *store, ez_alert_notifier *notifier, ez_holder holder,
                                   ez_alert_reteller **out, ez_error *error) {
    ez_alert_reteller *self = calloc(1, sizeof *self);
    if (!self)
        return ez_no_memory(error);
    self->store = store;
    self->notifier = notifier;
    self->holder = holder;
    *out = self;
    return EZ_OK;
}

void ez_alert_reteller_destroy(ez_alert_reteller *reteller) {
    free(reteller);
}

// When a page is due, after what became of the one before; a round begins with its first.
static void plan(ez_alert_reteller *self, uint64_t now_ms) {
    bool is_holder = ez_holder_may(&self->holder, &(uint64_t){0});
    if (is_holder && (!self->was_holder || self->failed))
        self->due_ms = now_ms + EZ_RETELL_FIRST_MS;
    if (!self->was_holder || self->failed)
        self->more = false;
    self->was_holder = is_holder;
    self->failed = false;
}

void ez_alert_reteller_tick(ez_alert_reteller *self, uint64_t now_ms) {
    if (atomic_load(&self->is_running))
        return;
    plan(self, now_ms);
    if (!self->was_holder || (!self->more && now_ms < self->due_ms) ||
        !ez_alert_notifier_has_room(self->notifier, now_ms))
        return;
    if (!self->more) {
        self->place = (ez_open_place){0};
        self->told = 0;
        self->due_ms = now_ms + EZ_RETELL_EVERY_MS;
    }
    ez_error error = EZ_ERROR_INIT;
    self->query.run = read_page;
    atomic_store(&self->is_running, true);
    if (ez_store_submit(self->store, &self->query, &error) != EZ_OK) {
        self->failed = true;
        atomic_store(&self->is_running, false);
    }
}
