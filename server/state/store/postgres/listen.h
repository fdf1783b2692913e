// SPDX-License-Identifier: Apache-2.0
//
// Telling other servers of commits, and hearing of theirs, on a connection and a thread of its own. A hint in both
// directions: what is lost is found by whoever looks each second.
#pragma once

#include "server/state/store/postgres/db.h"

typedef struct ez_pg_listener ez_pg_listener;

// changed: as in ez_store_follow. url and where must outlive it.
ez_status ez_pg_listener_create(const char *url, const char *where, ez_store_changed_fn *changed, void *user,
                                ez_pg_listener **out, ez_error *error) EZ_MUST_CHECK;
// Ends the thread, within some seconds: changed is not called any more. It can still be told, in vain. NULL and a
// second time are fine.
void ez_pg_listener_stop(ez_pg_listener *listener);
void ez_pg_listener_destroy(ez_pg_listener *listener); // the same, and frees it
// This server committed revision n. Any thread; never blocks. NULL is fine.
void ez_pg_listener_tell(ez_pg_listener *listener, uint64_t n);
// Whether it hears of others.
bool ez_pg_listener_hears(const ez_pg_listener *listener);
