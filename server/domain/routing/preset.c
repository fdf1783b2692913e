// SPDX-License-Identifier: Apache-2.0
//
// One call that makes a provider group and its first API key, in one revision: from a preset, or for any upstream that
// speaks OpenAI's protocol. A preset without a name takes the provider's, with a number behind it where that is taken.
#include <string.h>

#include "server/domain/routing/inside.h"
#include "server/domain/routing/provider_type.h"

#define NAME_TRIES 10000

static ez_status find_name(ez_txn *txn, const char *wanted, char **out, ez_error *error) {
    ez_arena *arena = ez_txn_arena(txn);
    char *name = ez_arena_strdup(arena, wanted);
    for (int i = 2; name && i < NAME_TRIES; i++) {
        if (!ez_txn_find(txn, EZ_INDEX_PROVIDER_GROUP_NAME, ez_index_text(name))) {
            *out = name;
            return EZ_OK;
        }
        name = ez_arena_printf(arena, "%s-%d", wanted, i);
    }
    if (!name)
        return ez_no_memory(error);
    return ez_error_set(error, EZ_ALREADY_EXISTS, "NAME_TAKEN", "%s-2 to %s-%d are all taken: give a name", wanted,
                        wanted, NAME_TRIES - 1);
}

static ez_status make(const ez_routing *self, ez_txn *txn, ez_call *call, Ez__V1__ProviderGroup *group,
                      Ez__V1__ApiKey *key) {
    ez_status status = ez_group_make(txn, group, &call->error);
    if (status != EZ_OK)
        return status;
    ez_txn_subject(txn, KIND_PROVIDER_GROUP, group->id);
    key->group_id = group->id;
    key->name = group->name;
    status = ez_api_key_make(self, txn, key, NULL, &key, &call->error);
    if (status != EZ_OK)
        return status;
    Ez__V1__ProviderGroup shown = ez_group_shown(txn, group);
    Ez__V1__CreateProviderResponse reply = EZ__V1__CREATE_PROVIDER_RESPONSE__INIT;
    reply.provider_group = &shown;
    reply.api_key = key;
    return ez_call_reply(call, &reply.base);
}

static void set_weight(Ez__V1__ApiKey *key, bool is_given, int32_t weight) {
    if (!is_given)
        return; // the default
    key->opt_weight_case = EZ__V1__API_KEY__OPT_WEIGHT_WEIGHT;
    key->weight = weight;
}

// The preset's own models, as pointers into its table.
static ez_status take_models(const ez_provider_preset *preset, Ez__V1__ProviderGroup *group, ez_arena *arena) {
    size_t count = 0;
    while (preset->models[count])
        count++;
    group->models = ez_arena_memdup(arena, preset->models, count * sizeof *preset->models);
    group->n_models = count;
    return group->models ? EZ_OK : EZ_RESOURCE_EXHAUSTED;
}

ez_status ez_handle_providers_create_preset(ez_routing *self, ez_call *call, ez_txn *txn,
                                            Ez__V1__CreatePresetProviderRequest *request) {
    const ez_provider_preset *preset = ez_provider_preset_find(request->provider);
    if (!preset)
        return ez_error_violation(&call->error, "provider", "must be openai, anthropic or gemini");
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    group.type = (char *)preset->provider;
    group.base_url = (char *)preset->base_url;
    group.name = request->name;
    ez_status status = request->name[0] ? EZ_OK : find_name(txn, preset->provider, &group.name, &call->error);
    if (status != EZ_OK)
        return status;
    group.n_models = request->n_models;
    group.models = request->models;
    if (request->n_models == 0 && take_models(preset, &group, &call->arena) != EZ_OK)
        return ez_no_memory(&call->error);
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    key.api_key = request->api_key;
    set_weight(&key, request->opt_weight_case != 0, request->weight);
    return make(self, txn, call, &group, &key);
}

ez_status ez_handle_providers_create_custom(ez_routing *self, ez_call *call, ez_txn *txn,
                                            Ez__V1__CreateCustomProviderRequest *request) {
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    group.name = request->name;
    group.type = (char *)"compatible";
    group.base_url = request->base_url;
    group.n_models = request->n_models;
    group.models = request->models;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    key.api_key = request->api_key;
    set_weight(&key, request->opt_weight_case != 0, request->weight);
    return make(self, txn, call, &group, &key);
}
