// SPDX-License-Identifier: Apache-2.0
//
// A writing transaction that is tried until it is known to be committed, to have failed for a reason that stays, or not
// to be known. The work is pipelines of statements, whose answers are looked at before COMMIT is sent: what happens
// before that can be tried again, what happens after it can't.
#pragma once

#include "server/state/store/postgres/arrays.h"

typedef struct ez_pg_attempt {
    ez_pg_conn *conn;
    uint64_t deadline;
    uint64_t limit_ms; // of the work, and of COMMIT
    unsigned sent;     // statements in the pipeline
    unsigned fence_at; // which of them reads the lease
    bool again;        // nothing was written, and another attempt may go better
} ez_pg_attempt;

// A transaction's statements, from BEGIN on and without COMMIT. Runs again for every attempt. An error rolls back.
typedef ez_status ez_pg_work_fn(void *user, ez_pg_attempt *try, ez_error *error);
// Looks at the answer to statement "at" of a pipeline; not called for one that failed, nor after it.
typedef ez_status ez_pg_answer_fn(void *user, unsigned at, const PGresult *result, ez_error *error);

// Within EZ_PG_COMMIT_MS and EZ_PG_ATTEMPTS. UNAVAILABLE (COMMIT_UNKNOWN), with *is_unknown, where the connection was
// lost around COMMIT; lost is the sentence that says what to do then.
ez_status ez_pg_transact(ez_pg_conn *conn, ez_pg_work_fn *work, void *user, const char *lost, bool *is_unknown,
                         ez_error *error) EZ_MUST_CHECK;

// The same within another time, once for the work and once for COMMIT.
ez_status ez_pg_transact_within(ez_pg_conn *conn, uint64_t limit_ms, ez_pg_work_fn *work, void *user, const char *lost,
                                bool *is_unknown, ez_error *error) EZ_MUST_CHECK;

// Enters pipeline mode with BEGIN and ez_pg_settings: statements 0 and 1; on a connection that is held with a
// SAVEPOINT. What must not race is locked before it is read, so READ COMMITTED is enough; where the database's default
// is stricter, the loser of a race is tried again.
ez_status ez_pg_begin(ez_pg_attempt *try, ez_error *error) EZ_MUST_CHECK;
// Enters pipeline mode again, in the same transaction.
ez_status ez_pg_resume(ez_pg_attempt *try, ez_error *error) EZ_MUST_CHECK;
// Small statements leave together, with the first large one or at the end of the pipeline; what is large leaves at
// once, so that libpq never holds more than one of them.
ez_status ez_pg_push(ez_pg_attempt *try, const char *text, const ez_pg_params *params, ez_error *error) EZ_MUST_CHECK;
// Sends what the arrays hold, if anything, and empties them; _full: only where they are full.
ez_status ez_pg_push_arrays(ez_pg_attempt *try, const char *text, ez_pg_arrays *arrays, ez_error *error) EZ_MUST_CHECK;
ez_status ez_pg_push_full(ez_pg_attempt *try, const char *text, ez_pg_arrays *arrays, ez_error *error) EZ_MUST_CHECK;
// ---- lease.c
#define EZ_PG_NO_STATEMENT UINT32_MAX
// Has the pipeline read the lease's row, and hold it until the transaction ends, where there is a fence.
ez_status ez_pg_push_fence(ez_pg_attempt *try, uint64_t fence, ez_error *error) EZ_MUST_CHECK;
// For that pipeline's ez_pg_answer_fn: ABORTED (LEASE_LOST) where the fence is stale.
ez_status ez_pg_check_fence(const ez_pg_attempt *try, unsigned at, const PGresult *result,
                            ez_error *error) EZ_MUST_CHECK;

// Ends the pipeline: reads an answer for each statement, hands them on, leaves pipeline mode. answer may be NULL.
ez_status ez_pg_collect(ez_pg_attempt *try, ez_pg_answer_fn *answer, void *user, ez_error *error) EZ_MUST_CHECK;
