// SPDX-License-Identifier: Apache-2.0
//
// Batches: rows of one kind, in order, up to a number and a size a call may have. In a dry run nothing that an earlier
// batch would have made is there, so each batch brings what its rows point to along, marked with index -1.
//
// The awkward case is size: a call may have 4 MiB. A batch is closed at 1 MiB, so that a last row of the largest size,
// 2 MiB, and what it brings still fit; a row that is larger fails alone.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/domain/import/plan_inside.h"

#define ROWS_MAX      1000
#define BATCH_BYTES   (1u << 20)
#define ROW_BYTES_MAX (2u << 20)
#define MEMORY_MOST   (64u << 20) // of the arena, for a batch: rows that failed are in it too
#define ROWS_DRY_MAX  250         // rows that bring others along
#define BROUGHT_MAX   (ROWS_MAX - ROWS_DRY_MAX)
#define INDEX_BROUGHT (-1)

typedef struct batch {
    ez_plan *plan;
    ez_arena *arena;
    Ez__V1__ImportRow *rows[ROWS_MAX];
    size_t count;
    Ez__V1__ImportRow *brought[BROUGHT_MAX]; // in order of need: what stands first is needed by what follows
    size_t brought_count;
    json_t *has; // set of what was brought
    size_t bytes;
    ez_error *error;
} batch;

static Ez__V1__ImportRow *new_row(batch *b, int64_t index) {
    Ez__V1__ImportRow *row = ez_arena_alloc(b->arena, sizeof *row);
    if (row != NULL) {
        ez__v1__import_row__init(row);
        row->index = index;
    }
    return row;
}

static ez_status no_memory(batch *b) {
    return ez_plan_no_memory(b->error);
}

static size_t size_of(const Ez__V1__ImportRow *row) {
    return ez__v1__import_row__get_packed_size(row) + 8; // tag and length in the request
}

// ---- Building rows

static ez_status fill_namespace(batch *b, const char *name, Ez__V1__ImportRow *row) {
    (void)b;
    row->row_case = EZ__V1__IMPORT_ROW__ROW_NAMESPACE;
    row->namespace_ = (char *)name;
    return EZ_OK;
}

// Each fill: INVALID_ARGUMENT with why in the error where this row can't be.
static ez_status fill(batch *b, ez_plan_kind kind, size_t at, Ez__V1__ImportRow *row, ez_error *why) {
    ez_plan *plan = b->plan;
    switch (kind) {
    case EZ_PLAN_NAMESPACES:
        return fill_namespace(b, json_string_value(json_array_get(plan->namespace_list, at)), row);
    case EZ_PLAN_PROVIDERS:
        row->row_case = EZ__V1__IMPORT_ROW__ROW_PROVIDER;
        return ez_plan_provider_row(plan, &plan->groups[at], b->arena, &row->provider, why);
    case EZ_PLAN_MASTERS:
        row->row_case = EZ__V1__IMPORT_ROW__ROW_MASTER;
        return ez_plan_master_row(plan, at, b->arena, &row->master, why);
    case EZ_PLAN_KEYS:
        row->row_case = EZ__V1__IMPORT_ROW__ROW_KEY;
        return ez_plan_key_row(plan, at, b->arena, &row->key, why);
    default:
        row->row_case = EZ__V1__IMPORT_ROW__ROW_BINDING;
        return ez_plan_binding_row(plan, &plan->bindings[at], b->arena, &row->binding, why);
    }
}

static int64_t index_in_file(const ez_plan *plan, ez_plan_kind kind, size_t at) {
    switch (kind) {
    case EZ_PLAN_PROVIDERS:
        return (int64_t)json_integer_value(json_array_get(plan->groups[at].members, 0));
    case EZ_PLAN_BINDINGS:
        return plan->bindings[at].index;
    default:
        return (int64_t)at;
    }
}

static bool is_bad(const ez_plan *plan, ez_plan_kind kind, size_t at) {
    return (kind == EZ_PLAN_MASTERS && plan->is_bad[EZ_EXPORT_MASTERS][at]) ||
           (kind == EZ_PLAN_KEYS && plan->is_bad[EZ_EXPORT_KEYS][at]);
}

// ---- What rows bring along

// False: it was brought already, or there is no room left (a dry run then says too much, never too little).
static bool is_new(batch *b, char tag, const char *name) {
    char key[600];
    size_t len = strnlen(name, sizeof key - 2);
    key[0] = tag;
    memcpy(key + 1, name, len);
    key[len + 1] = '\0';
    if (b->brought_count == BROUGHT_MAX || json_object_get(b->has, key) != NULL) {
        return false;
    }
    return json_object_set_new(b->has, key, json_true()) == 0;
}

static void put_brought(batch *b, Ez__V1__ImportRow *row) {
    if (b->brought_count < BROUGHT_MAX) {
        b->brought[b->brought_count++] = row;
        b->bytes += size_of(row);
    }
}

static ez_status bring_namespace(batch *b, const char *name) {
    if (!is_new(b, 'n', name)) {
        return EZ_OK;
    }
    Ez__V1__ImportRow *row = new_row(b, INDEX_BROUGHT);
    if (row == NULL) {
        return no_memory(b);
    }
    ez_status status = fill_namespace(b, name, row);
    put_brought(b, row);
    return status;
}

static ez_status bring_master_namespaces(batch *b, const Ez__V1__Master *master) {
    ez_status status = bring_namespace(b, master->default_namespace);
    for (size_t i = 0; status == EZ_OK && i < master->n_namespaces; i++) {
        status = bring_namespace(b, master->namespaces[i]);
    }
    return status;
}

static ez_status bring_master(batch *b, const char *name) {
    const json_t *known = json_object_get(b->plan->masters, name);
    if (known == NULL || !is_new(b, 'm', name)) {
        return EZ_OK;
    }
    ez_error why = EZ_ERROR_INIT;
    Ez__V1__ImportRow *row = new_row(b, INDEX_BROUGHT);
    size_t index = (size_t)json_integer_value(json_object_get(known, "index"));
    if (row == NULL) {
        return no_memory(b);
    }
    if (fill(b, EZ_PLAN_MASTERS, index, row, &why) != EZ_OK) {
        return EZ_OK; // it failed with its own kind; its keys fail for want of it
    }
    ez_status status = bring_master_namespaces(b, row->master);
    put_brought(b, row);
    return status;
}

static ez_status bring_group(batch *b, size_t group) {
    if (!is_new(b, 'p', b->plan->groups[group].name)) {
        return EZ_OK;
    }
    ez_error why = EZ_ERROR_INIT;
    Ez__V1__ImportRow *row = new_row(b, INDEX_BROUGHT);
    if (row == NULL) {
        return no_memory(b);
    }
    if (fill(b, EZ_PLAN_PROVIDERS, group, row, &why) == EZ_OK && size_of(row) <= ROW_BYTES_MAX) {
        put_brought(b, row);
    }
    return EZ_OK;
}

static ez_status bring(batch *b, const Ez__V1__ImportRow *row, size_t at) {
    switch (row->row_case) {
    case EZ__V1__IMPORT_ROW__ROW_MASTER:
        return bring_master_namespaces(b, row->master);
    case EZ__V1__IMPORT_ROW__ROW_KEY:
        return bring_master(b, row->key->master_name);
    case EZ__V1__IMPORT_ROW__ROW_BINDING: {
        ez_status status = bring_namespace(b, row->binding->binding->namespace_);
        return status != EZ_OK ? status : bring_group(b, b->plan->bindings[at].group);
    }
    default:
        return EZ_OK;
    }
}

// What is brought is built again: what there is to say about it was said with its own kind.
static ez_status bring_quietly(batch *b, const Ez__V1__ImportRow *row, size_t at) {
    b->plan->is_quiet = true;
    ez_status status = bring(b, row, at);
    b->plan->is_quiet = false;
    return status;
}

// ---- The batch

static void fail(batch *b, ez_plan_kind kind, int64_t index, const char *reason) {
    b->plan->options.failed(b->plan->options.user, kind, index, reason);
}

static ez_status add(batch *b, ez_plan_kind kind, size_t at) {
    int64_t index = index_in_file(b->plan, kind, at);
    Ez__V1__ImportRow *row = new_row(b, index);
    ez_error why = EZ_ERROR_INIT;
    if (row == NULL) {
        return no_memory(b);
    }
    ez_status status = fill(b, kind, at, row, &why);
    if (status == EZ_INVALID_ARGUMENT) {
        fail(b, kind, index, ez_plan_reason(&why, b->arena));
        return EZ_OK;
    }
    size_t size = status == EZ_OK ? size_of(row) : 0;
    if (size > ROW_BYTES_MAX || b->arena->refused) {
        char reason[96];
        snprintf(reason, sizeof reason, "it is too large: a row may have %u bytes", ROW_BYTES_MAX);
        fail(b, kind, index, reason);
        return EZ_OK;
    }
    if (status != EZ_OK) {
        return ez_error_copy(b->error, &why);
    }
    b->rows[b->count++] = row;
    b->bytes += size;
    return b->plan->options.self_contained ? bring_quietly(b, row, at) : EZ_OK;
}

static ez_status collect(batch *b, ez_plan_kind kind) {
    ez_plan *plan = b->plan;
    size_t most = plan->options.self_contained ? ROWS_DRY_MAX : ROWS_MAX;
    size_t brought_most = BROUGHT_MAX - 300; // room for what the last row brings
    while (plan->at < ez_plan_count(plan, kind) && b->count < most && b->bytes < BATCH_BYTES &&
           b->brought_count < brought_most && b->arena->used < MEMORY_MOST && !b->arena->refused) {
        size_t at = plan->at++;
        ez_status status = is_bad(plan, kind, at) ? EZ_OK : add(b, kind, at);
        if (status != EZ_OK) {
            return status;
        }
    }
    return EZ_OK;
}

static ez_status make_request(batch *b, Ez__V1__ApplyImportRequest **out) {
    Ez__V1__ApplyImportRequest *request = ez_arena_alloc(b->arena, sizeof *request);
    Ez__V1__ImportRow **rows = ez_arena_alloc(b->arena, (b->count + b->brought_count) * sizeof *rows);
    if (request == NULL || rows == NULL) {
        return no_memory(b);
    }
    ez__v1__apply_import_request__init(request);
    memcpy(rows, b->brought, b->brought_count * sizeof *rows);
    memcpy(rows + b->brought_count, b->rows, b->count * sizeof *rows);
    request->rows = rows;
    request->n_rows = b->count + b->brought_count;
    request->conflict = b->plan->options.overwrite ? EZ__V1__IMPORT_CONFLICT__IMPORT_CONFLICT_OVERWRITE
                                                   : EZ__V1__IMPORT_CONFLICT__IMPORT_CONFLICT_SKIP;
    *out = request;
    return EZ_OK;
}

// The next kind that has rows left, as far as the first batch that has any.
static ez_status find_rows(batch *b, ez_plan_kind *kind) {
    ez_plan *plan = b->plan;
    while (b->count == 0 && plan->kind < EZ_PLAN_KINDS) {
        if (plan->at >= ez_plan_count(plan, (ez_plan_kind)plan->kind)) {
            plan->kind++;
            plan->at = 0;
            continue;
        }
        *kind = (ez_plan_kind)plan->kind;
        ez_arena_reset(b->arena); // of rows that failed
        ez_status status = collect(b, *kind);
        if (status != EZ_OK) {
            return status;
        }
    }
    return EZ_OK;
}

ez_status ez_plan_next(ez_plan *plan, ez_arena *arena, ez_plan_kind *kind, Ez__V1__ApplyImportRequest **out,
                       ez_error *error) {
    *out = NULL;
    batch *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return ez_plan_no_memory(error);
    }
    b->plan = plan;
    b->arena = arena;
    b->error = error;
    b->has = json_object();
    ez_status status = b->has != NULL ? find_rows(b, kind) : no_memory(b);
    if (status == EZ_OK && b->count > 0) {
        status = make_request(b, out);
    }
    json_decref(b->has);
    free(b);
    return status;
}
