// SPDX-License-Identifier: Apache-2.0
//
// One walk over the text. What an entry says is gathered in a CatalogueModel on the stack and copied into the arena
// when it is whole; members that are not known are stepped over. Nothing is believed that is out of proportion: such an
// entry is left out as a whole, since its other numbers are worth no more.
//
// Awkward: a value of the wrong type is a fault of its entry, not of the text, so kinds are looked at before values are
// taken, and what is wrong is stepped over. And an object that names a member twice says two things: its entry is left
// out too.
#include "server/domain/routing/models/catalogue_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/json_walk.h"
#include "proto/runtime/utf8.h"

#define ID_MAX    255
#define COST_NANO 1e9

typedef struct reading {
    ez_json_walk walk;
    ez_arena *arena;
    ez_error *error;
    Ez__V1__CatalogueProvider **providers;
    size_t provider_count, provider_room;
    Ez__V1__CatalogueModel **models; // of the provider that is being read
    size_t model_count, model_room;
    int64_t taken, skipped;
} reading;

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                        "the catalogue takes more memory than it may: %u MiB", EZ_CATALOGUE_ARENA >> 20);
}

static bool is(ez_slice name, const char *word) {
    return name.len == strlen(word) && memcmp(name.data, word, name.len) == 0;
}

// An array in the arena that grows by doubling; the old halves stay behind in it.
static void *grow(ez_arena *arena, void *items, size_t count, size_t *room) {
    if (count < *room)
        return items;
    size_t more = *room ? *room * 2 : 64;
    void **grown = ez_arena_alloc(arena, more * sizeof(void *));
    if (grown) {
        memcpy(grown, items ? items : (void *)grown, count * sizeof(void *));
        *room = more;
    }
    return grown;
}

// ---- Values: each takes one, false where it is of no use (it was stepped over then)

static bool take_flag(ez_json_walk *walk, protobuf_c_boolean *out) {
    char kind = ez_json_walk_kind(walk);
    bool value;
    if (kind == 't' || kind == 'f') {
        bool ok = ez_json_walk_bool(walk, &value);
        *out = ok && value;
        return ok;
    }
    ez_json_walk_skip(walk);
    return kind == 'n';
}

static bool take_number(ez_json_walk *walk, double max, double *out) {
    char kind = ez_json_walk_kind(walk);
    if (kind != '0') {
        ez_json_walk_skip(walk);
        return kind == 'n';
    }
    return ez_json_walk_number(walk, out) && *out >= 0 && *out <= max;
}

static bool take_tokens(ez_json_walk *walk, int64_t *out) {
    double value = 0;
    if (!take_number(walk, (double)EZ_CATALOGUE_TOKENS, &value) || trunc(value) != value)
        return false;
    *out = (int64_t)value;
    return true;
}

// Whether a list of texts has word. False in *ok where it is no such list.
static bool list_has(ez_json_walk *walk, const char *word, bool *ok) {
    ez_slice none, text;
    bool has = false;
    if (ez_json_walk_kind(walk) != '[') {
        ez_json_walk_skip(walk);
        *ok = false;
        return false;
    }
    ez_json_walk_enter(walk, '[');
    while (ez_json_walk_next(walk, &none)) {
        if (ez_json_walk_kind(walk) == '"' && ez_json_walk_text(walk, &text)) {
            has = has || is(text, word);
        } else {
            ez_json_walk_skip(walk);
            *ok = false;
        }
    }
    return has;
}

// ---- Objects: a table of members, each taken by a function

typedef struct entry {
    Ez__V1__CatalogueModel model;
    bool has_input, has_image_input; // modalities
    bool has_output, has_text_output;
    protobuf_c_boolean attachment, stream;
    double usd; // the dearest price for a million tokens
    bool has_usd;
    char family[64];
} entry;

typedef bool member_fn(ez_json_walk *walk, entry *to);

typedef struct member {
    const char *name;
    member_fn *take;
} member;

// Takes the members that are known; the others are stepped over. False where one is of no use, or there twice, or where
// it is no object.
static bool take_object(ez_json_walk *walk, const member *members, size_t count, entry *to) {
    ez_slice name;
    unsigned seen = 0;
    bool ok = ez_json_walk_kind(walk) == '{';
    if (!ok) {
        ez_json_walk_skip(walk);
        return false;
    }
    ez_json_walk_enter(walk, '{');
    while (ez_json_walk_next(walk, &name)) {
        size_t at = 0;
        while (at < count && !is(name, members[at].name))
            at++;
        if (at == count) {
            ez_json_walk_skip(walk);
            continue;
        }
        ok = members[at].take(walk, to) && !(seen & 1u << at) && ok;
        seen |= 1u << at;
    }
    return ok;
}

static bool take_context(ez_json_walk *walk, entry *to) {
    return take_tokens(walk, &to->model.context_window);
}

static bool take_output_tokens(ez_json_walk *walk, entry *to) {
    return take_tokens(walk, &to->model.max_output_tokens);
}

static bool take_limit(ez_json_walk *walk, entry *to) {
    static const member members[] = {{"context", take_context}, {"output", take_output_tokens}};
    return take_object(walk, members, 2, to);
}

static bool take_input(ez_json_walk *walk, entry *to) {
    bool ok = true;
    to->has_input = true;
    to->has_image_input = list_has(walk, "image", &ok);
    return ok;
}

static bool take_output(ez_json_walk *walk, entry *to) {
    bool ok = true;
    to->has_output = true;
    to->has_text_output = list_has(walk, "text", &ok);
    return ok;
}

static bool take_modalities(ez_json_walk *walk, entry *to) {
    static const member members[] = {{"input", take_input}, {"output", take_output}};
    return take_object(walk, members, 2, to);
}

// Every price there is, those for long contexts (an object of their own) included: the dearest counts.
static bool take_prices(ez_json_walk *walk, entry *to, bool is_nested) {
    ez_slice name;
    bool ok = true;
    ez_json_walk_enter(walk, '{');
    while (ez_json_walk_next(walk, &name)) {
        char kind = ez_json_walk_kind(walk);
        double usd = 0;
        if (kind == '{' && !is_nested) {
            ok = take_prices(walk, to, true) && ok;
        } else if (kind == '0') {
            ok = take_number(walk, EZ_CATALOGUE_USD, &usd) && ok;
            to->has_usd = true;
            to->usd = usd > to->usd ? usd : to->usd;
        } else {
            ok = ez_json_walk_skip(walk) && ok && kind == 'n';
        }
    }
    return ok;
}

static bool take_cost(ez_json_walk *walk, entry *to) {
    char kind = ez_json_walk_kind(walk);
    if (kind == '{')
        return take_prices(walk, to, false);
    ez_json_walk_skip(walk);
    return kind == 'n';
}

static bool take_attachment(ez_json_walk *walk, entry *to) {
    return take_flag(walk, &to->attachment);
}

static bool take_tool_call(ez_json_walk *walk, entry *to) {
    return take_flag(walk, &to->model.functions);
}

static bool take_tool_choice(ez_json_walk *walk, entry *to) {
    return take_flag(walk, &to->model.tool_choice);
}

static bool take_fim(ez_json_walk *walk, entry *to) {
    return take_flag(walk, &to->model.fim);
}

static bool take_stream(ez_json_walk *walk, entry *to) {
    return take_flag(walk, &to->stream);
}

static bool take_family(ez_json_walk *walk, entry *to) {
    ez_slice raw;
    char kind = ez_json_walk_kind(walk);
    if (kind != '"' || !ez_json_walk_text(walk, &raw)) {
        ez_json_walk_skip(walk);
        return kind == 'n';
    }
    if (ez_json_walk_unescape(raw, to->family, sizeof to->family) == SIZE_MAX)
        to->family[0] = 0; // a long one: it is only a hint
    return true;
}

static bool take_entry(ez_json_walk *walk, entry *to) {
    static const member members[] = {
        {"limit", take_limit},           {"modalities", take_modalities},   {"cost", take_cost},
        {"attachment", take_attachment}, {"tool_call", take_tool_call},     {"family", take_family},
        {"stream", take_stream},         {"tool_choice", take_tool_choice}, {"fim", take_fim},
    };
    return take_object(walk, members, sizeof members / sizeof members[0], to);
}

// ---- Names

// The name a raw text is, in the arena. False where no model or provider is called so; NULL in *out: no memory.
static bool take_name(reading *r, ez_slice raw, char **out) {
    char name[ID_MAX + 1];
    size_t len = ez_json_walk_unescape(raw, name, sizeof name);
    *out = NULL;
    if (len == 0 || len == SIZE_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
            return false;
    *out = ez_arena_strndup(r->arena, name, len);
    return true;
}

Ez__V1__ModelKind ez_catalogue_guess_kind(const char *name) {
    if (strcasestr(name, "rerank"))
        return EZ__V1__MODEL_KIND__MODEL_KIND_RERANK;
    if (strcasestr(name, "embed") || strcasestr(name, "bge-"))
        return EZ__V1__MODEL_KIND__MODEL_KIND_EMBEDDING;
    return EZ__V1__MODEL_KIND__MODEL_KIND_UNSPECIFIED;
}

// ---- A model

static Ez__V1__ModelKind kind_of(const entry *from, const char *id) {
    Ez__V1__ModelKind kind = ez_catalogue_guess_kind(from->family);
    if (!kind)
        kind = ez_catalogue_guess_kind(id);
    if (kind)
        return kind;
    return from->has_output && !from->has_text_output ? EZ__V1__MODEL_KIND__MODEL_KIND_OTHER
                                                      : EZ__V1__MODEL_KIND__MODEL_KIND_CHAT;
}

static ez_status keep_model(reading *r, const entry *from, char *id) {
    Ez__V1__CatalogueModel *model = ez_arena_memdup(r->arena, &from->model, sizeof from->model);
    Ez__V1__CatalogueModel **models = grow(r->arena, r->models, r->model_count, &r->model_room);
    if (!model || !models)
        return no_memory(r->error);
    r->models = models;
    model->id = id;
    model->kind = kind_of(from, id);
    model->has_cost = from->has_usd;
    model->cost = (int64_t)llround(from->usd * COST_NANO);
    model->vision = from->has_input ? from->has_image_input : from->attachment;
    model->no_stream = !from->stream;
    r->models[r->model_count++] = model;
    return EZ_OK;
}

static ez_status read_model(reading *r, ez_slice raw) {
    entry from = {.model = EZ__V1__CATALOGUE_MODEL__INIT, .stream = true};
    char *id;
    bool has_name = take_name(r, raw, &id);
    if (has_name && !id)
        return no_memory(r->error);
    if (!take_entry(&r->walk, &from) || !has_name) {
        r->skipped += !r->walk.fault;
        return EZ_OK;
    }
    if (r->taken + (int64_t)r->model_count == EZ_CATALOGUE_MODELS)
        return ez_error_set(r->error, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                            "the catalogue has more than %d models: give one that has fewer providers",
                            EZ_CATALOGUE_MODELS);
    return keep_model(r, &from, id);
}

// ---- A provider

static int by_model_id(const void *a, const void *b) {
    const Ez__V1__CatalogueModel *const *left = a, *const *right = b;
    return strcmp((*left)->id, (*right)->id);
}

// Sorts the provider's models and drops what is there twice: names that differ in nothing are not two models, and which
// of them is right is not known.
static void sort_models(reading *r, Ez__V1__CatalogueProvider *provider) {
    size_t kept = 0;
    if (r->model_count > 0)
        qsort(r->models, r->model_count, sizeof *r->models, by_model_id);
    for (size_t i = 0; i < r->model_count;) {
        size_t end = i + 1;
        while (end < r->model_count && strcmp(r->models[end]->id, r->models[i]->id) == 0)
            end++;
        if (end == i + 1)
            r->models[kept++] = r->models[i];
        else
            r->skipped += (int64_t)(end - i);
        i = end;
    }
    r->taken += (int64_t)kept;
    provider->models = r->models;
    provider->n_models = kept;
    r->models = NULL; // the next provider has an array of its own
    r->model_count = r->model_room = 0;
}

// The host of a URL, in lower case; "" where it has none.
static char *host_of(const char *url, ez_arena *arena) {
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    size_t len = strcspn(begin, "/?#");
    const char *at = memchr(begin, '@', len);
    if (at) {
        len -= (size_t)(at + 1 - begin);
        begin = at + 1;
    }
    size_t port = strcspn(begin, ":");
    char *host = ez_arena_strndup(arena, begin, port < len ? port : len);
    for (char *c = host; c && *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    return host;
}

static ez_status read_api(reading *r, Ez__V1__CatalogueProvider *provider) {
    char url[1024];
    ez_slice raw;
    if (ez_json_walk_kind(&r->walk) != '"' || !ez_json_walk_text(&r->walk, &raw)) {
        ez_json_walk_skip(&r->walk);
        return EZ_OK;
    }
    if (ez_json_walk_unescape(raw, url, sizeof url) == SIZE_MAX)
        return EZ_OK;
    provider->host = host_of(url, r->arena);
    return provider->host ? EZ_OK : no_memory(r->error);
}

static ez_status read_models(reading *r) {
    ez_status status = EZ_OK;
    ez_slice raw;
    if (ez_json_walk_kind(&r->walk) != '{') {
        r->skipped += ez_json_walk_skip(&r->walk);
        return EZ_OK;
    }
    ez_json_walk_enter(&r->walk, '{');
    while (status == EZ_OK && ez_json_walk_next(&r->walk, &raw))
        status = read_model(r, raw);
    return status;
}

static ez_status read_members(reading *r, Ez__V1__CatalogueProvider *provider) {
    ez_status status = EZ_OK;
    ez_slice name;
    ez_json_walk_enter(&r->walk, '{');
    while (status == EZ_OK && ez_json_walk_next(&r->walk, &name)) {
        if (is(name, "models"))
            status = read_models(r);
        else if (is(name, "api"))
            status = read_api(r, provider);
        else
            ez_json_walk_skip(&r->walk);
    }
    return status;
}

static ez_status read_provider(reading *r, ez_slice raw) {
    char *id;
    bool has_name = take_name(r, raw, &id);
    if (has_name && !id)
        return no_memory(r->error);
    if (!has_name || ez_json_walk_kind(&r->walk) != '{') {
        r->skipped += ez_json_walk_skip(&r->walk);
        return EZ_OK;
    }
    if (r->provider_count == EZ_CATALOGUE_PROVIDERS)
        return ez_error_set(r->error, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                            "the catalogue has more than %d providers", EZ_CATALOGUE_PROVIDERS);
    Ez__V1__CatalogueProvider *provider = ez_arena_alloc(r->arena, sizeof *provider);
    Ez__V1__CatalogueProvider **providers = grow(r->arena, r->providers, r->provider_count, &r->provider_room);
    if (!provider || !providers)
        return no_memory(r->error);
    ez__v1__catalogue_provider__init(provider);
    provider->id = id;
    r->providers = providers;
    r->providers[r->provider_count++] = provider;
    ez_status status = read_members(r, provider);
    sort_models(r, provider);
    return status;
}

static int by_provider_id(const void *a, const void *b) {
    const Ez__V1__CatalogueProvider *const *left = a, *const *right = b;
    return strcmp((*left)->id, (*right)->id);
}

// As with models: of providers with one name none is taken.
static void sort_providers(reading *r) {
    size_t kept = 0;
    if (r->provider_count > 0)
        qsort(r->providers, r->provider_count, sizeof *r->providers, by_provider_id);
    for (size_t i = 0; i < r->provider_count;) {
        size_t end = i + 1;
        while (end < r->provider_count && strcmp(r->providers[end]->id, r->providers[i]->id) == 0)
            end++;
        for (size_t j = i; end > i + 1 && j < end; j++) {
            r->taken -= (int64_t)r->providers[j]->n_models;
            r->skipped += (int64_t)r->providers[j]->n_models;
        }
        if (end == i + 1 && r->providers[i]->n_models > 0)
            r->providers[kept++] = r->providers[i];
        i = end;
    }
    r->provider_count = kept;
}

// ---- The whole

static ez_status invalid(reading *r) {
    return ez_error_set(r->error, EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID",
                        "the catalogue is not JSON as models.dev has it: %s at byte %zu", r->walk.fault, r->walk.at);
}

static ez_status read_all(reading *r) {
    ez_status status = EZ_OK;
    ez_slice name;
    if (ez_json_walk_enter(&r->walk, '{'))
        while (status == EZ_OK && ez_json_walk_next(&r->walk, &name))
            status = read_provider(r, name);
    if (status == EZ_OK && !ez_json_walk_end(&r->walk))
        status = invalid(r);
    return status;
}

static ez_status finish(reading *r, Ez__V1__ModelCatalogue **out) {
    sort_providers(r);
    if (r->skipped > r->taken)
        return ez_error_set(r->error, EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID",
                            "%lld of the catalogue's entries are malformed and %lld are not: it is not in the form of "
                            "models.dev's api.json",
                            (long long)r->skipped, (long long)r->taken);
    Ez__V1__ModelCatalogue *made = ez_arena_alloc(r->arena, sizeof *made);
    if (!made)
        return no_memory(r->error);
    ez__v1__model_catalogue__init(made);
    made->providers = r->providers;
    made->n_providers = r->provider_count;
    size_t size = protobuf_c_message_get_packed_size(&made->base);
    if (size > EZ_CATALOGUE_MAX)
        return ez_error_set(r->error, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                            "what is to be kept of the catalogue has %zu bytes, at most %u can be: give one that has "
                            "fewer providers",
                            size, EZ_CATALOGUE_MAX);
    uint8_t *packed = ez_arena_alloc(r->arena, size + EZ_SHA256_LEN);
    if (!packed)
        return no_memory(r->error);
    protobuf_c_message_pack(&made->base, packed);
    made->checksum = (ProtobufCBinaryData){EZ_SHA256_LEN, packed + size};
    ez_sha256(packed, size, made->checksum.data);
    made->models = r->taken;
    made->skipped = r->skipped;
    *out = made;
    return EZ_OK;
}

ez_status ez_catalogue_parse(const char *text, size_t len, ez_arena *arena, Ez__V1__ModelCatalogue **out,
                             ez_error *error) {
    if (len > EZ_CATALOGUE_TEXT_MAX)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                            "the catalogue has %zu bytes, at most %u are read", len, EZ_CATALOGUE_TEXT_MAX);
    size_t good = 0;
    for (size_t step; good < len && (step = ez_utf8_next(text + good, len - good, NULL)) > 0;)
        good += step;
    if (good < len)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID",
                            "the catalogue is not UTF-8 at byte %zu: was it compressed?", good);
    reading r = {.arena = arena, .error = error};
    ez_json_walk_init(&r.walk, text, len);
    ez_status status = read_all(&r);
    return status == EZ_OK ? finish(&r, out) : status;
}
