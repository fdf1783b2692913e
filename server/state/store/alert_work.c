// SPDX-License-Identifier: Apache-2.0
//
// Ops run in the order in which they were asked for, but reports that follow each other are gathered, sorted by
// fingerprint and written at once: a thousand of one trouble are one row. Whatever else comes in between writes what
// was gathered first, so it sees what was reported before it.
//
// Awkward: a batch is all or nothing where it reports and does not take some, and whether a report makes an alert is
// known to the statement alone. Only where the table is nearly full is that looked up before.
#include "server/state/store/alert_work.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to change alerts");
}

bool ez_alert_may_move(int32_t from, int32_t to) {
    static const bool moves[EZ_ALERT_STATUSES][EZ_ALERT_STATUSES] = {
        [EZ_ALERT_ACTIVE] = {[EZ_ALERT_ACKNOWLEDGED] = true, [EZ_ALERT_RESOLVED] = true, [EZ_ALERT_DISMISSED] = true},
        [EZ_ALERT_ACKNOWLEDGED] = {[EZ_ALERT_RESOLVED] = true, [EZ_ALERT_DISMISSED] = true},
    };
    bool is_known = from > 0 && from < EZ_ALERT_STATUSES && to > 0 && to < EZ_ALERT_STATUSES;
    return is_known && moves[from][to];
}

bool ez_alert_row_copy(const ez_alert_row *row, ez_arena *arena, ez_alert_row *out) {
    *out = *row;
    const char **texts[] = {&out->title,       &out->related_type, &out->related_name,
                            &out->fingerprint, &out->message,      &out->acknowledged_by,
                            &out->resolved_by, &out->note,         &out->metadata};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = ez_arena_strdup(arena, *texts[i] ? *texts[i] : "");
        if (!*texts[i])
            return false;
    }
    return true;
}

// ---- The object

ez_status ez_alert_work_init(ez_alert_work *work, ez_alert_batch *batches, size_t count, const ez_alert_rules *rules,
                             int64_t now_ns, ez_error *error) {
    *work = (ez_alert_work){.batches = batches, .count = count, .rules = rules, .now_ns = now_ns};
    size_t ops = 0;
    for (size_t i = 0; i < count; i++)
        ops += batches[i].op_count;
    work->audits = calloc(ops + 1, sizeof *work->audits);
    work->reports = calloc(ops + 1, sizeof *work->reports);
    work->merged = calloc(ops + 1, sizeof *work->merged);
    if (!work->audits || !work->reports || !work->merged)
        return no_memory(error);
    work->audit_size = work->report_size = work->merged_size = ops;
    return ez_marks_init(&work->marks, batches, count, sizeof *batches, error);
}

void ez_alert_work_fini(ez_alert_work *work) {
    ez_marks_fini(&work->marks);
    free(work->audits);
    free(work->reports);
    free(work->merged);
    *work = (ez_alert_work){0};
}

void ez_alert_work_reset(ez_alert_work *work) {
    ez_marks_clear(&work->marks);
    work->audit_count = work->report_count = work->merged_count = 0;
    memset(&work->deltas, 0, sizeof work->deltas);
    for (size_t b = 0; b < work->count; b++) {
        for (size_t i = 0; i < work->batches[b].op_count; i++) {
            ez_alert_op *op = &work->batches[b].ops[i];
            op->outcome = EZ_ALERT_DONE;
            op->news = EZ_ALERT_NO_NEWS;
            op->has_row = false;
            memset(&op->after, 0, sizeof op->after);
        }
    }
}

// ---- What follows from a change

static void count(ez_alert_work *work, int32_t status, int32_t severity, int32_t type, int64_t by) {
    bool is_known = status > 0 && status < EZ_ALERT_STATUSES && severity > 0 && severity < EZ_ALERT_SEVERITIES &&
                    type > 0 && type < EZ_ALERT_TYPES;
    if (is_known)
        work->deltas.n[status][severity][type] += by;
}

static ez_status audit(ez_alert_work *work, const ez_alert_batch *batch, const ez_alert_op *op, int64_t id,
                       ez_error *error) {
    assert(work->audit_count < work->audit_size);
    const char *resource = ez_arena_printf(batch->arena, "alert:%lld", (long long)id);
    if (!resource)
        return no_memory(error);
    work->audits[work->audit_count++] = (ez_store_audit){.time_ns = work->now_ns,
                                                         .actor = batch->actor,
                                                         .method = batch->method,
                                                         .resource = resource,
                                                         .request = op->request,
                                                         .request_id = batch->request_id,
                                                         .remote = batch->remote};
    return EZ_OK;
}

static ez_status tell(const ez_alert_batch *batch, ez_alert_op *op, const ez_alert_row *row, ez_alert_news news,
                      ez_error *error) {
    op->news = news;
    op->after.id = row->id;
    op->after.status = row->status;
    if (!op->wants_row && news == EZ_ALERT_NO_NEWS)
        return EZ_OK;
    if (!ez_alert_row_copy(row, batch->arena, &op->after))
        return no_memory(error);
    op->has_row = true;
    return EZ_OK;
}

// ---- Reports

static int compare_reports(const void *left, const void *right) {
    const ez_alert_report_at *a = left, *b = right;
    int order = strcmp(a->op->row.fingerprint, b->op->row.fingerprint);
    return order ? order : a->order < b->order ? -1 : 1;
}

// One for each fingerprint, ascending, so that rows are locked in one order. Of the worst reports the first counts.
static void merge(ez_alert_work *work) {
    ez_alert_report_at *reports = work->reports;
    qsort(reports, work->report_count, sizeof *reports, compare_reports);
    work->merged_count = 0;
    for (size_t from = 0, to; from < work->report_count; from = to) {
        const ez_alert_row *worst = &reports[from].op->row;
        for (to = from + 1;
             to < work->report_count && strcmp(reports[to].op->row.fingerprint, reports[from].op->row.fingerprint) == 0;
             to++) {
            if (reports[to].op->row.severity > worst->severity)
                worst = &reports[to].op->row;
        }
        ez_alert_merged *merged = &work->merged[work->merged_count];
        *merged = (ez_alert_merged){.row = worst,
                                    .id = work->next_id + (int64_t)work->merged_count,
                                    .count = (int64_t)(to - from),
                                    .from = from,
                                    .to = to};
        work->merged_count++;
    }
}

// The first report of a fingerprint has its news, and its audit entry.
static ez_status upserted(ez_alert_work *work, const ez_alert_merged *merged, const ez_alert_row *row, int64_t gap_ns,
                          int32_t raised_from, ez_error *error) {
    const ez_alert_report_at *first = &work->reports[merged->from];
    bool is_new = row->id == merged->id;
    ez_alert_news news = is_new ? EZ_ALERT_CREATED : EZ_ALERT_NO_NEWS;
    if (!is_new && ez_alert_is_open(row->status) && (raised_from || gap_ns > work->rules->cooldown_ns))
        news = EZ_ALERT_REPEATED;
    ez_status status = EZ_OK;
    for (size_t i = merged->from; status == EZ_OK && i < merged->to; i++)
        status =
            tell(work->reports[i].batch, work->reports[i].op, row, i == merged->from ? news : EZ_ALERT_NO_NEWS, error);
    if (status == EZ_OK && is_new) {
        count(work, row->status, row->severity, row->type, 1);
        work->total++;
        if (row->id >= work->next_id)
            work->next_id = row->id + 1;
        return audit(work, first->batch, first->op, row->id, error);
    }
    if (status == EZ_OK && raised_from) {
        count(work, row->status, raised_from, row->type, -1);
        count(work, row->status, row->severity, row->type, 1);
    }
    return status;
}

static ez_status flush(ez_alert_work *work, const ez_alert_table *table, void *tx, ez_error *error) {
    if (work->report_count == 0)
        return EZ_OK;
    merge(work);
    ez_status status = table->upsert(tx, work, work->merged, work->merged_count, upserted, error);
    work->report_count = 0;
    return status;
}

// ---- One op

static ez_status move(ez_alert_work *work, const ez_alert_table *table, void *tx, const ez_alert_batch *batch,
                      ez_alert_op *op, ez_alert_row *row, int32_t to, ez_error *error) {
    if (!ez_alert_may_move(row->status, to)) {
        op->outcome = EZ_ALERT_WRONG_STATUS;
        return tell(batch, op, row, EZ_ALERT_NO_NEWS, error);
    }
    count(work, row->status, row->severity, row->type, -1);
    count(work, to, row->severity, row->type, 1);
    row->status = to;
    if (op->note)
        row->note = op->note;
    if (to == EZ_ALERT_ACKNOWLEDGED) {
        row->acknowledged_by = op->by;
        row->acknowledged_ns = work->now_ns;
    } else {
        row->resolved_by = op->by;
        row->resolved_ns = work->now_ns;
    }
    ez_status status = table->put(tx, row, to == EZ_ALERT_RESOLVED ? EZ_ALERT_LETS_GO : EZ_ALERT_HOLDS, error);
    if (status == EZ_OK)
        status = audit(work, batch, op, row->id, error);
    return status != EZ_OK ? status : tell(batch, op, row, EZ_ALERT_MOVED, error);
}

// A dismissed alert whose trouble is over is told of again when it comes back.
static ez_status clear(ez_alert_work *work, const ez_alert_table *table, void *tx, const ez_alert_batch *batch,
                       ez_alert_op *op, ez_alert_row *row, ez_error *error) {
    if (row->status == EZ_ALERT_DISMISSED)
        return table->put(tx, row, EZ_ALERT_LETS_GO, error);
    return move(work, table, tx, batch, op, row, EZ_ALERT_RESOLVED, error);
}

static ez_status note(ez_alert_work *work, const ez_alert_table *table, void *tx, const ez_alert_batch *batch,
                      ez_alert_op *op, ez_alert_row *row, ez_error *error) {
    row->note = op->note;
    ez_status status = table->put(tx, row, EZ_ALERT_AS_BEFORE, error);
    if (status == EZ_OK)
        status = audit(work, batch, op, row->id, error);
    return status != EZ_OK ? status : tell(batch, op, row, EZ_ALERT_NO_NEWS, error);
}

static ez_status remove_row(ez_alert_work *work, const ez_alert_table *table, void *tx, const ez_alert_batch *batch,
                            ez_alert_op *op, const ez_alert_row *row, ez_error *error) {
    count(work, row->status, row->severity, row->type, -1);
    work->total--;
    ez_status status = table->remove(tx, row->id, error);
    if (status == EZ_OK)
        status = audit(work, batch, op, row->id, error);
    ez_alert_news news = ez_alert_is_open(row->status) ? EZ_ALERT_GONE : EZ_ALERT_NO_NEWS;
    return status != EZ_OK ? status : tell(batch, op, row, news, error);
}

static ez_status run_op(ez_alert_work *work, const ez_alert_table *table, void *tx, ez_alert_batch *batch,
                        ez_alert_op *op, ez_error *error) {
    bool found = false;
    ez_alert_row row;
    ez_status status = table->find(tx, op->act == EZ_ALERT_CLEAR ? 0 : op->row.id, op->row.fingerprint, batch->arena,
                                   &row, &found, error);
    if (status != EZ_OK)
        return status;
    bool is_seen_again =
        found && op->act == EZ_ALERT_CLEAR && op->seen_before_ns && row.last_seen_ns >= op->seen_before_ns;
    if (!found || is_seen_again) {
        op->outcome = EZ_ALERT_NOT_FOUND;
        return EZ_OK;
    }
    switch (op->act) {
    case EZ_ALERT_MOVE:
        return move(work, table, tx, batch, op, &row, op->to, error);
    case EZ_ALERT_CLEAR:
        return clear(work, table, tx, batch, op, &row, error);
    case EZ_ALERT_NOTE:
        return note(work, table, tx, batch, op, &row, error);
    case EZ_ALERT_DELETE:
        return remove_row(work, table, tx, batch, op, &row, error);
    case EZ_ALERT_REPORT:
        break;
    }
    return EZ_OK;
}

// ---- Batches

// What a batch that was taken before would be answered with.
static ez_status recall(const ez_alert_table *table, void *tx, ez_alert_batch *batch, ez_error *error) {
    ez_status status = EZ_OK;
    for (size_t i = 0; status == EZ_OK && i < batch->op_count; i++) {
        ez_alert_op *op = &batch->ops[i];
        if (!op->wants_row)
            continue;
        int64_t id = op->act == EZ_ALERT_REPORT ? 0 : op->row.id;
        status = table->find(tx, id, op->row.fingerprint, batch->arena, &op->after, &op->has_row, error);
        op->outcome = op->has_row ? EZ_ALERT_DONE : EZ_ALERT_NOT_FOUND;
    }
    return status;
}

// The report before it in the batch that is of the same fingerprint. NULL: it is the first.
static const ez_alert_op *find_twin(const ez_alert_batch *batch, size_t at) {
    for (size_t i = 0; i < at; i++) {
        const ez_alert_op *op = &batch->ops[i];
        if (op->act == EZ_ALERT_REPORT && strcmp(op->row.fingerprint, batch->ops[at].row.fingerprint) == 0)
            return op;
    }
    return NULL;
}

// Reports that would make more alerts than there may be get FULL. Only where that is near is it asked which are there.
static ez_status find_too_many(ez_alert_work *work, const ez_alert_table *table, void *tx, ez_alert_batch *batch,
                               bool *any, ez_error *error) {
    int64_t room = work->rules->max_alerts - work->total;
    *any = false;
    if (work->rules->max_alerts == 0 || (int64_t)(work->report_count + batch->op_count) <= room)
        return EZ_OK;
    ez_status status = flush(work, table, tx, error);
    room = work->rules->max_alerts - work->total;
    for (size_t i = 0; status == EZ_OK && i < batch->op_count; i++) {
        ez_alert_op *op = &batch->ops[i];
        const ez_alert_op *twin = op->act == EZ_ALERT_REPORT ? find_twin(batch, i) : NULL;
        ez_alert_row row;
        bool found = true;
        if (twin)
            op->outcome = twin->outcome;
        else if (op->act == EZ_ALERT_REPORT)
            status = table->find(tx, 0, op->row.fingerprint, batch->arena, &row, &found, error);
        if (!found && room-- <= 0)
            op->outcome = EZ_ALERT_FULL;
        *any = *any || op->outcome == EZ_ALERT_FULL;
    }
    return status;
}

static void refuse(ez_alert_work *work, ez_alert_batch *batch) {
    for (size_t i = 0; i < batch->op_count; i++)
        batch->ops[i].outcome = EZ_ALERT_FULL;
    ez_marks_undo(&work->marks, &batch->mark);
}

static ez_status run_batch(ez_alert_work *work, const ez_alert_table *table, void *tx, ez_alert_batch *batch,
                           ez_error *error) {
    bool is_full = false;
    ez_status status = find_too_many(work, table, tx, batch, &is_full, error);
    if (status == EZ_OK && is_full && !batch->takes_some) {
        refuse(work, batch);
        return EZ_OK;
    }
    for (size_t i = 0; status == EZ_OK && i < batch->op_count; i++) {
        ez_alert_op *op = &batch->ops[i];
        if (op->outcome == EZ_ALERT_FULL)
            continue;
        if (op->act == EZ_ALERT_REPORT) {
            assert(work->report_count < work->report_size);
            work->reports[work->report_count] =
                (ez_alert_report_at){.batch = batch, .op = op, .order = work->report_count};
            work->report_count++;
            continue;
        }
        status = flush(work, table, tx, error);
        if (status == EZ_OK)
            status = run_op(work, table, tx, batch, op, error);
    }
    if (status == EZ_OK && batch->op_count == 1 && batch->ops[0].outcome != EZ_ALERT_DONE)
        ez_marks_undo(&work->marks, &batch->mark);
    return status;
}

ez_status ez_alert_work_run(ez_alert_work *work, const ez_alert_table *table, void *tx, ez_error *error) {
    work->had_next_id = work->next_id;
    work->had_total = work->total;
    ez_status status = EZ_OK;
    for (size_t i = 0; status == EZ_OK && i < work->count; i++) {
        ez_alert_batch *batch = &work->batches[i];
        ez_marks_take(&work->marks, batch, 1, sizeof *batch);
        if (batch->mark.epoch && batch->mark.outcome == EZ_MARK_GAP)
            continue;
        if (ez_mark_is_repeated(&batch->mark)) {
            status = flush(work, table, tx, error);
            if (status == EZ_OK)
                status = recall(table, tx, batch, error);
            continue;
        }
        status = run_batch(work, table, tx, batch, error);
    }
    return status == EZ_OK ? flush(work, table, tx, error) : status;
}
