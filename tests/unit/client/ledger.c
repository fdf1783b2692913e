// SPDX-License-Identifier: Apache-2.0
//
// Marks and sums per batch, so that going back can take them away again. The plane calls the handler with its mutex
// held; the book has one of its own, for the test's thread.
#include "tests/unit/client/ledger.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/log.pb-c.h"
#include "ez/v1/usage.pb-c.h"

typedef struct taken {
    bool is_logs, is_gone, is_forgotten;
    uint64_t epoch, sequence;
    ledger_sums sums;
} taken;

struct ledger {
    fake_plane *plane;
    pthread_mutex_t mutex;
    ledger_call calls[LEDGER_CALLS_MAX];
    taken taken[LEDGER_CALLS_MAX];
    unsigned call_count, taken_count;
    int64_t refused_key;
};

static uint64_t mark_of(const ledger *book, bool is_logs, uint64_t epoch) {
    uint64_t mark = 0;
    for (unsigned i = 0; i < book->taken_count; i++) {
        const taken *t = &book->taken[i];
        if (t->is_logs == is_logs && t->epoch == epoch && !t->is_gone && !t->is_forgotten && t->sequence > mark) {
            mark = t->sequence;
        }
    }
    return mark;
}

// Whether the batch is to be added; else out says what becomes of it.
static bool judge(ledger *book, ledger_call *call, plane_answer *out) {
    uint64_t mark = mark_of(book, call->is_logs, call->epoch);
    call->is_repeat = call->sequence <= mark;
    if (call->sequence > mark + 1) {
        out->code = EZ_OUT_OF_RANGE;
        out->reason = "SEQUENCE_GAP";
        snprintf(out->message, sizeof out->message, "sequence %" PRIu64 " comes too early: %" PRIu64 " is expected",
                 call->sequence, mark + 1);
    }
    return out->code == EZ_OK && !call->is_repeat;
}

static void keep(ledger *book, const ledger_call *call, const ledger_sums *sums) {
    cr_assert_lt(book->taken_count, LEDGER_CALLS_MAX);
    book->taken[book->taken_count++] =
        (taken){.is_logs = call->is_logs, .epoch = call->epoch, .sequence = call->sequence, .sums = *sums};
}

static void take_usage(ledger *book, ez_slice message, ledger_call *call, plane_answer *out) {
    Ez__V1__FlushUsageRequest *request = ez__v1__flush_usage_request__unpack(NULL, message.len, message.data);
    cr_assert_not_null(request);
    ledger_sums sums = {.masterless = request->n_keys > 0 && request->n_masters == 0};
    call->epoch = request->epoch;
    call->sequence = request->sequence;
    call->rows = (unsigned)(request->n_keys + request->n_api_keys + request->n_masters);
    for (size_t i = 0; i < request->n_keys; i++) {
        const Ez__V1__KeyUsage *key = request->keys[i];
        sums.key_requests += key->requests;
        sums.key_tokens += key->tokens_in + key->tokens_out;
        sums.quota_used += key->quota_used;
        if (key->id == book->refused_key) {
            out->code = EZ_INVALID_ARGUMENT;
            out->reason = "FIELD_INVALID";
        }
    }
    for (size_t i = 0; i < request->n_api_keys; i++) {
        sums.api_key_requests += request->api_keys[i]->requests;
        sums.api_key_success += request->api_keys[i]->success;
    }
    for (size_t i = 0; i < request->n_masters; i++) {
        sums.master_requests += request->masters[i]->requests;
    }
    ez__v1__flush_usage_request__free_unpacked(request, NULL);
    if (judge(book, call, out)) {
        keep(book, call, &sums);
    }
    Ez__V1__FlushUsageResponse reply = EZ__V1__FLUSH_USAGE_RESPONSE__INIT;
    reply.repeated = call->is_repeat;
    cr_assert_eq(ez_buf_pack(&out->body, &reply.base), EZ_OK);
}

static void take_logs(ledger *book, ez_slice message, ledger_call *call, plane_answer *out) {
    Ez__V1__IngestLogsRequest *request = ez__v1__ingest_logs_request__unpack(NULL, message.len, message.data);
    cr_assert_not_null(request);
    ledger_sums sums = {.records = (unsigned)request->n_records};
    call->epoch = request->epoch;
    call->sequence = request->sequence;
    call->rows = (unsigned)request->n_records;
    for (size_t i = 0; i < request->n_records; i++) {
        sums.bodies += request->records[i]->request_body.len > 0;
        sums.body_bytes += (unsigned)request->records[i]->request_body.len;
    }
    ez__v1__ingest_logs_request__free_unpacked(request, NULL);
    if (judge(book, call, out)) {
        keep(book, call, &sums);
    }
    Ez__V1__IngestLogsResponse reply = EZ__V1__INGEST_LOGS_RESPONSE__INIT;
    reply.repeated = call->is_repeat;
    cr_assert_eq(ez_buf_pack(&out->body, &reply.base), EZ_OK);
}

static void answer(void *user, const char *method, ez_slice request, plane_answer *out) {
    ledger *book = user;
    ledger_call call = {.is_logs = strcmp(method, "ez.v1.Logs/Ingest") == 0};
    pthread_mutex_lock(&book->mutex);
    (call.is_logs ? take_logs : take_usage)(book, request, &call, out);
    call.code = out->code;
    cr_assert_lt(book->call_count, LEDGER_CALLS_MAX);
    book->calls[book->call_count++] = call;
    pthread_mutex_unlock(&book->mutex);
}

ledger *ledger_start(int port) {
    ledger *book = calloc(1, sizeof *book);
    cr_assert_not_null(book);
    pthread_mutex_init(&book->mutex, NULL);
    book->plane = plane_start(1, port, 0);
    plane_answer_others(book->plane, answer, book);
    return book;
}

void ledger_stop(ledger *book) {
    plane_stop(book->plane);
    pthread_mutex_destroy(&book->mutex);
    free(book);
}

fake_plane *ledger_plane(ledger *book) {
    return book->plane;
}

ledger_sums ledger_look(ledger *book) {
    ledger_sums all = {0};
    pthread_mutex_lock(&book->mutex);
    for (unsigned i = 0; i < book->taken_count; i++) {
        const ledger_sums *sums = &book->taken[i].sums;
        if (!book->taken[i].is_gone) {
            all.key_requests += sums->key_requests;
            all.key_tokens += sums->key_tokens;
            all.api_key_requests += sums->api_key_requests;
            all.api_key_success += sums->api_key_success;
            all.master_requests += sums->master_requests;
            all.quota_used += sums->quota_used;
            all.records += sums->records;
            all.bodies += sums->bodies;
            all.body_bytes += sums->body_bytes;
            all.masterless += sums->masterless;
        }
    }
    all.calls = book->call_count;
    for (unsigned i = 0; i < book->call_count; i++) {
        all.log_calls += book->calls[i].is_logs;
        all.usage_calls += !book->calls[i].is_logs;
    }
    pthread_mutex_unlock(&book->mutex);
    return all;
}

ledger_call ledger_at(ledger *book, unsigned call) {
    pthread_mutex_lock(&book->mutex);
    cr_assert_lt(call, book->call_count);
    ledger_call found = book->calls[call];
    pthread_mutex_unlock(&book->mutex);
    return found;
}

void ledger_forget(ledger *book) {
    pthread_mutex_lock(&book->mutex);
    for (unsigned i = 0; i < book->taken_count; i++) {
        book->taken[i].is_forgotten = true;
    }
    pthread_mutex_unlock(&book->mutex);
}

void ledger_go_back(ledger *book, uint64_t epoch, uint64_t sequence) {
    pthread_mutex_lock(&book->mutex);
    for (unsigned i = 0; i < book->taken_count; i++) {
        taken *t = &book->taken[i];
        t->is_gone = t->is_gone || (t->epoch == epoch && t->sequence >= sequence);
    }
    pthread_mutex_unlock(&book->mutex);
}

void ledger_refuse_key(ledger *book, int64_t id) {
    pthread_mutex_lock(&book->mutex);
    book->refused_key = id;
    pthread_mutex_unlock(&book->mutex);
}
