// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "ez/handlers.h"
#include "server/domain/alerts/alerts.h"
#include "server/state/directory/edit.h"

#define COOLDOWN_NS (300 * INT64_C(1000000000)) // domain.md: from last_seen_at

// A raise or a clear on its way.
typedef struct ez_raise ez_raise;

struct ez_alerts {
    ez_alerts_options options;
    ez_appender *appender;
    atomic_uint_fast64_t dropped;
    atomic_bool is_dropping; // and it was logged
    atomic_bool is_stopping;
    atomic_size_t on_way; // raises and clears that were handed over and are not over

    pthread_mutex_t lock; // held while submitting: the appender's own lock is taken within
    ez_raise *again;      // guarded: those that the store did not take, and all after them, in the order of the raises
    size_t again_count;   // guarded
    uint64_t last_order;  // guarded: of raises

    // The appender's thread.
    uint64_t trim_ms; // monotonic: when forgetting begins again
    bool is_trimming;
    uint64_t dropped_then, quiet_ms; // how many, and when the loss of more is news
};

// ---- op.c
// What a report asks of the store, its texts checked and in the arena. NULL texts are empty ones. INVALID_ARGUMENT is
// the schema's business: what is too long here is cut.
ez_status ez_alert_op_fill(const ez_alerts *self, const ez_alert_report *report, ez_arena *arena, ez_alert_op *out,
                           ez_error *error) EZ_MUST_CHECK;
// The fingerprint of a subject, in the arena; title tells apart custom alerts that are about nothing. NULL: no memory.
const char *ez_alert_fingerprint(const ez_alert_subject *subject, const char *title, ez_arena *arena) EZ_MUST_CHECK;

// ---- message.c
// NULL where there is no memory.
Ez__V1__Alert *ez_alert_message(const ez_alert_row *row, ez_arena *arena) EZ_MUST_CHECK;

// ---- tell.c
// Publishes what became of an op's alert, and tells the listener. After the commit.
void ez_alerts_tell(ez_alerts *self, const ez_alert_op *op, ez_arena *arena);

// ---- alerts.c
// A report found no room. On the appender's thread.
void ez_alerts_trim_soon(ez_alerts *self);

// ---- raise.c
// Submits again what the store did not take. From the chore.
void ez_raises_try_again(ez_alerts *self);
void ez_raises_destroy(ez_alerts *self);
