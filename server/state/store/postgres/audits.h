// SPDX-License-Identifier: Apache-2.0
//
// Writing audit entries to PostgreSQL, by two connections of one server and by several servers.
#pragma once

#include "server/state/store/postgres/attempt.h"

// The head, locked until the transaction ends: epoch, n, next_audit_id, audit_hash.
ez_status ez_pg_push_lock_head(ez_pg_attempt *try, ez_error *error) EZ_MUST_CHECK;
ez_status ez_pg_push_audits(ez_pg_attempt *try, const ez_store_audit *audits, size_t count,
                            ez_error *error) EZ_MUST_CHECK;

// What the lock's answer says. *fits: an entry that was chained before goes there.
ez_status ez_pg_chain_take(ez_pg_chain *chain, const ez_pg_conn *conn, const PGresult *locked,
                           const ez_store_audit *first, bool *fits, ez_pg_chain_end *end,
                           ez_error *error) EZ_MUST_CHECK;
// What is believed, to be compared with the lock's answer before it is committed. False: nothing.
bool ez_pg_chain_known(ez_pg_chain *chain, ez_pg_chain_end *end);
void ez_pg_chain_audits(const ez_pg_chain_end *end, ez_store_audit *audits, size_t count);
// After the transaction: with its entries where it was committed, NULL where it was not.
void ez_pg_chain_settle(ez_pg_chain *chain, const ez_store_audit *audits, size_t count);
// The head was read, not locked: a hint like the rest.
void ez_pg_chain_note(ez_pg_chain *chain, const ez_store_head *head);
void ez_pg_chain_init(ez_pg_chain *chain);
void ez_pg_chain_fini(ez_pg_chain *chain);
