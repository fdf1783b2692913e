// SPDX-License-Identifier: Apache-2.0
//
// Update masks: what they name is merged, all or nothing; a client that sends back what it read is not refused.
#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/binding.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "fill.h"
#include "proto/runtime/message.h"

static ez_error error;
static Ez__V1__Binding stored, patch;
static const ez_message_rule *rule;

static void setup(void) {
    rule = rule_named("ez.v1.Binding");
    stored = patch = (Ez__V1__Binding)EZ__V1__BINDING__INIT;
    stored.id = 7;
    stored.namespace_ = (char *)"default";
    stored.public_model = (char *)"gpt";
    stored.group_id = 3;
    stored.selector_value = (char *)"old";
    stored.opt_weight_case = EZ__V1__BINDING__OPT_WEIGHT_WEIGHT;
    stored.weight = 5;
    stored.status = EZ__V1__BINDING_STATUS__BINDING_STATUS_ACTIVE;
}

TestSuite(mask, .init = setup);

static ez_status merge(size_t count, const char *a, const char *b) {
    char *mask[] = {(char *)a, (char *)b};
    ez_error_clear(&error);
    return ez_message_merge(rule, &stored.base, &patch.base, count, mask, &error);
}

Test(mask, takes_only_what_it_names) {
    patch.selector_value = (char *)"new";
    patch.status = EZ__V1__BINDING_STATUS__BINDING_STATUS_DISABLED;
    cr_assert_eq(merge(1, "selector_value", NULL), EZ_OK);
    cr_assert_str_eq(stored.selector_value, "new");
    cr_assert_eq(stored.status, EZ__V1__BINDING_STATUS__BINDING_STATUS_ACTIVE);
    cr_assert_eq(stored.weight, 5);
}

Test(mask, a_named_field_without_value_is_cleared) {
    cr_assert_eq(merge(2, "selector_value", "weight"), EZ_OK);
    cr_assert_str_eq(stored.selector_value, "");
    cr_assert_eq(stored.opt_weight_case, 0);
}

Test(mask, empty_means_every_field_that_is_set) {
    patch.opt_weight_case = EZ__V1__BINDING__OPT_WEIGHT_WEIGHT;
    patch.weight = 0;
    cr_assert_eq(merge(0, NULL, NULL), EZ_OK);
    cr_assert_eq(stored.opt_weight_case, EZ__V1__BINDING__OPT_WEIGHT_WEIGHT);
    cr_assert_eq(stored.weight, 0, "0 is a value here");
    cr_assert_str_eq(stored.selector_value, "old");
}

Test(mask, unknown_names_are_refused_and_nothing_is_merged) {
    patch.selector_value = (char *)"new";
    cr_assert_eq(merge(2, "selector_value", "colour"), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.violations[0].field, "update_mask[1]");
    cr_assert_str_eq(stored.selector_value, "old");
    cr_assert_eq(merge(1, "", NULL), EZ_INVALID_ARGUMENT);
    cr_assert_eq(merge(1, "labels.team", NULL), EZ_INVALID_ARGUMENT);
}

Test(mask, immutable_fields_may_be_sent_back_but_not_changed) {
    patch.namespace_ = (char *)"default";
    cr_assert_eq(merge(1, "namespace", NULL), EZ_OK);
    cr_assert_eq(merge(0, NULL, NULL), EZ_OK);
    patch.namespace_ = (char *)"other";
    cr_assert_eq(merge(1, "namespace", NULL), EZ_INVALID_ARGUMENT);
    cr_assert_eq(merge(0, NULL, NULL), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.violations[0].field, "namespace");
    patch.namespace_ = (char *)"";
    cr_assert_eq(merge(1, "namespace", NULL), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(stored.namespace_, "default");
    cr_assert_eq(merge(1, "selector_type", NULL), EZ_OK);
}

Test(mask, output_fields_may_be_sent_back_but_not_changed) {
    patch.id = 7;
    cr_assert_eq(merge(1, "id", NULL), EZ_OK);
    patch.id = 0;
    cr_assert_eq(merge(1, "id", NULL), EZ_OK, "as ez_message_check leaves it");
    cr_assert_eq(stored.id, 7);
    patch.id = 8;
    cr_assert_eq(merge(1, "id", NULL), EZ_INVALID_ARGUMENT);
    cr_assert_eq(merge(0, NULL, NULL), EZ_INVALID_ARGUMENT);
    cr_assert_eq(stored.id, 7);
}

Test(mask, a_required_field_can_not_be_cleared) {
    const ez_message_rule *master_rule = rule_named("ez.v1.Master");
    Ez__V1__Master master = EZ__V1__MASTER__INIT, change = EZ__V1__MASTER__INIT;
    master.name = (char *)"acme";
    char *names[] = {(char *)"name"};
    cr_assert_eq(ez_message_merge(master_rule, &master.base, &change.base, 1, names, &error), EZ_INVALID_ARGUMENT);
    change.name = (char *)"other";
    cr_assert_eq(ez_message_merge(master_rule, &master.base, &change.base, 1, names, &error), EZ_OK);
    cr_assert_str_eq(master.name, "other");
}

Test(mask, says_what_it_would_touch) {
    char *names[] = {(char *)"weight", (char *)"status"};
    cr_assert(ez_message_mask_has(rule, &patch.base, 2, names, "status"));
    cr_assert_not(ez_message_mask_has(rule, &patch.base, 2, names, "selector_value"));
    patch.selector_value = (char *)"x";
    cr_assert(ez_message_mask_has(rule, &patch.base, 0, NULL, "selector_value"));
    cr_assert_not(ez_message_mask_has(rule, &patch.base, 0, NULL, "weight"));
    cr_assert_not(ez_message_mask_has(rule, &patch.base, 0, NULL, "colour"));
}
