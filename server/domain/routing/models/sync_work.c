// SPDX-License-Identifier: Apache-2.0
//
// What a sync does. Each write is a transaction of the writer's, waited for; between two of them everybody else's come.
//
// The awkward case is a catalogue that can't be had: what is in the store stays. Only where nothing is there yet, as on
// a new store, the copy of what the URL gave before is better than nothing.
#include "server/domain/routing/models/sync_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"
#include "proto/runtime/json_walk.h"
#include "proto/runtime/log.h"
#include "server/domain/routing/models/catalogue_json.h"

#define WRITE_NS 60000000000ull // for one transaction
#define URL_MAX  2048
#define REF_MAX  EZ_MODEL_ETAG_MAX

// Where a text came from.
typedef struct origin {
    const char *source;
    char url[URL_MAX];
    char ref[REF_MAX];
} origin;

static bool is_set(const char *text) {
    return text && text[0];
}

bool ez_model_work_is_lost(const ez_error *error) {
    return error->code == EZ_ABORTED && strcmp(error->reason, "LEASE_LOST") == 0;
}

bool ez_model_work_has_source(const ez_model_work *work) {
    return is_set(work->options.file) || is_set(work->options.url);
}

// ---- Writing

static ez_status run(ez_model_work *work, const ez_model_asker *asker, ez_handler *handler, void *self,
                     ez_error *error) {
    if (atomic_load(&work->is_stopping))
        return ez_error_set(error, EZ_UNAVAILABLE, "STOPPING", "the server is stopping: try again");
    ez_call *call;
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    if (ez_call_create_system("models", &call) != EZ_OK)
        return ez_no_memory(error);
    if (asker && asker->method) {
        call->method = asker->method;
        memcpy(call->principal.actor, asker->actor, sizeof call->principal.actor);
        memcpy(call->request_id, asker->request_id, sizeof call->request_id);
        memcpy(call->remote, asker->remote, sizeof call->remote);
    }
    call->deadline_ns = ez_clock_mono_ns() + WRITE_NS;
    ez_status status =
        ez_writer_run_fenced(work->options.writer, work->fence, call, handler, self, &nothing.base, error);
    ez_call_destroy_system(call);
    return status;
}

ez_status ez_model_work_derive(ez_model_work *work, const ez_model_asker *asker, ez_model_outcome *out,
                               ez_error *error) {
    ez_model_step step = {.deriver = work->options.deriver};
    ez_status status = EZ_OK;
    while (status == EZ_OK && !step.is_done) {
        status = run(work, asker, ez_model_run_step, &step, error);
        step.is_second = step.next_is_second;
        step.after = step.next_after;
        out->models_changed += status == EZ_OK ? (int64_t)step.changed : 0;
    }
    return status;
}

// ---- The checksum

// The newest revision among the models, and how many there are: they have changed where either has.
static void look(ez_model_work *work, uint64_t *revision, size_t *models) {
    int64_t id = 0;
    *revision = 0;
    *models = 0;
    ez_directory_enter();
    for (const ez_entry *entry;
         (entry = ez_directory_next(work->options.directory, EZ__V1__KIND__KIND_MODEL, id, false));) {
        id = ez_entry_id(entry);
        *revision = ez_entry_revision(entry) > *revision ? ez_entry_revision(entry) : *revision;
        ++*models;
    }
    ez_directory_leave();
}

// Puts origin and failure too, where they are given.
static ez_status put_meta(ez_model_work *work, const ez_model_asker *asker, const ez_model_origin *from,
                          const ez_error *failure, ez_error *error) {
    char checksum[EZ_MODEL_CHECKSUM_TEXT];
    ez_model_meta_put put = {.origin = from, .checksum = checksum, .failure = failure};
    uint64_t revision;
    size_t models;
    look(work, &revision, &models); // before: what changes in between is seen as new the next time
    ez_status status = ez_model_checksum(work->options.directory, checksum, &put.models, error);
    if (status == EZ_OK)
        status = run(work, asker, ez_model_put_meta, &put, error);
    if (status == EZ_OK) {
        work->seen_revision = revision;
        work->seen_models = models;
        work->has_seen = true;
    }
    return status;
}

static bool has_setting(const ez_model_work *work, const char *name) {
    ez_directory_enter();
    bool has = ez_directory_find(work->options.directory, EZ_INDEX_SETTING_NAME, ez_index_text(name));
    ez_directory_leave();
    return has;
}

// Nobody reads a meta of models of which nothing is known; and it costs a revision after each change of a binding.
static bool keeps_meta(const ez_model_work *work) {
    return work->options.keeps_meta || ez_model_work_has_source(work) || has_setting(work, SETTING_META);
}

ez_status ez_model_work_watch(ez_model_work *work, ez_error *error) {
    if (!keeps_meta(work))
        return EZ_OK;
    uint64_t revision;
    size_t models;
    look(work, &revision, &models);
    bool is_same = work->has_seen ? revision == work->seen_revision && models == work->seen_models
                                  : models == 0 && !has_setting(work, SETTING_META);
    return is_same ? EZ_OK : put_meta(work, NULL, NULL, NULL, error);
}

// ---- Reading

static void name_hash(const ez_model_text *text, char *ref) {
    uint8_t hash[EZ_SHA256_LEN];
    char hex[2 * EZ_SHA256_LEN + 1];
    ez_sha256(text->data, text->len, hash);
    ez_hex(hash, sizeof hash, hex);
    snprintf(ref, REF_MAX, "sha256:%.16s", hex);
}

// The ETag without its quotes, else the beginning of a hash.
static void name_ref(const ez_model_text *text, char *ref) {
    const char *etag = text->etag;
    etag += strncmp(etag, "W/", 2) == 0 ? 2 : 0;
    size_t len = strlen(etag);
    if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
        etag++;
        len -= 2;
    }
    if (len == 0)
        name_hash(text, ref);
    else
        snprintf(ref, REF_MAX, "%.*s", (int)len, etag);
}

static void name_url(const char *url, const char *source, const ez_model_text *text, origin *out) {
    out->source = source;
    snprintf(out->url, sizeof out->url, "%.*s", (int)strcspn(url, "?#"), url);
    name_ref(text, out->ref);
}

static ez_status read_file(const ez_model_work *work, ez_model_text *out, origin *from, ez_error *error) {
    const char *slash = strrchr(work->options.file, '/');
    from->source = "file";
    snprintf(from->url, sizeof from->url, "file:%s", slash ? slash + 1 : work->options.file);
    ez_status status = ez_model_file_read(work->options.file, out, error);
    if (status == EZ_OK)
        name_hash(out, from->ref);
    return status;
}

// fresh: the text came anew, and is to be kept once it turned out to be a catalogue.
static ez_status read_url(ez_model_work *work, bool force, ez_model_text *out, bool *fresh, origin *from,
                          ez_error *error) {
    const ez_model_sync_options *options = &work->options;
    ez_model_text copy = {.data = NULL};
    bool is_same = false, has_copy = ez_model_copy_read(options->home, options->url, &copy);
    ez_status status =
        ez_model_fetch_get(work->fetch, options->url, has_copy && !force ? copy.etag : "", out, &is_same, error);
    if (status == EZ_OK && is_same) {
        *out = copy;
        copy.data = NULL;
    }
    if (status == EZ_OK) {
        name_url(options->url, "url", out, from);
        *fresh = !is_same;
    }
    ez_model_text_fini(&copy);
    return status;
}

// ---- From text to models

// "{}", as somebody writes it who wants no catalogue. Anything else without a model is a mistake.
static bool is_cleared(const ez_model_text *text) {
    ez_json_walk walk;
    ez_slice name;
    ez_json_walk_init(&walk, text->data, text->len);
    return ez_json_walk_enter(&walk, '{') && !ez_json_walk_next(&walk, &name) && ez_json_walk_end(&walk);
}

static ez_status apply(ez_model_work *work, const ez_model_asker *asker, const ez_model_text *text, ez_arena *arena,
                       ez_model_outcome *out, ez_error *error) {
    ez_model_catalogue_put put = {.catalogue = NULL};
    ez_status status = ez_catalogue_parse(text->data, text->len, arena, &put.catalogue, error);
    if (status == EZ_OK && put.catalogue->models == 0 && !(is_set(work->options.file) && is_cleared(text)))
        status = ez_error_set(error, EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID",
                              "the catalogue has no models: the one there was stays; a file that is {} clears it");
    if (status == EZ_OK)
        status = run(work, asker, ez_model_put_catalogue, &put, error);
    out->catalogue_changed = status == EZ_OK && put.has_changed;
    return status == EZ_OK ? ez_model_work_derive(work, asker, out, error) : status;
}

static ez_status take(ez_model_work *work, const ez_model_asker *asker, bool force, ez_model_outcome *out, origin *from,
                      ez_error *error) {
    ez_auto(ez_model_text) text = {.data = NULL};
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, EZ_CATALOGUE_ARENA);
    bool is_fresh = false;
    ez_status status = is_set(work->options.file) ? read_file(work, &text, from, error)
                                                  : read_url(work, force, &text, &is_fresh, from, error);
    if (status == EZ_OK)
        status = apply(work, asker, &text, &arena, out, error);
    ez_error why = EZ_ERROR_INIT;
    if (status == EZ_OK && is_fresh && ez_model_copy_write(work->options.home, work->options.url, &text, &why) != EZ_OK)
        ez_log_warn("the copy of the catalogue of models was not kept", "message", why.message);
    return status;
}

// Where nothing is there yet.
static bool take_copy(ez_model_work *work, const ez_model_asker *asker, ez_model_outcome *out, origin *from) {
    ez_auto(ez_model_text) text = {.data = NULL};
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, EZ_CATALOGUE_ARENA);
    ez_error ignored = EZ_ERROR_INIT;
    if (!is_set(work->options.url) || has_setting(work, SETTING_CATALOGUE) ||
        !ez_model_copy_read(work->options.home, work->options.url, &text))
        return false;
    name_url(work->options.url, "cache", &text, from);
    return apply(work, asker, &text, &arena, out, &ignored) == EZ_OK;
}

ez_status ez_model_work_sync(ez_model_work *work, const ez_model_asker *asker, bool force, ez_model_outcome *out,
                             ez_error *error) {
    origin from = {.source = "none"};
    ez_error failure = EZ_ERROR_INIT;
    *out = (ez_model_outcome){0};
    ez_status status = take(work, asker, force, out, &from, &failure);
    if (status != EZ_OK && ez_model_work_is_lost(&failure))
        return ez_error_copy(error, &failure);
    bool has_origin = status == EZ_OK || take_copy(work, asker, out, &from);
    ez_model_origin shown = {from.source, from.url, from.ref};
    bool is_stopping = atomic_load(&work->is_stopping);
    ez_status noted = is_stopping
                          ? EZ_OK
                          : put_meta(work, asker, has_origin ? &shown : NULL, &failure, status == EZ_OK ? error : NULL);
    return status == EZ_OK ? noted : ez_error_copy(error, &failure);
}
