// SPDX-License-Identifier: Apache-2.0
//
// Three arrays of the same entries, each sorted by another form of the name, then by provider; a look-up is a binary
// search and a walk over the equals. The message and the names live in one arena.
#include "server/domain/routing/models/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/arena.h"
#include "server/domain/routing/models/catalogue_json.h"
#include "server/domain/routing/provider_type.h"

#define ARENA_MAX (64u << 20)
#define NAME_MAX  255

typedef enum form { FORM_EXACT, FORM_PLAIN, FORM_BARE, FORM_COUNT } form;

typedef struct place {
    const char *name;
    const Ez__V1__CatalogueProvider *provider;
    const Ez__V1__CatalogueModel *model;
} place;

struct ez_catalogue {
    ez_arena arena;
    Ez__V1__ModelCatalogue *message;
    place *forms[FORM_COUNT];
    size_t count;
};

// ---- Forms of a name

// Lower case, behind the last "/". out holds NAME_MAX + 1 bytes.
static void make_plain(const char *name, size_t len, char *out) {
    const char *slash = memrchr(name, '/', len);
    size_t begin = slash && slash + 1 < name + len ? (size_t)(slash + 1 - name) : 0;
    size_t size = len - begin < NAME_MAX ? len - begin : NAME_MAX;
    for (size_t i = 0; i < size; i++) {
        char c = name[begin + i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[size] = 0;
}

// Whether text is as pattern says: "9" stands for a digit.
static bool looks_like(const char *text, const char *pattern) {
    for (; *pattern; pattern++, text++)
        if (*pattern == '9' ? !(*text >= '0' && *text <= '9') : *text != *pattern)
            return false;
    return *text == 0;
}

// Cuts what only says which issue of a model it is, once; something must be left.
static void cut_issue(char *plain) {
    static const char *const endings[] = {"-9999-99-99", "-99999999", "@99999999", "-latest", "@latest", "-999"};
    size_t len = strlen(plain);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t end = strlen(endings[i]);
        if (len > end && looks_like(plain + len - end, endings[i])) {
            plain[len - end] = 0;
            return;
        }
    }
}

// ---- Opening

static int by_name(const void *a, const void *b) {
    const place *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->provider->id, right->provider->id);
}

static bool add(ez_catalogue *catalogue, const Ez__V1__CatalogueProvider *provider,
                const Ez__V1__CatalogueModel *model) {
    char plain[NAME_MAX + 1];
    make_plain(model->id, strlen(model->id), plain);
    const char *kept = ez_arena_strdup(&catalogue->arena, plain);
    cut_issue(plain);
    const char *bare = kept && strcmp(kept, plain) == 0 ? kept : ez_arena_strdup(&catalogue->arena, plain);
    if (!kept || !bare)
        return false;
    catalogue->forms[FORM_EXACT][catalogue->count] = (place){model->id, provider, model};
    catalogue->forms[FORM_PLAIN][catalogue->count] = (place){kept, provider, model};
    catalogue->forms[FORM_BARE][catalogue->count] = (place){bare, provider, model};
    catalogue->count++;
    return true;
}

static bool index_all(ez_catalogue *catalogue) {
    const Ez__V1__ModelCatalogue *message = catalogue->message;
    size_t total = 0;
    for (size_t i = 0; i < message->n_providers; i++)
        total += message->providers[i]->n_models;
    for (int i = 0; i < FORM_COUNT; i++) {
        catalogue->forms[i] = ez_arena_alloc(&catalogue->arena, (total + 1) * sizeof(place));
        if (!catalogue->forms[i])
            return false;
    }
    for (size_t i = 0; i < message->n_providers; i++)
        for (size_t j = 0; j < message->providers[i]->n_models; j++)
            if (!add(catalogue, message->providers[i], message->providers[i]->models[j]))
                return false;
    for (int i = 0; i < FORM_COUNT; i++)
        qsort(catalogue->forms[i], catalogue->count, sizeof(place), by_name);
    return true;
}

ez_status ez_catalogue_open(ez_slice packed, ez_catalogue **out, ez_error *error) {
    ez_catalogue *catalogue = calloc(1, sizeof *catalogue);
    if (!catalogue)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the catalogue of models");
    ez_arena_init(&catalogue->arena, ARENA_MAX);
    catalogue->message = ez__v1__model_catalogue__unpack(ez_arena_allocator(&catalogue->arena), packed.len,
                                                         packed.data ? packed.data : (const uint8_t *)"");
    if (catalogue->message && index_all(catalogue)) {
        *out = catalogue;
        return EZ_OK;
    }
    bool is_broken = !catalogue->message && !catalogue->arena.refused;
    ez_catalogue_close(catalogue);
    return is_broken
               ? ez_error_set(error, EZ_INTERNAL, "CATALOGUE_BROKEN",
                              "the catalogue of models in the store can't be read: sync it anew")
               : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the catalogue of models");
}

ez_status ez_catalogue_open_empty(ez_catalogue **out, ez_error *error) {
    return ez_catalogue_open((ez_slice){NULL, 0}, out, error);
}

void ez_catalogue_close(ez_catalogue *catalogue) {
    if (!catalogue)
        return;
    ez_arena_fini(&catalogue->arena);
    free(catalogue);
}

ez_slice ez_catalogue_checksum(const ez_catalogue *catalogue) {
    return (ez_slice){catalogue->message->checksum.data, catalogue->message->checksum.len};
}

const Ez__V1__ModelCatalogue *ez_catalogue_message(const ez_catalogue *catalogue) {
    return catalogue->message;
}

// ---- Claims

void ez_claim_join(ez_claim *claim, const ez_claim *other) {
    if (claim->kind != other->kind) {
        bool is_known = claim->kind && other->kind;
        claim->kind = is_known ? EZ__V1__MODEL_KIND__MODEL_KIND_OTHER : EZ__V1__MODEL_KIND__MODEL_KIND_UNSPECIFIED;
    }
    // 0 is "not known", and less than anything.
    if (other->context_window < claim->context_window)
        claim->context_window = other->context_window;
    if (other->max_output_tokens < claim->max_output_tokens)
        claim->max_output_tokens = other->max_output_tokens;
    claim->has_cost = claim->has_cost && other->has_cost;
    claim->cost = !claim->has_cost ? 0 : other->cost > claim->cost ? other->cost : claim->cost;
    claim->vision = claim->vision && other->vision;
    claim->functions = claim->functions && other->functions;
    claim->tool_choice = claim->tool_choice && other->tool_choice;
    claim->fim = claim->fim && other->fim;
    claim->stream = claim->stream && other->stream;
}

static ez_claim claim_of(const Ez__V1__CatalogueModel *model, const ez_provider_type *type) {
    bool is_chat = model->kind == EZ__V1__MODEL_KIND__MODEL_KIND_CHAT;
    return (ez_claim){.kind = model->kind,
                      .context_window = model->context_window,
                      .max_output_tokens = model->max_output_tokens,
                      .cost = model->cost,
                      .has_cost = model->has_cost,
                      .vision = model->vision,
                      .functions = model->functions,
                      .tool_choice = model->functions && (model->tool_choice || (type && type->has_tool_choice)),
                      .fim = model->fim,
                      .stream = is_chat && !model->no_stream};
}

// ---- Looking up

// Which providers count: one by its catalogue name, those with a host, or (both NULL) all.
typedef struct scope {
    const char *id;
    const char *host;
} scope;

static bool is_in(const scope *where, const Ez__V1__CatalogueProvider *provider) {
    if (where->id)
        return strcmp(provider->id, where->id) == 0;
    return !where->host || strcmp(provider->host, where->host) == 0;
}

static size_t first_at(const ez_catalogue *catalogue, form by, const char *name) {
    size_t low = 0, high = catalogue->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(catalogue->forms[by][middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Joins what all entries of that name say that are in scope. Returns how many they are.
static size_t join_all(const ez_catalogue *catalogue, form by, const char *name, const scope *where,
                       const ez_provider_type *type, ez_claim *out, char *found) {
    size_t hits = 0;
    const place *places = catalogue->forms[by];
    for (size_t at = first_at(catalogue, by, name); at < catalogue->count && strcmp(places[at].name, name) == 0; at++) {
        if (!is_in(where, places[at].provider))
            continue;
        ez_claim claim = claim_of(places[at].model, type);
        if (hits++ == 0) {
            *out = claim;
            snprintf(found, EZ_CATALOGUE_NAME_MAX, "%s/%s", places[at].provider->id, places[at].model->id);
        } else {
            ez_claim_join(out, &claim);
        }
    }
    if (hits > 1)
        snprintf(found, EZ_CATALOGUE_NAME_MAX, "%s/%s", where->id ? where->id : "*", name);
    return hits;
}

typedef struct wanted {
    char forms[FORM_COUNT][NAME_MAX + 1];
    const ez_provider_type *type;
} wanted;

static bool find_in(const ez_catalogue *catalogue, const wanted *want, const scope *scopes, size_t count, ez_claim *out,
                    char *found) {
    for (int by = FORM_EXACT; by < FORM_COUNT; by++)
        for (size_t i = 0; i < count; i++)
            if (join_all(catalogue, (form)by, want->forms[by], &scopes[i], want->type, out, found) > 0)
                return true;
    return false;
}

// The host in a base URL, as the catalogue has it: lower case, without port. "" where it is none.
static void read_host(ez_slice url, char *out, size_t size) {
    const char *text = (const char *)url.data;
    size_t at = 0, len = 0;
    for (size_t i = 0; i + 2 < url.len && at == 0; i++)
        if (memcmp(text + i, "://", 3) == 0)
            at = i + 3;
    while (at > 0 && at + len < url.len && len + 1 < size && !strchr("/?#:", text[at + len])) {
        char c = text[at + len];
        out[len++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[len] = 0;
}

static bool find_anywhere(const ez_catalogue *catalogue, const wanted *want, ez_slice base_url, ez_claim *out,
                          char *found) {
    char host[256];
    read_host(base_url, host, sizeof host);
    scope scopes[] = {{.host = host}, {0}};
    bool has_host = host[0] && find_in(catalogue, want, &scopes[0], 1, out, found);
    return has_host || find_in(catalogue, want, &scopes[1], 1, out, found);
}

bool ez_catalogue_find(const ez_catalogue *catalogue, const char *provider_type, ez_slice base_url, ez_slice model,
                       ez_claim *out, char *name) {
    wanted want = {.type = ez_provider_type_find(provider_type)};
    snprintf(want.forms[FORM_EXACT], sizeof want.forms[0], "%.*s", (int)(model.len < NAME_MAX ? model.len : NAME_MAX),
             model.len ? (const char *)model.data : "");
    make_plain(want.forms[FORM_EXACT], strlen(want.forms[FORM_EXACT]), want.forms[FORM_PLAIN]);
    memcpy(want.forms[FORM_BARE], want.forms[FORM_PLAIN], sizeof want.forms[0]);
    cut_issue(want.forms[FORM_BARE]);
    scope scopes[EZ_PROVIDER_CATALOGUES] = {{0}};
    size_t count = 0;
    while (want.type && count < EZ_PROVIDER_CATALOGUES && want.type->catalogues[count]) {
        scopes[count].id = want.type->catalogues[count];
        count++;
    }
    name[0] = 0;
    *out = (ez_claim){0};
    if (count > 0 ? find_in(catalogue, &want, scopes, count, out, name)
                  : find_anywhere(catalogue, &want, base_url, out, name))
        return true;
    *out = (ez_claim){.kind = ez_catalogue_guess_kind(want.forms[FORM_PLAIN])};
    return false;
}
