// SPDX-License-Identifier: Apache-2.0
//
// What the first pass keeps of masters and keys: names that are there twice, tokens that are there twice, how many keys
// a master brings and which namespaces they use.
#include <stdio.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/token.h"
#include "server/domain/import/plan_inside.h"

#define TOKEN_MEMORY_MAX (64u << 10)

static bool note_list(ez_names *names, const json_t *value) {
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (json_is_string(item) && !ez_names_note(names, json_string_value(item))) {
            return false;
        }
    }
    return true;
}

ez_status ez_plan_note_master(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    const char *name = ez_element_text(element, "name");
    const char *own = ez_element_text(element, "default_namespace");
    const json_t *met = json_object_get(plan->masters, name);
    if (name[0] == '\0') {
        ez_plan_fail(plan, EZ_PLAN_MASTERS, index, "it has no name");
        return EZ_OK;
    }
    if (met != NULL) {
        char reason[128];
        snprintf(reason, sizeof reason, "masters[%lld] has the same name",
                 (long long)json_integer_value(json_object_get(met, "index")));
        ez_plan_fail(plan, EZ_PLAN_MASTERS, index, reason);
        return EZ_OK;
    }
    json_t *info = json_pack("{s:I,s:I,s:s,s:{}}", "index", (json_int_t)index, "keys", (json_int_t)0, "default", own,
                             "namespaces");
    if (info == NULL || json_object_set_new(plan->masters, name, info) != 0 || !ez_names_note(&plan->names, own) ||
        !note_list(&plan->names, json_object_get(element, "namespaces"))) {
        return ez_plan_no_memory(error);
    }
    return EZ_OK;
}

// Where the token was met before, the key fails. One without a token fails when its row is built.
static ez_status note_token(ez_plan *plan, size_t index, const char *token, ez_error *error) {
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    char hex[2 * EZ_TOKEN_HASH_LEN + 1];
    ez_token_hash(token, strlen(token), hash);
    ez_hex(hash, sizeof hash, hex);
    const json_t *met = json_object_get(plan->tokens, hex);
    if (met != NULL) {
        char reason[128];
        snprintf(reason, sizeof reason, "keys[%lld] has the same token", (long long)json_integer_value(met));
        ez_plan_fail(plan, EZ_PLAN_KEYS, index, reason);
        return EZ_OK;
    }
    bool ok = json_object_set_new(plan->tokens, hex, json_integer((json_int_t)index)) == 0;
    return ok ? EZ_OK : ez_plan_no_memory(error);
}

ez_status ez_plan_note_key(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    ez_arena arena;
    const char *token;
    ez_arena_init(&arena, TOKEN_MEMORY_MAX);
    ez_status status = EZ_OK;
    if (ez_element_token(element, &arena, &token, NULL) == EZ_OK) {
        status = note_token(plan, index, token, error);
    }
    ez_arena_fini(&arena);
    if (status != EZ_OK || plan->is_bad[EZ_EXPORT_KEYS][index]) {
        return status;
    }
    json_t *master = json_object_get(plan->masters, ez_element_text(element, "master_ref"));
    if (master != NULL) {
        json_t *keys = json_object_get(master, "keys");
        json_integer_set(keys, json_integer_value(keys) + 1);
    }
    return note_list(&plan->names, json_object_get(element, "namespaces")) ? EZ_OK : ez_plan_no_memory(error);
}

ez_status ez_plan_note_key_namespaces(ez_plan *plan, size_t index, json_t *element, ez_error *error) {
    (void)index;
    json_t *master = json_object_get(plan->masters, ez_element_text(element, "master_ref"));
    json_t *used = json_object_get(master, "namespaces");
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(element, "namespaces"), i, item) {
        if (used == NULL || !json_is_string(item)) {
            continue;
        }
        if (json_object_set_new(used, ez_names_get(&plan->names, json_string_value(item)), json_true()) != 0) {
            return ez_plan_no_memory(error);
        }
    }
    return EZ_OK;
}
