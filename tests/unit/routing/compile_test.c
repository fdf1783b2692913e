// SPDX-License-Identifier: Apache-2.0
//
// Random changes of groups, API keys and bindings, against a naive model that compiles every binding anew after each:
// the stored results must be the same, and a binding whose result is the same must not have been touched.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tests/unit/access/support/world.h"

#define GROUPS   4
#define BINDINGS 12
#define STEPS    250

static uint32_t state;
static uint32_t pick(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static const char *const names[] = {"gpt-4o", "openai/gpt-4o", "gpt-4o-mini", "o3", "X/O3", "claude"};
#define NAMES (sizeof names / sizeof names[0])

// What the model knows of a group: the models it has, and whether it can be used.
typedef struct group_model {
    bool has[NAMES];
    bool is_disabled;
} group_model;

static const char *base_of(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

// The expressions used here are plain texts: a search is strstr.
static bool naive_hit(const Ez__V1__Binding *binding, const char *model) {
    switch (binding->selector_type) {
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_REGEX:
        return strstr(model, binding->selector_value) != NULL;
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_NORMALIZE_EXACT:
        return strcasecmp(base_of(model), base_of(binding->selector_value)) == 0;
    default:
        return strcmp(model, binding->selector_value) == 0;
    }
}

static void expect_compiled(const Ez__V1__Binding *binding, const group_model *group, size_t active_keys) {
    int hits = 0;
    const char *hit = "";
    for (size_t i = 0; i < NAMES; i++)
        if (group->has[i] && naive_hit(binding, names[i])) {
            hits++;
            hit = names[i];
        }
    Ez__V1__BindingError error =
        hits == 1 ? EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE : EZ__V1__BINDING_ERROR__BINDING_ERROR_CONFIG_ERROR;
    if (group->is_disabled || active_keys == 0)
        error = EZ__V1__BINDING_ERROR__BINDING_ERROR_NO_PROVIDER;
    cr_assert_eq(binding->error, error, "binding %lld (%s): error %d, not %d: %s", (long long)binding->id,
                 binding->selector_value, binding->error, error, binding->error_detail);
    cr_assert_str_eq(binding->upstream_model, error == EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE ? hit : "");
    cr_assert_eq(binding->error_detail[0] == 0, error == EZ__V1__BINDING_ERROR__BINDING_ERROR_NONE);
}

static size_t active_keys(world *w, int64_t group) {
    Ez__V1__ListApiKeysResponse *list =
        expect_ok(w, "ApiKeys/List", "{'group_id':%lld,'status':'active','page_size':1000}", (long long)group);
    return list->n_items;
}

static void change_group(world *w, group_model *groups) {
    uint32_t g = pick(GROUPS);
    if (pick(4) == 0) {
        groups[g].is_disabled = !groups[g].is_disabled;
        expect_ok(w, "ProviderGroups/Update", "{'id':%u,'provider_group':{'status':'%s'}}", g + 1,
                  groups[g].is_disabled ? "disabled" : "active");
        return;
    }
    char models[256] = "";
    for (size_t i = 0; i < NAMES; i++) {
        groups[g].has[i] = pick(2);
        if (groups[g].has[i])
            sprintf(models + strlen(models), "%s'%s'", models[0] ? "," : "", names[i]);
    }
    expect_ok(w, "ProviderGroups/Update", "{'id':%u,'provider_group':{'models':[%s]},'update_mask':['models']}", g + 1,
              models);
}

static void change_keys(world *w) {
    Ez__V1__ListApiKeysResponse *list = expect_ok(w, "ApiKeys/List", "{'page_size':1000}");
    if (list->n_items == 0 || (list->n_items < 8 && pick(3) == 0)) {
        given_api_key(w, 1 + pick(GROUPS), "k");
        return;
    }
    const Ez__V1__ApiKey *key = list->items[pick((uint32_t)list->n_items)];
    long long id = (long long)key->id;
    bool is_banned = key->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_BANNED;
    switch (pick(4)) {
    case 0:
        expect_ok(w, "ApiKeys/Delete", "{'id':%lld}", id);
        break;
    case 1:
        expect_ok(w, is_banned ? "ApiKeys/Unban" : "ApiKeys/Ban", "{'id':%lld}", id);
        break;
    case 2:
        expect_ok(w, "ApiKeys/Batch",
                  "{'items':[{'update':{'id':%lld,'api_key':{'status':'disabled'}}},"
                  "{'create':{'group_id':%u,'api_key':'k'}},{'create':{'group_id':99,'api_key':'k'}}]}",
                  id, 1 + pick(GROUPS));
        break;
    default:
        expect_ok(w, "ApiKeys/Update", "{'id':%lld,'api_key':{'status':'%s'}}", id, pick(2) ? "active" : "disabled");
        break;
    }
}

static void change_binding(world *w) {
    static const char *const types[] = {"exact", "regex", "normalize_exact"};
    expect_ok(w, "Bindings/Update", "{'id':%u,'binding':{'selector_type':'%s','selector_value':'%s'}}",
              1 + pick(BINDINGS), types[pick(3)], names[pick(NAMES)]);
}

static void check_all(world *w, const group_model *groups, Ez__V1__ListBindingsResponse *before) {
    size_t active[GROUPS];
    for (int64_t g = 0; g < GROUPS; g++)
        active[g] = active_keys(w, g + 1);
    Ez__V1__ListBindingsResponse *now = expect_ok(w, "Bindings/List", "{'page_size':1000}");
    for (size_t i = 0; i < now->n_items; i++) {
        Ez__V1__Binding *binding = now->items[i], *old = before ? before->items[i] : NULL;
        expect_compiled(binding, &groups[binding->group_id - 1], active[binding->group_id - 1]);
        if (!old || binding->revision == old->revision)
            continue;
        bool is_same = binding->error == old->error && strcmp(binding->upstream_model, old->upstream_model) == 0 &&
                       strcmp(binding->error_detail, old->error_detail) == 0 &&
                       strcmp(binding->selector_value, old->selector_value) == 0 &&
                       binding->selector_type == old->selector_type;
        cr_assert_not(is_same, "binding %lld was put though nothing changed", (long long)binding->id);
    }
}

static void run_steps(uint32_t seed) {
    state = seed;
    world *w = given_world();
    group_model groups[GROUPS] = {0};
    for (int g = 0; g < GROUPS; g++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", g);
        given_group(w, name, "");
    }
    for (int b = 0; b < BINDINGS; b++)
        expect_ok(w, "Bindings/Create", "{'binding':{'namespace':'default','public_model':'m%d','group_id':%u}}", b,
                  1 + pick(GROUPS));
    for (int step = 0; step < STEPS; step++) {
        Ez__V1__ListBindingsResponse *before = expect_ok(w, "Bindings/List", "{'page_size':1000}");
        uint32_t what = pick(3);
        if (what == 0)
            change_group(w, groups);
        else if (what == 1)
            change_keys(w);
        else
            change_binding(w);
        check_all(w, groups, before);
    }
    end_world(w);
}

Test(compile, random_changes_compile_as_the_naive_model_does) {
    run_steps(1);
    run_steps(20260);
}
