// SPDX-License-Identifier: Apache-2.0
//
// Alerts as the store has them, by page: for who must know of those that came before it.
#pragma once

#include "server/state/store/alerts.h"

// What is wanted, and where reading goes on; zeros: all, from the beginning.
typedef struct ez_open_place {
    int32_t type;     // 0: any
    int64_t since_ns; // last seen then or later; 0: any
    int32_t status;
    int64_t before_id;
} ez_open_place;

// One page of at most limit alerts, active ones first, each newest first. *more: there may be others, behind *place.
// On a reader's thread. Errors: those of ez_reader_each_alert.
ez_status ez_alerts_open_page(ez_reader *reader, ez_open_place *place, size_t limit, ez_alert_fn *each, void *user,
                              bool *more, ez_error *error) EZ_MUST_CHECK;
// The same of closed ones, those that were resolved first.
ez_status ez_alerts_closed_page(ez_reader *reader, ez_open_place *place, size_t limit, ez_alert_fn *each, void *user,
                                bool *more, ez_error *error) EZ_MUST_CHECK;

typedef ez_status ez_alerts_page_fn(ez_reader *reader, ez_open_place *place, size_t limit, ez_alert_fn *each,
                                    void *user, bool *more, ez_error *error);
#define EZ_ALERTS_READ_MAX 10000 // of one reading, the newest

// Page by page, by one of the two above, until there are no more or EZ_ALERTS_READ_MAX were given.
ez_status ez_alerts_read_all(ez_reader *reader, ez_alerts_page_fn *page, ez_open_place place, ez_alert_fn *each,
                             void *user, ez_error *error) EZ_MUST_CHECK;

// Whether its fingerprint is the one that its type and what it is about make.
bool ez_alert_is_by_subject(const ez_alert_row *row);
