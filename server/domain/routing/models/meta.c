// SPDX-License-Identifier: Apache-2.0
//
// What is known of all models together: a setting of its own. Its version goes up where the models or where they are
// from have changed; an error comes and goes without a new version, since nobody has to read the models again for it.
//
// Awkward: the checksum is over all models, so it is made from time to time rather than with each change. It may be of
// a moment before the one it is written at; then the models have changed since, and it is made again.
#include "server/domain/routing/models/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/directory/model.h"
#include "server/state/directory/stamp.h"

#define TEXT_MAX    ((size_t)1 << 30)
#define SCRATCH_MAX (1u << 20)

// ---- The checksum

typedef struct piece {
    size_t at, name_len, len; // in the text: the name, "\n", the JSON, "\n"
} piece;

typedef struct pieces {
    piece *items;
    size_t count, room;
    ez_buf text;
} pieces;

static void pieces_fini(pieces *all) {
    free(all->items);
    ez_buf_fini(&all->text);
}

static ez_status add_piece(pieces *all, const ez_entry *entry, ez_arena *scratch) {
    if (all->count == all->room) {
        size_t more = all->room ? all->room * 2 : 256;
        piece *grown = realloc(all->items, more * sizeof *grown);
        if (!grown)
            return EZ_RESOURCE_EXHAUSTED;
        all->items = grown;
        all->room = more;
    }
    ez_arena_reset(scratch);
    const Ez__V1__Model *model = (const Ez__V1__Model *)ez_entry_unpack(entry, scratch);
    if (!model)
        return EZ_RESOURCE_EXHAUSTED;
    piece *made = &all->items[all->count++];
    *made = (piece){.at = all->text.len, .name_len = strlen(model->name)};
    ez_status status = ez_buf_append(&all->text, model->name, made->name_len);
    if (status == EZ_OK)
        status = ez_buf_putc(&all->text, '\n');
    if (status == EZ_OK)
        status = ez_model_json(model, &all->text);
    if (status == EZ_OK)
        status = ez_buf_putc(&all->text, '\n');
    made->len = all->text.len - made->at;
    return status;
}

static int by_name(const void *a, const void *b, void *text) {
    const piece *x = a, *y = b;
    size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
    int order = memcmp((const char *)text + x->at, (const char *)text + y->at, len);
    return order != 0 ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static ez_status hash_all(pieces *all, char out[EZ_MODEL_CHECKSUM_TEXT]) {
    ez_sha256_part *parts = malloc((all->count + 1) * sizeof *parts);
    if (!parts)
        return EZ_RESOURCE_EXHAUSTED;
    if (all->count > 0)
        qsort_r(all->items, all->count, sizeof *all->items, by_name, all->text.data);
    for (size_t i = 0; i < all->count; i++)
        parts[i] = (ez_sha256_part){all->text.data + all->items[i].at, all->items[i].len};
    uint8_t hash[EZ_SHA256_LEN];
    ez_sha256_parts(parts, all->count, hash);
    ez_hex(hash, sizeof hash, out);
    free(parts);
    return EZ_OK;
}

ez_status ez_model_checksum(const ez_directory *directory, char out[EZ_MODEL_CHECKSUM_TEXT], int64_t *models,
                            ez_error *error) {
    ez_auto(pieces) all = {0};
    ez_auto(ez_arena) scratch;
    ez_buf_init(&all.text, TEXT_MAX);
    ez_arena_init(&scratch, SCRATCH_MAX);
    ez_status status = EZ_OK;
    int64_t id = 0;
    ez_directory_enter();
    for (const ez_entry *entry; status == EZ_OK;) {
        entry = ez_directory_next(directory, EZ__V1__KIND__KIND_MODEL, id, false);
        if (!entry)
            break;
        id = ez_entry_id(entry);
        status = add_piece(&all, entry, &scratch);
    }
    ez_directory_leave();
    if (status == EZ_OK)
        status = hash_all(&all, out);
    *models = (int64_t)all.count;
    return status == EZ_OK ? EZ_OK : ez_no_memory(error);
}

// ---- The setting

static bool set_text(char **field, const char *value) {
    if (strcmp(*field, value) == 0)
        return false;
    *field = (char *)value;
    return true;
}

// A version is the time, and greater than the one before whatever the clock says.
static ez_status set_version(ez_txn *txn, Ez__V1__ModelsMeta *meta, ez_error *error) {
    int64_t before = strtoll(meta->version, NULL, 10), now = ez_txn_now_ns(txn);
    int64_t version = now > before ? now : before + 1;
    meta->version = ez_arena_printf(ez_txn_arena(txn), "%lld", (long long)version);
    meta->updated_at = ez_stamp_make(version, ez_txn_arena(txn));
    return meta->version && meta->updated_at ? EZ_OK : ez_no_memory(error);
}

static ez_status set_failure(ez_txn *txn, Ez__V1__ModelsMeta *meta, const ez_error *failure, ez_error *error) {
    bool is_ok = failure->code == EZ_OK;
    if (strcmp(meta->last_error, is_ok ? "" : failure->message) == 0)
        return EZ_OK; // the same again: since when stays
    meta->last_error = (char *)(is_ok ? "" : failure->message);
    meta->last_error_reason = (char *)(is_ok ? "" : failure->reason);
    meta->last_error_at = is_ok ? NULL : ez_stamp_make(ez_txn_now_ns(txn), ez_txn_arena(txn));
    return is_ok || meta->last_error_at ? EZ_OK : ez_no_memory(error);
}

static ez_status count_catalogue(ez_txn *txn, Ez__V1__ModelsMeta *meta, ez_error *error) {
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, SETTING_CATALOGUE, &setting, error);
    if (status != EZ_OK || !setting->model_catalogue)
        return status;
    meta->catalogue_models = setting->model_catalogue->models;
    meta->catalogue_skipped = setting->model_catalogue->skipped;
    return EZ_OK;
}

static ez_status fill(ez_txn *txn, const ez_model_meta_put *put, Ez__V1__ModelsMeta *meta, ez_error *error) {
    bool has_changed = false;
    ez_status status = EZ_OK;
    if (put->origin) {
        has_changed = set_text(&meta->source, put->origin->source);
        has_changed = set_text(&meta->upstream_url, put->origin->upstream_url) || has_changed;
        has_changed = set_text(&meta->upstream_ref, put->origin->upstream_ref) || has_changed;
        status = count_catalogue(txn, meta, error);
    }
    if (put->checksum) {
        has_changed = set_text(&meta->checksum, put->checksum) || has_changed;
        meta->models = put->models;
    }
    if (status == EZ_OK && has_changed)
        status = set_version(txn, meta, error);
    return status == EZ_OK && put->failure ? set_failure(txn, meta, put->failure, error) : status;
}

ez_status ez_model_put_meta(void *self, ez_call *call, void *txn, ProtobufCMessage *request) {
    (void)request;
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_load(txn, SETTING_META, &setting, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ModelsMeta meta = EZ__V1__MODELS_META__INIT;
    meta.source = (char *)"none";
    if (setting->models_meta)
        meta = *setting->models_meta;
    status = fill(txn, self, &meta, &call->error);
    if (status != EZ_OK)
        return status;
    setting->models_meta = &meta;
    return ez_setting_put(txn, setting, &call->error);
}

ez_status ez_model_meta_shown(const ez_directory *directory, ez_model_sync *sync, ez_arena *arena,
                              Ez__V1__ModelsMeta **out, ez_error *error) {
    Ez__V1__Setting *setting;
    ez_status status = ez_setting_read(directory, SETTING_META, arena, &setting, error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ModelsMeta *meta = setting->models_meta;
    if (!meta) {
        meta = ez_arena_alloc(arena, sizeof *meta);
        if (!meta)
            return ez_no_memory(error);
        ez__v1__models_meta__init(meta);
        meta->source = (char *)"none";
    }
    int64_t checked_ns = 0;
    bool is_busy = false;
    if (sync)
        ez_model_sync_state(sync, &checked_ns, &is_busy);
    meta->syncing = is_busy;
    meta->checked_at = checked_ns ? ez_stamp_make(checked_ns, arena) : NULL;
    if (checked_ns && !meta->checked_at)
        return ez_no_memory(error);
    *out = meta;
    return EZ_OK;
}
