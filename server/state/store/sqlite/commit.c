// SPDX-License-Identifier: Apache-2.0
//
// Writing to SQLite: one immediate transaction per group, on the one connection that writes. The head is moved first,
// by an UPDATE that finds its row only where the group was built on it, so a group that came too late costs nothing.
//
// Awkward: after a failure SQLite may or may not have left the transaction by itself (it does where the disk is full);
// ez_sqlite_rollback looks. The counters as last written are remembered, so that most commits don't touch them; they
// are forgotten when a commit fails.
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "server/state/store/sqlite/db.h"

static ez_status move_head(ez_sqlite_conn *conn, const ez_store_commit_group *group, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_MOVE_HEAD, &statement, error);
    if (status)
        return status;
    const ez_store_audit *last = group->audit_count ? &group->audits[group->audit_count - 1] : NULL;
    sqlite3_bind_int64(statement, 1, ez_sql_n(group->to));
    sqlite3_bind_int64(statement, 2, last ? last->id + 1 : 0);
    if (last)
        ez_sqlite_bind_bytes(statement, 3, last->hash, EZ_SHA256_LEN);
    else
        sqlite3_bind_null(statement, 3);
    sqlite3_bind_int64(statement, 4, (int64_t)group->epoch);
    sqlite3_bind_int64(statement, 5, ez_sql_n(group->from));
    status = ez_sqlite_run(conn, statement, error);
    if (!status && sqlite3_changes(conn->db) != 1)
        status = ez_error_set(error, EZ_ABORTED, "HEAD_MOVED", "the store is no longer at revision %llu: read its head",
                              (unsigned long long)group->from);
    return status;
}

static ez_status put_changes(ez_sqlite_conn *conn, const ez_store_commit_group *group, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_CHANGE, &statement, error);
    for (size_t i = 0; !status && i < group->change_count; i++) {
        const ez_store_change *change = &group->changes[i];
        sqlite3_bind_int64(statement, 1, ez_sql_n(change->n));
        sqlite3_bind_int64(statement, 2, change->seq);
        sqlite3_bind_int(statement, 3, change->kind);
        sqlite3_bind_int64(statement, 4, change->id);
        sqlite3_bind_int(statement, 5, change->op);
        sqlite3_bind_int64(statement, 6, (int64_t)change->secret_version);
        sqlite3_bind_int64(statement, 7, change->time_ns);
        ez_sqlite_bind_bytes(statement, 8, change->data.data, change->data.len);
        ez_sqlite_bind_bytes(statement, 9, change->sealed.data, change->sealed.len);
        status = ez_sqlite_run(conn, statement, error);
    }
    return status;
}

static ez_status put_row(ez_sqlite_conn *conn, const ez_store_change *change, ez_error *error) {
    bool is_delete = change->op == EZ__V1__OP__OP_DELETE;
    ez_sqlite_slot slot = (is_delete ? EZ_SQLITE_DELETE_ROW : EZ_SQLITE_PUT_ROW) + (unsigned)change->kind;
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, slot, &statement, error);
    if (status)
        return status;
    sqlite3_bind_int64(statement, 1, change->id);
    if (!is_delete) {
        sqlite3_bind_int64(statement, 2, ez_sql_n(change->n));
        sqlite3_bind_int64(statement, 3, (int64_t)change->secret_version);
        ez_sqlite_bind_bytes(statement, 4, change->sealed.data, change->sealed.len);
        ez_sqlite_bind_bytes(statement, 5, change->data.data, change->data.len);
    }
    return ez_sqlite_run(conn, statement, error);
}

static ez_status put_idempotents(ez_sqlite_conn *conn, const ez_store_commit_group *group, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_PUT_IDEMPOTENT, &statement, error);
    for (size_t i = 0; !status && i < group->idempotent_count; i++) {
        const ez_store_idempotent *record = &group->idempotents[i];
        ez_sqlite_bind_bytes(statement, 1, record->key, EZ_SHA256_LEN);
        ez_sqlite_bind_bytes(statement, 2, record->request_hash, EZ_SHA256_LEN);
        sqlite3_bind_int64(statement, 3, ez_sql_n(record->revision));
        sqlite3_bind_int64(statement, 4, record->time_ns);
        ez_sqlite_bind_bytes(statement, 5, record->reply.data, record->reply.len);
        status = ez_sqlite_run(conn, statement, error);
    }
    return status;
}

static ez_status put_counters(ez_sqlite *store, const ez_store_commit_group *group, ez_error *error) {
    sqlite3_stmt *statement = NULL;
    ez_status status = ez_sqlite_kept(&store->conn, EZ_SQLITE_PUT_COUNTER, &statement, error);
    for (int kind = 1; !status && group->next_id && kind < EZ_KIND_COUNT; kind++) {
        if (group->next_id[kind] == store->next_id[kind])
            continue;
        sqlite3_bind_int(statement, 1, kind);
        sqlite3_bind_int64(statement, 2, group->next_id[kind]);
        status = ez_sqlite_run(&store->conn, statement, error);
    }
    return status;
}

ez_status ez_sqlite_commit(void *db, const ez_store_commit_group *group, const uint32_t *latest, size_t latest_count,
                           ez_error *error) {
    ez_sqlite *store = db;
    ez_sqlite_conn *conn = &store->conn;
    ez_status status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (!status)
        status = ez_sqlite_check_fence(conn, group->fence, error);
    if (!status)
        status = ez_sqlite_chain_audits(conn, group->audits, group->audit_count, error);
    if (!status)
        status = move_head(conn, group, error);
    if (!status)
        status = put_changes(conn, group, error);
    for (size_t i = 0; !status && i < latest_count; i++)
        status = put_row(conn, &group->changes[latest[i]], error);
    if (!status)
        status = ez_sqlite_put_audits(conn, group->audits, group->audit_count, error);
    if (!status)
        status = put_idempotents(conn, group, error);
    if (!status)
        status = put_counters(store, group, error);
    status = ez_sqlite_end(conn, status, error);
    if (status)
        memset(store->next_id, 0, sizeof store->next_id);
    else if (group->next_id)
        memcpy(store->next_id, group->next_id, sizeof store->next_id);
    ez_sqlite_forget_bindings(conn);
    return status;
}

static ez_status trim_changes(ez_sqlite_conn *conn, uint64_t keep_from, int64_t max_rows, bool *more, ez_error *error) {
    sqlite3_stmt *bound = NULL, *trim = NULL, *oldest = NULL;
    ez_status status = ez_sqlite_kept(conn, EZ_SQLITE_TRIM_BOUND, &bound, error);
    if (!status)
        status = ez_sqlite_kept(conn, EZ_SQLITE_TRIM_CHANGES, &trim, error);
    if (!status)
        status = ez_sqlite_kept(conn, EZ_SQLITE_TRIM_OLDEST, &oldest, error);
    if (status)
        return status;
    sqlite3_bind_int64(bound, 1, ez_sql_n(keep_from));
    sqlite3_bind_int64(bound, 2, max_rows);
    int code = sqlite3_step(bound);
    if (code != SQLITE_ROW)
        status = ez_sqlite_fail(conn, code, error);
    int64_t last = sqlite3_column_int64(bound, 0), count = sqlite3_column_int64(bound, 1);
    sqlite3_reset(bound);
    if (status || count == 0)
        return status;
    *more = *more || count == max_rows;
    sqlite3_bind_int64(trim, 1, ez_sql_n(keep_from));
    sqlite3_bind_int64(trim, 2, max_rows);
    status = ez_sqlite_run(conn, trim, error);
    sqlite3_bind_int64(oldest, 1, last + 1);
    return status ? status : ez_sqlite_run(conn, oldest, error);
}

static ez_status trim_idempotent(ez_sqlite_conn *conn, int64_t before_ns, int64_t max_rows, bool *more,
                                 ez_error *error) {
    const int64_t numbers[] = {before_ns, max_rows};
    ez_status status = ez_sqlite_run_numbers(conn, EZ_SQLITE_TRIM_IDEMPOTENT, numbers, 2, error);
    *more = *more || (!status && sqlite3_changes64(conn->db) == max_rows);
    return status;
}

ez_status ez_sqlite_trim(void *db, uint64_t fence, uint64_t keep_from, int64_t before_ns, size_t max_rows, bool *more,
                         ez_error *error) {
    ez_sqlite_conn *conn = &((ez_sqlite *)db)->conn;
    bool left = false;
    ez_status status = ez_sqlite_run_kept(conn, EZ_SQLITE_BEGIN, error);
    if (!status)
        status = ez_sqlite_check_fence(conn, fence, error);
    if (!status)
        status = trim_changes(conn, keep_from, ez_sql_n(max_rows), &left, error);
    if (!status)
        status = trim_idempotent(conn, before_ns, ez_sql_n(max_rows), &left, error);
    status = ez_sqlite_end(conn, status, error);
    if (!status)
        *more = left;
    return status;
}
