// SPDX-License-Identifier: Apache-2.0
//
// The tables as generated from the real schema: what proto/runtime/schema.h promises of them, held for every row, so
// that it holds for what is added later too.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/runtime/schema.h"

Test(tables, every_method_is_whole) {
    cr_assert_gt(ez_method_count, 0);
    for (unsigned i = 0; i < ez_method_count; i++) {
        const ez_method *method = &ez_methods[i];
        char name[128];
        snprintf(name, sizeof name, "ez.v1.%s/%s", method->service, method->rpc);
        cr_assert_str_eq(method->name, name);
        cr_assert_eq(method->index, i);
        cr_assert_neq(method->timeout_ms, 0, "%s", name);
        cr_assert(method->http_status >= 200 && method->http_status <= 299, "%s", name);
        cr_assert(method->scope >= EZ_SCOPE_PUBLIC && method->scope <= EZ_SCOPE_PEER, "%s", name);
        cr_assert(method->effect >= EZ_EFFECT_READ && method->effect <= EZ_EFFECT_HELD, "%s", name);
        cr_assert_eq(ez_message_rule_find(method->request->descriptor), method->request, "%s", name);
        cr_assert_eq(ez_message_rule_find(method->reply->descriptor), method->reply, "%s", name);
        cr_assert_eq(method->has_update_mask, ez_field_rule_find(method->request, "update_mask") != NULL, "%s", name);
        cr_assert_neq(method->doc[0], '\0', "%s has no comment in the schema", name);
    }
}

// What a plain search finds, which takes no hash to get right.
static const ez_method *search(const char *name, size_t len) {
    for (unsigned i = 0; i < ez_method_count; i++)
        if (strlen(ez_methods[i].name) == len && !memcmp(ez_methods[i].name, name, len))
            return &ez_methods[i];
    return NULL;
}

Test(tables, methods_are_found_by_name_and_nothing_else_is) {
    for (unsigned i = 0; i < ez_method_count; i++) {
        const char *name = ez_methods[i].name;
        size_t len = strlen(name);
        char other[160];
        snprintf(other, sizeof other, "%sx", name);
        cr_assert_eq(ez_method_find(name, len), &ez_methods[i]);
        cr_assert_eq(ez_method_find(other, len), &ez_methods[i], "only len bytes of the name count");
        cr_assert_eq(ez_method_find(other, len + 1), search(other, len + 1));
        cr_assert_null(ez_method_find(name, len + 1), "the NUL behind the name is no part of it");
        for (size_t cut = 0; cut < len; cut++)
            cr_assert_eq(ez_method_find(name, cut), search(name, cut), "%.*s", (int)cut, name);
        for (size_t at = 0; at < len; at++) {
            other[at] ^= 0x20;
            cr_assert_null(ez_method_find(other, len), "%.*s", (int)len, other);
            other[at] ^= 0x20;
        }
    }
    cr_assert_null(ez_method_find("", 0));
    cr_assert_null(search("", 0));
}

Test(tables, messages_are_sorted_and_found) {
    static const ProtobufCMessageDescriptor stranger = {.name = "ez.v1.Stranger"};
    ProtobufCMessageDescriptor impostor = ez__v1__key__descriptor;
    for (unsigned i = 0; i < ez_message_rule_count; i++) {
        const ez_message_rule *rule = ez_message_rules[i];
        cr_assert_str_eq(rule->name, rule->descriptor->name);
        cr_assert_eq(ez_message_rule_find(rule->descriptor), rule);
        if (i)
            cr_assert_lt(strcmp(ez_message_rules[i - 1]->name, rule->name), 0);
    }
    cr_assert_null(ez_message_rule_find(NULL));
    cr_assert_null(ez_message_rule_find(&stranger));
    cr_assert_null(ez_message_rule_find(&impostor), "a rule is for its own descriptor, not for its name");
    cr_assert_null(ez_message_rule_find(&google__protobuf__timestamp__descriptor));
}

static void expect_field_matches(const ez_message_rule *rule, unsigned index) {
    const ez_field_rule *field = &rule->fields[index];
    const ProtobufCFieldDescriptor *descriptor = &rule->descriptor->fields[index];
    cr_assert_str_eq(field->name, descriptor->name);
    cr_assert_eq(field->number, descriptor->id, "%s.%s", rule->name, field->name);
    cr_assert_eq(field->index, index, "%s.%s", rule->name, field->name);
    cr_assert_eq(ez_field_rule_find(rule, field->name), field);
    bool is_message = descriptor->type == PROTOBUF_C_TYPE_MESSAGE;
    bool is_time = is_message && descriptor->descriptor == &google__protobuf__timestamp__descriptor;
    cr_assert_eq((field->flags & EZ_FIELD_TIMESTAMP) != 0, is_time, "%s.%s", rule->name, field->name);
    if (is_message && !is_time)
        cr_assert_eq(field->message, ez_message_rule_find(descriptor->descriptor), "%s.%s", rule->name, field->name);
    else
        cr_assert_null(field->message, "%s.%s", rule->name, field->name);
    if (descriptor->label == PROTOBUF_C_LABEL_REPEATED)
        cr_assert_neq(field->max_items, 0, "%s.%s has no bound", rule->name, field->name);
    if (descriptor->type == PROTOBUF_C_TYPE_STRING || descriptor->type == PROTOBUF_C_TYPE_BYTES)
        cr_assert_neq(field->max_len, 0, "%s.%s has no bound", rule->name, field->name);
    cr_assert_not_null(field->doc);
}

Test(tables, fields_stand_in_the_order_of_their_descriptors) {
    for (unsigned i = 0; i < ez_message_rule_count; i++) {
        const ez_message_rule *rule = ez_message_rules[i];
        cr_assert_eq(rule->field_count, rule->descriptor->n_fields, "%s", rule->name);
        bool sensitive = false;
        for (unsigned k = 0; k < rule->field_count; k++) {
            expect_field_matches(rule, k);
            sensitive |= (rule->fields[k].flags & EZ_FIELD_SENSITIVE) != 0;
            sensitive |= rule->fields[k].message && rule->fields[k].message->has_sensitive;
        }
        cr_assert_eq(rule->has_sensitive, sensitive, "%s", rule->name);
        cr_assert_null(ez_field_rule_find(rule, "no_such_field"));
        cr_assert_null(ez_field_rule_find(rule, ""));
    }
}

Test(tables, presence_is_for_single_members_of_a_oneof) {
    for (unsigned i = 0; i < ez_message_rule_count; i++) {
        const ez_message_rule *rule = ez_message_rules[i];
        for (unsigned k = 0; k < rule->field_count; k++) {
            const ProtobufCFieldDescriptor *field = &rule->descriptor->fields[k];
            unsigned members = 0;
            for (unsigned j = 0; field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && j < rule->field_count; j++)
                members += rule->descriptor->fields[j].flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
                           rule->descriptor->fields[j].quantifier_offset == field->quantifier_offset;
            cr_assert_eq((rule->fields[k].flags & EZ_FIELD_PRESENCE) != 0, members == 1, "%s.%s", rule->name,
                         field->name);
        }
    }
}

// What the schema says of a few fields, by hand: that the right option ends in the right column.
Test(tables, options_end_in_their_columns) {
    const ez_message_rule *key = ez_message_rule_find(&ez__v1__key__descriptor);
    const ez_field_rule *token = ez_field_rule_find(key, "token");
    cr_assert_eq(token->flags, EZ_FIELD_OUTPUT_ONLY | EZ_FIELD_SENSITIVE | EZ_FIELD_OMIT_EMPTY);
    const ez_field_rule *limit = ez_field_rule_find(key, "quota_limit");
    cr_assert_eq(limit->flags, EZ_FIELD_HAS_MIN | EZ_FIELD_PRESENCE);
    cr_assert_eq(limit->min, -1);
    cr_assert_str_eq(limit->default_value, "-1");
    const ez_field_rule *namespaces = ez_field_rule_find(key, "namespaces");
    cr_assert_eq(namespaces->format, EZ_FORMAT_NAMESPACE);
    cr_assert_eq(namespaces->max_items, 256);
    const ez_field_rule *labels = ez_field_rule_find(key, "labels");
    cr_assert(labels->flags & EZ_FIELD_MAP);
    cr_assert_eq(labels->max_items, 32);
    const ez_message_rule *master = ez_message_rule_find(&ez__v1__master__descriptor);
    const ez_field_rule *name = ez_field_rule_find(master, "name");
    cr_assert_eq(name->flags, EZ_FIELD_REQUIRED | EZ_FIELD_TRIM);
    cr_assert_eq(name->min_len, 1);
    cr_assert_eq(name->max_len, 64);
    cr_assert_null(name->default_value);
    cr_assert_str_eq(name->doc, "Unique among masters.");
}

// Puts the route's path together again from its segments.
static void join(const ez_route *route, char *out, size_t size) {
    size_t used = 0;
    for (unsigned i = 0; i < route->segment_count; i++) {
        const ez_route_segment *segment = &route->segments[i];
        if (segment->literal)
            used += (size_t)snprintf(out + used, size - used, "/%s", segment->literal);
        else
            used += (size_t)snprintf(out + used, size - used, "/{%s}%s%s", segment->param->name,
                                     segment->verb ? ":" : "", segment->verb ? segment->verb : "");
        cr_assert_lt(used, size);
    }
}

Test(tables, routes_are_whole) {
    cr_assert_gt(ez_route_count, 0);
    for (unsigned i = 0; i < ez_route_count; i++) {
        const ez_route *route = &ez_routes[i];
        char path[256] = "";
        join(route, path, sizeof path);
        cr_assert_str_eq(path, route->path);
        cr_assert(route->method >= ez_methods && route->method < ez_methods + ez_method_count);
        for (unsigned k = 0; k < route->segment_count; k++)
            if (route->segments[k].param)
                cr_assert_eq(ez_field_rule_find(route->method->request, route->segments[k].param->name),
                             route->segments[k].param);
        if (route->body)
            cr_assert_not_null(route->body->message);
        cr_assert_not(route->body && route->body_is_request, "%s", path);
        bool has_body = route->body || route->body_is_request;
        cr_assert_not(has_body && (route->verb == EZ_VERB_GET || route->verb == EZ_VERB_DELETE), "%s", path);
    }
}

static int rank(const ez_route_segment *segment) {
    return segment->literal ? 0 : segment->verb ? 1 : 2;
}

// For each pair of one length, the first segment that differs in kind is the more specific one in the earlier route.
Test(tables, more_specific_routes_stand_first) {
    for (unsigned i = 1; i < ez_route_count; i++) {
        const ez_route *before = &ez_routes[i - 1], *after = &ez_routes[i];
        cr_assert_leq(before->segment_count, after->segment_count);
        for (unsigned k = 0; before->segment_count == after->segment_count && k < after->segment_count; k++) {
            int difference = rank(&after->segments[k]) - rank(&before->segments[k]);
            cr_assert_geq(difference, 0, "%s stands before %s", before->path, after->path);
            if (difference)
                break;
        }
    }
}
