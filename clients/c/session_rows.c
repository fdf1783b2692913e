// SPDX-License-Identifier: Apache-2.0
//
// The rows a session holds. The table owns its rows' data; secrets are wiped before their memory is given back.
// Awkward: rows lie densely in one array, so that a sweep or a cache is one walk and a small row costs no allocation,
// which means that removing one moves the last into its place: walk backwards while removing.
#include "clients/c/session_rows.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/seal.h"

#define FIRST_CAP 64

void ez_rows_init(ez_rows *rows, uint32_t max, bool keep_bytes) {
    *rows = (ez_rows){.max = max, .keep_bytes = keep_bytes};
}

static void free_data(ez_rows *rows, ez_row *row) {
    if (row->data != NULL) {
        rows->bytes -= (uint64_t)row->data->len + row->data->secret_len;
        ez_wipe(row->data->bytes + row->data->len, row->data->secret_len);
        free(row->data);
        row->data = NULL;
    }
}

void ez_rows_fini(ez_rows *rows) {
    for (uint32_t i = 0; i < rows->count; i++) {
        free_data(rows, &rows->rows[i]);
    }
    for (unsigned i = 0; i < rows->rejection_count; i++) {
        free(rows->rejections[i].reason);
    }
    free(rows->rows);
    free(rows->index);
    *rows = (ez_rows){0};
}

static uint32_t home(const ez_rows *rows, uint8_t kind, int64_t id) {
    uint64_t h = ((uint64_t)id ^ ((uint64_t)kind << 56)) * 0x9E3779B97F4A7C15ull;
    h ^= h >> 32;
    return (uint32_t)h & (rows->index_cap - 1);
}

// Where (kind, id) is in the index, or the empty place where it would be.
static uint32_t place(const ez_rows *rows, uint8_t kind, int64_t id) {
    uint32_t at = home(rows, kind, id);
    while (rows->index[at] != 0) {
        const ez_row *row = &rows->rows[rows->index[at] - 1];
        if (row->id == id && row->kind == kind) {
            break;
        }
        at = (at + 1) & (rows->index_cap - 1);
    }
    return at;
}

ez_row *ez_rows_find(const ez_rows *rows, uint8_t kind, int64_t id) {
    if (rows->count == 0) {
        return NULL;
    }
    uint32_t at = place(rows, kind, id);
    return rows->index[at] == 0 ? NULL : &rows->rows[rows->index[at] - 1];
}

static bool grow_index(ez_rows *rows) {
    uint32_t cap = rows->index_cap == 0 ? 2 * FIRST_CAP : 2 * rows->index_cap;
    uint32_t *index = calloc(cap, sizeof *index);
    if (index == NULL) {
        return false;
    }
    free(rows->index);
    rows->index = index;
    rows->index_cap = cap;
    for (uint32_t i = 0; i < rows->count; i++) {
        rows->index[place(rows, rows->rows[i].kind, rows->rows[i].id)] = i + 1;
    }
    return true;
}

// By a quarter: thousands of tables of the same size would waste half their memory with a doubling.
static bool grow_rows(ez_rows *rows) {
    uint32_t cap = rows->cap == 0 ? FIRST_CAP : rows->cap + rows->cap / 4;
    ez_row *grown = realloc(rows->rows, (size_t)cap * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    rows->rows = grown;
    rows->cap = cap;
    return true;
}

ez_row *ez_rows_get(ez_rows *rows, uint8_t kind, int64_t id) {
    ez_row *row = ez_rows_find(rows, kind, id);
    if (row != NULL) {
        return row;
    }
    if (rows->count >= rows->max + EZ_REASONS_KEPT || (rows->count == rows->cap && !grow_rows(rows)) ||
        ((uint64_t)rows->count * 4 >= (uint64_t)rows->index_cap * 3 && !grow_index(rows))) {
        return NULL;
    }
    uint32_t at = place(rows, kind, id);
    row = &rows->rows[rows->count++];
    *row = (ez_row){.id = id, .kind = kind};
    rows->index[at] = rows->count;
    return row;
}

// Empties a place of the index and moves those behind it that would no longer be found.
static void unindex(ez_rows *rows, uint32_t hole) {
    uint32_t mask = rows->index_cap - 1;
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & mask;
        if (rows->index[at] == 0) {
            break;
        }
        const ez_row *row = &rows->rows[rows->index[at] - 1];
        uint32_t from = home(rows, row->kind, row->id);
        if (((at - from) & mask) >= ((at - hole) & mask)) {
            rows->index[hole] = rows->index[at];
            hole = at;
        }
    }
    rows->index[hole] = 0;
}

static void drop_reason(ez_rows *rows, const ez_row *row) {
    for (unsigned i = 0; i < rows->rejection_count; i++) {
        if (rows->rejections[i].id == row->id && rows->rejections[i].kind == row->kind) {
            free(rows->rejections[i].reason);
            rows->rejections[i] = rows->rejections[--rows->rejection_count];
            return;
        }
    }
}

void ez_rows_date(ez_row *row, uint64_t revision) {
    row->revision = revision < EZ_ROW_REVISION_MAX ? revision : EZ_ROW_REVISION_MAX;
}

void ez_rows_accept(ez_rows *rows, ez_row *row) {
    if (row->is_rejected) {
        row->is_rejected = false;
        rows->rejected--;
        drop_reason(rows, row);
    }
}

void ez_rows_remove(ez_rows *rows, ez_row *row) {
    ez_rows_accept(rows, row);
    if (row->is_held) {
        ez_digest_xor(rows->digest, row->hash);
        rows->held--;
    }
    free_data(rows, row);
    unindex(rows, place(rows, row->kind, row->id));
    ez_row *last = &rows->rows[rows->count - 1];
    if (last != row) {
        rows->index[place(rows, last->kind, last->id)] = (uint32_t)(row - rows->rows) + 1;
        *row = *last;
    }
    rows->count--;
}

bool ez_rows_hold(ez_rows *rows, ez_row *row, const uint8_t hash[EZ_DIGEST_LEN], uint64_t secret_version,
                  ez_slice resource, ez_slice secret) {
    ez_row_data *data = NULL;
    if (rows->keep_bytes) {
        if (resource.len > EZ_CALL_MAX || secret.len > EZ_CALL_MAX) {
            return false;
        }
        data = malloc(sizeof *data + resource.len + secret.len);
        if (data == NULL) {
            return false;
        }
        data->len = (uint32_t)resource.len;
        data->secret_len = (uint32_t)secret.len;
        if (resource.len > 0) {
            memcpy(data->bytes, resource.data, resource.len);
        }
        if (secret.len > 0) {
            memcpy(data->bytes + resource.len, secret.data, secret.len); // it may lie in the data that goes now
        }
    }
    free_data(rows, row);
    row->data = data;
    rows->bytes += data == NULL ? 0 : (uint64_t)data->len + data->secret_len;
    if (row->is_held) {
        ez_digest_xor(rows->digest, row->hash);
    } else {
        rows->held++;
    }
    memcpy(row->hash, hash, EZ_DIGEST_LEN);
    ez_digest_xor(rows->digest, row->hash);
    row->is_held = true;
    row->secret_version = secret_version;
    ez_rows_accept(rows, row);
    return true;
}

void ez_rows_reject(ez_rows *rows, ez_row *row, const char *reason) {
    if (row->is_rejected) {
        drop_reason(rows, row);
    } else {
        row->is_rejected = true;
        rows->rejected++;
    }
    if (rows->rejection_count < EZ_REASONS_KEPT) {
        char *copy = strndup(reason, EZ_REASON_MAX - 1);
        if (copy != NULL) {
            rows->rejections[rows->rejection_count++] =
                (ez_rejection){.kind = row->kind, .id = row->id, .reason = copy};
        }
    }
}

ez_slice ez_row_bytes(const ez_row *row) {
    return row->data == NULL ? (ez_slice){0} : (ez_slice){row->data->bytes, row->data->len};
}

ez_slice ez_row_secret(const ez_row *row) {
    return row->data == NULL ? (ez_slice){0} : (ez_slice){row->data->bytes + row->data->len, row->data->secret_len};
}
