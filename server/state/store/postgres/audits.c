// SPDX-License-Identifier: Apache-2.0
//
// Audit entries in PostgreSQL. Two connections of a server write them, the configuration's and the alerts', and other
// servers do: whoever chains entries holds the head's row locked. What this server knows to be the newest entry is kept
// beside, so that a commit need not read it first; the lock's answer says whether it was true.
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/audit_hash.h"
#include "server/state/store/postgres/audits.h"

void ez_pg_chain_init(ez_pg_chain *chain) {
    *chain = (ez_pg_chain){0};
    pthread_mutex_init(&chain->lock, NULL);
}

void ez_pg_chain_fini(ez_pg_chain *chain) {
    pthread_mutex_destroy(&chain->lock);
}

bool ez_pg_chain_known(ez_pg_chain *chain, ez_pg_chain_end *end) {
    pthread_mutex_lock(&chain->lock);
    *end = chain->end;
    pthread_mutex_unlock(&chain->lock);
    return end->next_id > 0;
}

void ez_pg_chain_note(ez_pg_chain *chain, const ez_store_head *head) {
    pthread_mutex_lock(&chain->lock);
    if (head->next_audit_id > chain->end.next_id) {
        chain->end.next_id = head->next_audit_id;
        memcpy(chain->end.newest, head->audit_hash, EZ_SHA256_LEN);
    }
    pthread_mutex_unlock(&chain->lock);
}

ez_status ez_pg_chain_take(ez_pg_chain *chain, const ez_pg_conn *conn, const PGresult *locked,
                           const ez_store_audit *first, bool *fits, ez_pg_chain_end *end, ez_error *error) {
    ez_status status = ez_pg_hash(conn, locked, 0, 3, end->newest, error);
    if (status)
        return status;
    end->next_id = ez_pg_int(locked, 0, 2);
    *fits = first->id == end->next_id && memcmp(first->previous_hash, end->newest, EZ_SHA256_LEN) == 0;
    pthread_mutex_lock(&chain->lock);
    chain->end = *end;
    pthread_mutex_unlock(&chain->lock);
    return EZ_OK;
}

void ez_pg_chain_audits(const ez_pg_chain_end *end, ez_store_audit *audits, size_t count) {
    ez_audit_chain(audits, count, end->next_id, end->newest);
}

void ez_pg_chain_settle(ez_pg_chain *chain, const ez_store_audit *audits, size_t count) {
    pthread_mutex_lock(&chain->lock);
    if (!audits) {
        chain->end.next_id = 0;
    } else if (count > 0 && audits[count - 1].id >= chain->end.next_id) {
        chain->end.next_id = audits[count - 1].id + 1;
        memcpy(chain->end.newest, audits[count - 1].hash, EZ_SHA256_LEN);
    }
    pthread_mutex_unlock(&chain->lock);
}

ez_status ez_pg_push_lock_head(ez_pg_attempt *try, ez_error *error) {
    ez_pg_params none = {0};
    return ez_pg_push(try, "SELECT epoch, n, next_audit_id, audit_hash FROM feed_head WHERE one = 1 FOR UPDATE", &none,
                      error);
}

ez_status ez_pg_push_audits(ez_pg_attempt *try, const ez_store_audit *audits, size_t count, ez_error *error) {
    static const char text[] =
        "INSERT INTO audit (id, time_ns, revision, actor, method, resource, request, request_id, remote, "
        "previous_hash, hash) SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::text[], "
        "$6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[])";
    ez_auto(ez_pg_arrays) arrays;
    ez_pg_arrays_init(&arrays, "iiittttttbb");
    ez_status status = EZ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        const ez_store_audit *audit = &audits[i];
        ez_pg_arrays_int(&arrays, audit->id);
        ez_pg_arrays_int(&arrays, audit->time_ns);
        ez_pg_arrays_int(&arrays, ez_sql_n(audit->revision));
        ez_pg_arrays_text(&arrays, audit->actor);
        ez_pg_arrays_text(&arrays, audit->method);
        ez_pg_arrays_text(&arrays, audit->resource);
        ez_pg_arrays_text(&arrays, audit->request);
        ez_pg_arrays_text(&arrays, audit->request_id);
        ez_pg_arrays_text(&arrays, audit->remote);
        ez_pg_arrays_bytes(&arrays, audit->previous_hash, EZ_SHA256_LEN);
        ez_pg_arrays_bytes(&arrays, audit->hash, EZ_SHA256_LEN);
        status = ez_pg_push_full(try, text, &arrays, error);
    }
    return status ? status : ez_pg_push_arrays(try, text, &arrays, error);
}
