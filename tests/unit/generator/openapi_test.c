// SPDX-License-Identifier: Apache-2.0
//
// openapi.json of the real schema: that it is JSON, that nothing in it points nowhere, that every route is in it and
// that no reply shows a secret unless its method reveals.
#include <criterion/criterion.h>
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/schema.h"

static json_t *document;

static void load(void) {
    json_error_t error;
    document = json_loadb(ez_openapi_json, ez_openapi_json_len, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(document, "line %d: %s", error.line, error.text);
}

static void unload(void) {
    json_decref(document);
}

TestSuite(openapi, .init = load, .fini = unload);

// "#/components/schemas/Key"
static json_t *resolve(const char *ref) {
    json_t *at = document;
    char path[256];
    cr_assert_eq(strncmp(ref, "#/", 2), 0, "%s", ref);
    cr_assert_lt(strlen(ref), sizeof path);
    strcpy(path, ref + 2);
    for (char *rest = path, *step; at && (step = strsep(&rest, "/"));)
        at = json_object_get(at, step);
    return at;
}

static unsigned follow_refs(json_t *value) {
    unsigned count = 0;
    const char *key;
    json_t *member;
    size_t index;
    json_array_foreach(value, index, member) {
        count += follow_refs(member);
    }
    json_object_foreach(value, key, member) {
        if (strcmp(key, "$ref")) {
            count += follow_refs(member);
            continue;
        }
        cr_assert_not_null(resolve(json_string_value(member)), "%s points nowhere", json_string_value(member));
        count++;
    }
    return count;
}

static json_t *operation_of(const ez_route *route) {
    static const char *const verbs[] = {
        [EZ_VERB_GET] = "get",     [EZ_VERB_POST] = "post",     [EZ_VERB_PUT] = "put",
        [EZ_VERB_PATCH] = "patch", [EZ_VERB_DELETE] = "delete",
    };
    json_t *path = json_object_get(json_object_get(document, "paths"), route->path);
    return json_object_get(path, verbs[route->verb]);
}

Test(openapi, it_is_the_text_with_its_length) {
    cr_assert_eq(strlen(ez_openapi_json), ez_openapi_json_len);
    cr_assert_str_eq(json_string_value(json_object_get(document, "openapi")), "3.1.0");
}

Test(openapi, every_ref_resolves) {
    cr_assert_gt(follow_refs(document), ez_route_count);
}

Test(openapi, every_route_is_an_operation_and_no_other) {
    unsigned operations = 0;
    const char *path;
    json_t *item;
    json_object_foreach(json_object_get(document, "paths"), path, item) {
        operations += (unsigned)json_object_size(item);
    }
    cr_assert_eq(operations, ez_route_count);
    for (unsigned i = 0; i < ez_route_count; i++)
        cr_assert_not_null(operation_of(&ez_routes[i]), "%s", ez_routes[i].path);
}

Test(openapi, operation_ids_are_unique) {
    json_t *seen = json_object();
    for (unsigned i = 0; i < ez_route_count; i++) {
        const char *id = json_string_value(json_object_get(operation_of(&ez_routes[i]), "operationId"));
        cr_assert_not_null(id);
        cr_assert_null(json_object_get(seen, id), "%s is there twice", id);
        json_object_set_new(seen, id, json_true());
    }
    json_decref(seen);
}

Test(openapi, path_parameters_are_declared) {
    for (unsigned i = 0; i < ez_route_count; i++) {
        unsigned in_path = 0, declared = 0;
        json_t *parameter;
        size_t index;
        for (unsigned k = 0; k < ez_routes[i].segment_count; k++)
            in_path += ez_routes[i].segments[k].param != NULL;
        json_array_foreach(json_object_get(operation_of(&ez_routes[i]), "parameters"), index, parameter) {
            const char *in = json_string_value(json_object_get(parameter, "in"));
            if (!in || strcmp(in, "path"))
                continue;
            declared++;
            cr_assert(json_is_true(json_object_get(parameter, "required")), "%s", ez_routes[i].path);
        }
        cr_assert_eq(declared, in_path, "%s", ez_routes[i].path);
    }
}

// Only a method without scope is without security.
Test(openapi, public_methods_alone_want_no_credential) {
    for (unsigned i = 0; i < ez_route_count; i++) {
        json_t *security = json_object_get(operation_of(&ez_routes[i]), "security");
        cr_assert(json_is_array(security));
        cr_assert_eq(json_array_size(security) == 0, ez_routes[i].method->scope == EZ_SCOPE_PUBLIC, "%s",
                     ez_routes[i].path);
    }
}

// Walks the schema's graph beside the rule's.
static void expect_fields(json_t *schema, const ez_message_rule *rule, bool reveals) {
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    json_t *alternatives = json_object_get(schema, "anyOf");
    if (alternatives)
        ref = json_string_value(json_object_get(json_array_get(alternatives, 0), "$ref"));
    json_t *object = ref ? resolve(ref) : schema;
    json_t *properties = json_object_get(object, "properties");
    cr_assert_not_null(properties, "%s", rule->name);
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        bool hidden = field->flags & (EZ_FIELD_SENSITIVE | EZ_FIELD_INPUT_ONLY) && !reveals;
        json_t *property = json_object_get(properties, field->name);
        cr_assert_eq(property == NULL, hidden, "%s.%s", rule->name, field->name);
        if (!property || !field->message || field->flags & EZ_FIELD_MAP)
            continue;
        json_t *items = json_object_get(property, "items");
        expect_fields(items ? items : property, field->message, reveals);
    }
}

Test(openapi, replies_show_secrets_only_where_the_method_reveals) {
    unsigned revealing = 0;
    for (unsigned i = 0; i < ez_route_count; i++) {
        const ez_method *method = ez_routes[i].method;
        char status[8];
        snprintf(status, sizeof status, "%u", method->http_status);
        json_t *reply = json_object_get(json_object_get(operation_of(&ez_routes[i]), "responses"), status);
        cr_assert_not_null(reply, "%s", method->name);
        const char *type = method->streams ? "text/event-stream" : "application/json";
        json_t *content = json_object_get(json_object_get(reply, "content"), type);
        cr_assert_eq(content == NULL, method->http_status == 204, "%s", method->name);
        if (content && !method->streams)
            expect_fields(json_object_get(content, "schema"), method->reply, method->reveals);
        revealing += method->reveals && method->reply->has_sensitive;
    }
    cr_assert_gt(revealing, 0);
}

Test(openapi, words_are_lower_case_and_leave_unspecified_out) {
    const char *name;
    json_t *schema, *word;
    size_t index;
    unsigned words = 0;
    json_object_foreach(resolve("#/components/schemas"), name, schema) {
        json_array_foreach(json_object_get(schema, "enum"), index, word) {
            const char *text = json_string_value(word);
            words++;
            cr_assert_str_neq(text, "unspecified", "%s", name);
            for (const char *at = text; *at; at++)
                cr_assert(islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '_', "%s: %s", name,
                          text);
        }
    }
    cr_assert_gt(words, 0);
}
