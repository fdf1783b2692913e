// SPDX-License-Identifier: Apache-2.0
//
// What a data plane would choose for a model, and why not the others, in words. Nothing here decides anything: it reads
// what bindings, groups and API keys say and adds up the weights. At most 1,000 candidates and 10,000 upstreams are
// listed, so that the reply fits.
#include <string.h>

#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "ez/v1/namespace.pb-c.h"
#include "proto/runtime/wire.h"
#include "server/domain/routing/inside.h"
#include "server/state/metering/quota.h"

#define CANDIDATES_MAX 1000u
#define UPSTREAMS_MAX  10000u

typedef struct explain {
    const ez_directory *directory;
    const ez_counters *counters;
    ez_call *call;
    Ez__V1__ExplainRouteResponse reply;
    size_t upstreams_left;
} explain;

static ez_arena *arena_of(explain *e) {
    return &e->call->arena;
}

// ---- The reference

// Splits at the first dot; without one the default namespace is meant.
static ez_status split(explain *e, const char *model, const char *default_namespace) {
    const char *dot = strchr(model, '.');
    char *name = dot ? ez_arena_strndup(arena_of(e), model, (size_t)(dot - model))
                     : ez_arena_strdup(arena_of(e), default_namespace);
    char *public_model = ez_arena_strdup(arena_of(e), dot ? dot + 1 : model);
    if (!name || !public_model)
        return ez_no_memory(&e->call->error);
    e->reply.namespace_ = name;
    e->reply.public_model = public_model;
    return EZ_OK;
}

// The first reason stays.
static ez_status refuse(explain *e, char *why) {
    if (!why)
        return ez_no_memory(&e->call->error);
    if (!e->reply.refused[0])
        e->reply.refused = why;
    return EZ_OK;
}

// ---- The key

static bool list_has(size_t count, char *const *list, const char *text) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

// Why the key would not be let in at all; NULL: it would.
static const char *judge_key(const ez_counters *counters, const Ez__V1__Key *key, int64_t now_ns) {
    if (key->status == EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED)
        return "is disabled";
    if (key->status == EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED || ez_stamp_has_passed(key->expires_at, now_ns))
        return "has expired";
    int64_t used = ez_quota_used(counters, key->id, key->quota_used, key->quota_carried);
    bool is_used_up = key->opt_quota_limit_case != 0 && key->quota_limit >= 0 && used >= key->quota_limit;
    if (key->status == EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED || is_used_up)
        return "has used up its quota";
    return NULL;
}

static bool may_use_namespace(const Ez__V1__Key *key, const Ez__V1__Master *master, const char *name) {
    if (key->n_namespaces > 0)
        return list_has(key->n_namespaces, key->namespaces, name);
    return strcmp(master->default_namespace, name) == 0 || list_has(master->n_namespaces, master->namespaces, name);
}

static bool may_use_model(explain *e, const Ez__V1__Key *key) {
    if (!key->model_limits_enabled || list_has(key->n_model_limits, key->model_limits, e->reply.public_model))
        return true;
    const char *full = ez_arena_printf(arena_of(e), "%s.%s", e->reply.namespace_, e->reply.public_model);
    return full && list_has(key->n_model_limits, key->model_limits, full);
}

static ez_status judge_access(explain *e, const Ez__V1__Key *key, const Ez__V1__Master *master) {
    ez_status status = EZ_OK;
    const char *why = judge_key(e->counters, key, e->call->time_ns);
    long long id = (long long)key->id;
    if (why)
        status = refuse(e, ez_arena_printf(arena_of(e), "key %lld (%s) %s", id, key->name, why));
    if (status == EZ_OK && master->status == EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED)
        status = refuse(
            e, ez_arena_printf(arena_of(e), "master %lld (%s) is suspended", (long long)master->id, master->name));
    if (status == EZ_OK && !may_use_namespace(key, master, e->reply.namespace_))
        status = refuse(e, ez_arena_printf(arena_of(e), "namespace \"%s\" is not among those of key %lld",
                                           e->reply.namespace_, id));
    if (status == EZ_OK && !may_use_model(e, key))
        status = refuse(e, ez_arena_printf(arena_of(e), "model \"%s\" is not among the model_limits of key %lld",
                                           e->reply.public_model, id));
    return status;
}

static ez_status start_as_key(explain *e, const Ez__V1__ExplainRouteRequest *request) {
    const ez_entry *entry = ez_directory_get(e->directory, KIND_KEY, request->key_id);
    if (!entry)
        return ez_kind_missing(KIND_KEY, request->key_id, &e->call->error);
    const Ez__V1__Key *key = (const Ez__V1__Key *)ez_entry_unpack(entry, arena_of(e));
    entry = key ? ez_directory_get(e->directory, KIND_MASTER, key->master_id) : NULL;
    if (key && !entry) // both are being deleted
        return ez_kind_missing(KIND_KEY, request->key_id, &e->call->error);
    const Ez__V1__Master *master = entry ? (const Ez__V1__Master *)ez_entry_unpack(entry, arena_of(e)) : NULL;
    if (!master)
        return ez_no_memory(&e->call->error);
    const char *own = key->default_namespace[0] ? key->default_namespace : master->default_namespace;
    ez_status status = split(e, request->model, own);
    return status == EZ_OK ? judge_access(e, key, master) : status;
}

static ez_status judge_namespace(explain *e) {
    const char *name = e->reply.namespace_;
    const ez_entry *entry = ez_directory_find(e->directory, EZ_INDEX_NAMESPACE_NAME, ez_index_text(name));
    if (!entry)
        return refuse(e, ez_arena_printf(arena_of(e), "there is no namespace \"%s\"", name));
    ez_slice data = ez_entry_data(entry);
    ez_wire_field status;
    if (ez_wire_find(data.data, data.len, 4, &status) &&
        status.varint == EZ__V1__NAMESPACE_STATUS__NAMESPACE_STATUS_DISABLED)
        return refuse(e, ez_arena_printf(arena_of(e), "namespace \"%s\" is disabled", name));
    return EZ_OK;
}

// ---- Candidates and their API keys

static const char *judge_api_key(const ez_entry *entry, int32_t weight, int64_t now_ns) {
    switch (ez_api_key_status(entry, now_ns)) {
    case API_KEY_DISABLED:
        return "it is disabled";
    case API_KEY_BANNED:
        return "it is banned";
    case API_KEY_EXPIRED:
        return "its access token has expired and there is no refresh token";
    default:
        return weight == 0 ? "its weight is 0" : NULL;
    }
}

// Without its name.
static void judge_upstream(explain *e, const ez_entry *entry, Ez__V1__RouteUpstream *out) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field weight = {.varint = 0};
    ez_wire_find(data.data, data.len, 12, &weight);
    ez__v1__route_upstream__init(out);
    out->api_key_id = ez_entry_id(entry);
    out->weight = (int32_t)weight.varint;
    const char *why = judge_api_key(entry, out->weight, e->call->time_ns);
    out->eligible = why == NULL;
    out->why_not = (char *)(why ? why : "");
}

static ez_status name_upstream(explain *e, const ez_entry *entry, Ez__V1__RouteUpstream *out) {
    ez_slice data = ez_entry_data(entry);
    ez_wire_field name = {.number = 0};
    ez_wire_find(data.data, data.len, 3, &name);
    out->name = ez_arena_strndup(arena_of(e), name.bytes.len ? (const char *)name.bytes.data : "", name.bytes.len);
    return out->name ? EZ_OK : ez_no_memory(&e->call->error);
}

static void share_out(Ez__V1__RouteUpstream **upstreams, size_t count, int64_t total) {
    for (size_t i = 0; i < count; i++)
        if (upstreams[i]->eligible)
            upstreams[i]->share = (double)upstreams[i]->weight / (double)total;
}

// Lists the group's API keys; *total is the weight of the eligible ones, the unlisted included.
static ez_status list_upstreams(explain *e, Ez__V1__RouteCandidate *candidate, int64_t *total) {
    ez_index_key key = ez_index_id(candidate->group_id);
    size_t count = ez_directory_member_count(e->directory, EZ_INDEX_API_KEY_BY_GROUP, key);
    size_t room = count < e->upstreams_left ? count : e->upstreams_left;
    candidate->upstreams = ez_arena_alloc(arena_of(e), (room + 1) * sizeof(Ez__V1__RouteUpstream *));
    Ez__V1__RouteUpstream *upstreams = ez_arena_alloc(arena_of(e), (room + 1) * sizeof *upstreams);
    if (!candidate->upstreams || !upstreams)
        return ez_no_memory(&e->call->error);
    *total = 0;
    int64_t id = 0;
    for (const ez_entry *entry;
         (entry = ez_directory_member(e->directory, EZ_INDEX_API_KEY_BY_GROUP, key, id, false));) {
        id = ez_entry_id(entry);
        bool is_listed = candidate->n_upstreams < room;
        Ez__V1__RouteUpstream unlisted, *upstream = is_listed ? &upstreams[candidate->n_upstreams] : &unlisted;
        judge_upstream(e, entry, upstream);
        *total += upstream->eligible ? upstream->weight : 0;
        if (!is_listed)
            continue;
        ez_status status = name_upstream(e, entry, upstream);
        if (status != EZ_OK)
            return status;
        candidate->upstreams[candidate->n_upstreams++] = upstream;
    }
    e->upstreams_left -= candidate->n_upstreams;
    share_out(candidate->upstreams, candidate->n_upstreams, *total);
    return EZ_OK;
}

// Why a data plane would not use the candidate; NULL: it would.
static const char *judge_candidate(const Ez__V1__Binding *binding, uint64_t group_status, int64_t keys_weight) {
    if (binding->status == EZ__V1__BINDING_STATUS__BINDING_STATUS_DISABLED)
        return "the binding is disabled";
    if (group_status == GROUP_DISABLED)
        return "the provider group is disabled";
    if (binding->error != EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE)
        return binding->error_detail[0] ? binding->error_detail : "the binding has no upstream model";
    if (keys_weight == 0)
        return "the provider group has no API key that can be used now";
    return binding->weight == 0 ? "the binding's weight is 0" : NULL;
}

static ez_status fill_candidate(explain *e, const Ez__V1__Binding *binding, Ez__V1__RouteCandidate *out) {
    ez__v1__route_candidate__init(out);
    out->binding_id = binding->id;
    out->group_id = binding->group_id;
    out->weight = binding->weight;
    out->upstream_model = binding->upstream_model;
    const ez_entry *group = ez_directory_get(e->directory, KIND_PROVIDER_GROUP, binding->group_id);
    ez_wire_field name = {.number = 0}, type = {.number = 0}, group_status = {.varint = GROUP_DISABLED};
    if (group) {
        ez_slice data = ez_entry_data(group);
        ez_wire_find(data.data, data.len, 2, &name);
        ez_wire_find(data.data, data.len, 3, &type);
        ez_wire_find(data.data, data.len, 10, &group_status);
    }
    out->group_name =
        ez_arena_strndup(arena_of(e), name.bytes.len ? (const char *)name.bytes.data : "", name.bytes.len);
    out->provider_type =
        ez_arena_strndup(arena_of(e), type.bytes.len ? (const char *)type.bytes.data : "", type.bytes.len);
    if (!out->group_name || !out->provider_type)
        return ez_no_memory(&e->call->error);
    int64_t keys_weight = 0;
    ez_status status = list_upstreams(e, out, &keys_weight);
    const char *why = status == EZ_OK ? judge_candidate(binding, group_status.varint, keys_weight) : NULL;
    out->eligible = why == NULL;
    out->why_not = (char *)(why ? why : "");
    return status;
}

static ez_status list_candidates(explain *e) {
    ez_index_key key = ez_index_model(e->reply.namespace_, e->reply.public_model, arena_of(e));
    size_t count = ez_directory_member_count(e->directory, EZ_INDEX_BINDING_BY_MODEL, key);
    if (count == 0 && refuse(e, ez_arena_printf(arena_of(e), "no binding of namespace \"%s\" has the model \"%.200s\"",
                                                e->reply.namespace_, e->reply.public_model)) != EZ_OK)
        return EZ_RESOURCE_EXHAUSTED;
    size_t room = count < CANDIDATES_MAX ? count : CANDIDATES_MAX;
    Ez__V1__RouteCandidate *candidates = ez_arena_alloc(arena_of(e), (room + 1) * sizeof *candidates);
    e->reply.candidates = ez_arena_alloc(arena_of(e), (room + 1) * sizeof(Ez__V1__RouteCandidate *));
    if (!candidates || !e->reply.candidates)
        return ez_no_memory(&e->call->error);
    int64_t id = 0, total = 0;
    for (const ez_entry *entry; e->reply.n_candidates < room;) {
        entry = ez_directory_member(e->directory, EZ_INDEX_BINDING_BY_MODEL, key, id, false);
        if (!entry)
            break;
        id = ez_entry_id(entry);
        const Ez__V1__Binding *binding = (const Ez__V1__Binding *)ez_entry_unpack(entry, arena_of(e));
        if (!binding)
            return ez_no_memory(&e->call->error);
        Ez__V1__RouteCandidate *candidate = &candidates[e->reply.n_candidates];
        ez_status status = fill_candidate(e, binding, candidate);
        if (status != EZ_OK)
            return status;
        e->reply.candidates[e->reply.n_candidates++] = candidate;
        total += candidate->eligible ? candidate->weight : 0;
    }
    for (size_t i = 0; i < e->reply.n_candidates; i++)
        if (candidates[i].eligible)
            candidates[i].share = (double)candidates[i].weight / (double)total;
    e->reply.routable = total > 0 && !e->reply.refused[0];
    return EZ_OK;
}

ez_status ez_handle_routes_explain(ez_routing *self, ez_call *call, Ez__V1__ExplainRouteRequest *request) {
    explain e = {.directory = self->directory,
                 .counters = self->counters,
                 .call = call,
                 .reply = EZ__V1__EXPLAIN_ROUTE_RESPONSE__INIT,
                 .upstreams_left = UPSTREAMS_MAX};
    ez_directory_enter();
    ez_status status = request->key_id ? start_as_key(&e, request) : split(&e, request->model, "default");
    if (status == EZ_OK)
        status = judge_namespace(&e);
    if (status == EZ_OK)
        status = list_candidates(&e);
    ez_directory_leave();
    return status == EZ_OK ? ez_call_reply(call, &e.reply.base) : status;
}
