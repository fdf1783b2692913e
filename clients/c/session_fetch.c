// SPDX-License-Identifier: Apache-2.0
//
// Config.Fetch: deltas and snapshots, page by page. Owns nothing but the place it has come to, which is in the session.
// Awkward: a snapshot is not of one moment: while its pages are read, rows change. It counts as of its beginning, and
// the deltas from there put every row right; until these are in, the session stands nowhere and reports no digest.
#include <string.h>

#include "clients/c/session_private.h"
#include "ez/calls.h"
#include "ez/v1/config.pb-c.h"
#include "proto/runtime/log.h"

#define FETCH_TIMEOUT_MS 10000
#define FETCH_MAX_BYTES  (1u << 20)
#define PAGES_MAX        100000 // of one fetch; a server that never ends one is broken

void ez_fetch_reset(ez_session *session) {
    session->page_token[0] = '\0';
    session->pages = 0;
    session->in_snapshot = false;
}

static bool take_slot(ez_session *session) {
    ez_session_group *group = session->group;
    if (!session->has_fetch_slot && group->fetching < EZ_GROUP_FETCHES) {
        group->fetching++;
        session->has_fetch_slot = true;
    } else if (!session->has_fetch_slot && !session->is_queued) {
        session->is_queued = true;
        session->next_queued = NULL;
        if (group->queue_tail == NULL) {
            group->queue_head = session;
        } else {
            group->queue_tail->next_queued = session;
        }
        group->queue_tail = session;
    }
    return session->has_fetch_slot;
}

// The first of the queue that still wants a slot is run next.
static void wake_next(ez_session_group *group) {
    while (group->queue_head != NULL) {
        ez_session *next = group->queue_head;
        group->queue_head = next->next_queued;
        if (group->queue_head == NULL) {
            group->queue_tail = NULL;
        }
        next->is_queued = false;
        if (next->state == EZ_FOLLOW_FETCH && !next->has_fetch_slot) {
            pthread_mutex_lock(&group->mutex);
            ez_group_ready(group, next);
            pthread_mutex_unlock(&group->mutex);
            return;
        }
    }
}

static void release_slot(ez_session *session) {
    if (session->has_fetch_slot) {
        session->group->fetching--;
        session->has_fetch_slot = false;
        wake_next(session->group);
    }
}

void ez_fetch_leave(ez_session *session) {
    ez_session_group *group = session->group;
    if (session->is_queued) {
        ez_session *before = NULL;
        for (ez_session *at = group->queue_head; at != session; at = at->next_queued) {
            before = at;
        }
        if (before == NULL) {
            group->queue_head = session->next_queued;
        } else {
            before->next_queued = session->next_queued;
        }
        group->queue_tail = group->queue_tail == session ? before : group->queue_tail;
        session->is_queued = false;
    }
    release_slot(session);
}

bool ez_fetch_start(ez_session *session) {
    if (!take_slot(session)) {
        return false;
    }
    Ez__V1__Revision at = EZ__V1__REVISION__INIT;
    at.epoch = session->at.epoch;
    at.n = session->at.n;
    Ez__V1__FetchConfigRequest request = EZ__V1__FETCH_CONFIG_REQUEST__INIT;
    request.revision = session->at.epoch != 0 && !session->wants_snapshot ? &at : NULL;
    request.page_token = session->page_token;
    request.max_bytes = FETCH_MAX_BYTES;
    request.n_kinds = session->options.kind_count;
    request.kinds = session->options.kinds;
    // The session repeats it itself.
    const ez_call_options options = {
        .timeout_ms = FETCH_TIMEOUT_MS, .max_retries = -1, .authorization = session->token};
    static const char name[] = "ez.v1.Config/Fetch";
    const ez_method *method = ez_method_find(name, sizeof name - 1);
    if (!ez_session_call_start(session->main_call, session->client, method, &request.base, &options)) {
        release_slot(session);
        return false;
    }
    return true;
}

// What a failed fetch means for what was half fetched.
static ez_fetch_result take_failure(ez_session *session, ez_status status, const ez_error *error) {
    switch (status) {
    case EZ_FAILED_PRECONDITION:
    case EZ_UNAUTHENTICATED:
    case EZ_PERMISSION_DENIED:
        ez_fetch_reset(session);
        return EZ_FETCH_HELLO;
    case EZ_UNAVAILABLE:
    case EZ_RESOURCE_EXHAUSTED: // many of us fetch at once: beginning anew would only add to it
    case EZ_DEADLINE_EXCEEDED:
    case EZ_CANCELLED:
        return EZ_FETCH_AGAIN; // the same page
    default:
        // ABORTED: the snapshot's beginning is forgotten. INVALID_ARGUMENT: another server does not know our page.
        ez_log_debug("a fetch begins anew", "reason", error->message);
        ez_fetch_reset(session);
        return EZ_FETCH_AGAIN;
    }
}

static ez_fetch_result broken(ez_session *session, const char *what) {
    if (!session->saw_broken_page) {
        ez_log_warn("a reply to Config.Fetch can't be used; it is asked for again", "reason", what);
    }
    session->saw_broken_page = true;
    ez_fetch_reset(session);
    session->wants_snapshot = true;
    return EZ_FETCH_AGAIN;
}

static void begin_snapshot(ez_session *session, const ez_page *page) {
    session->in_snapshot = true;
    session->snapshot = session->snapshot == UINT16_MAX ? 1 : (uint16_t)(session->snapshot + 1);
    session->snapshot_from = page->from;
    session->at = (ez_session_revision){0};
    session->is_consistent = false;
}

// The first page of a fetch says what it is; the others must agree.
static bool accept_page(ez_session *session, const ez_page *page) {
    bool is_snapshot = page->mode == EZ__V1__FETCH_MODE__FETCH_MODE_SNAPSHOT;
    if (!is_snapshot && page->mode != EZ__V1__FETCH_MODE__FETCH_MODE_DELTA) {
        return false;
    }
    if (session->pages > 0) {
        return is_snapshot == session->in_snapshot && session->pages < PAGES_MAX;
    }
    if (is_snapshot) {
        begin_snapshot(session, page);
        return page->from.epoch != 0;
    }
    return page->from.epoch == session->at.epoch && page->from.n == session->at.n && page->to.epoch == page->from.epoch;
}

static bool apply_page(ez_session *session, ez_slice reply) {
    size_t at = 0;
    ez_change change;
    bool bad = false;
    while (ez_change_next(reply, 4, &at, &change, &bad)) {
        session->is_consistent = false;
        session->fetched += ez_apply_change(session, &change);
    }
    return !bad;
}

static ez_fetch_result end_fetch(ez_session *session, const ez_page *page) {
    bool was_snapshot = session->in_snapshot;
    ez_fetch_reset(session);
    if (was_snapshot) {
        ez_apply_sweep(session);
        session->at = session->snapshot_from;
        session->wants_snapshot = false;
        session->was_snapshot = true;
        session->snapshots++;
        session->cache.is_dirty = true;
        return EZ_FETCH_MORE; // the deltas since it was begun
    }
    bool moved = page->to.n != session->at.n;
    session->cache.is_dirty = session->cache.is_dirty || moved;
    session->at = page->to;
    session->is_consistent = true;
    session->saw_broken_page = false;
    session->fetches++;
    return EZ_FETCH_DONE;
}

ez_fetch_result ez_fetch_take(ez_session *session, ez_status status, const ez_error *error, ez_slice reply) {
    release_slot(session);
    if (status != EZ_OK) {
        return take_failure(session, status, error);
    }
    ez_page page;
    if (!ez_page_read(reply, &page) || page.next_page_token.len >= sizeof session->page_token) {
        return broken(session, "it can't be decoded");
    }
    if (!accept_page(session, &page)) {
        return broken(session, "it does not begin where we stand");
    }
    if (!apply_page(session, reply)) {
        return broken(session, "a change can't be decoded");
    }
    session->pages++;
    if (page.next_page_token.len > 0) {
        memcpy(session->page_token, page.next_page_token.data, page.next_page_token.len);
        session->page_token[page.next_page_token.len] = '\0';
        return EZ_FETCH_MORE;
    }
    return end_fetch(session, &page);
}
