// SPDX-License-Identifier: Apache-2.0
//
// Three passes over the files: first every message and enum by name, then the fields, which refer to them, then the
// services. Types of files that are not generated (descriptor.proto and the like) are foreign to us, but for Timestamp.
#include "tools/protoc-gen-ez/load.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tools/protoc-gen-ez/comment.h"
#include "tools/protoc-gen-ez/names.h"
#include "tools/protoc-gen-ez/option.h"
#include "tools/protoc-gen-ez/route.h"

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;

// Field numbers of descriptor.proto, as source_code_info's paths name them.
enum { FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4 };
enum { ENUM_VALUE = 2, SERVICE_METHOD = 2 };

static const Ez__Options__FieldRule no_rule = EZ__OPTIONS__FIELD_RULE__INIT;

// Appends item to a pooled array whose room is the power of two at or above its count.
static void push(gen_pool *pool, void *array, unsigned *count, void *item) {
    void ***items = array;
    if ((*count & (*count - 1)) == 0) {
        void **larger = gen_pool_alloc(pool, *count ? 2 * (size_t)*count : 1, sizeof *larger);
        if (*count)
            memcpy(larger, *items, *count * sizeof *larger);
        *items = larger;
    }
    (*items)[(*count)++] = item;
}

// "ez.v1.Key.LabelsEntry" within package "ez.v1": "Key_LabelsEntry".
static const char *ident_of(gen_pool *pool, const char *full, const char *package) {
    size_t skip = package ? strlen(package) : 0;
    if (skip && !strncmp(full, package, skip) && full[skip] == '.')
        full += skip + 1;
    return gen_name_replace(pool, full, '.', '_');
}

static const char *enum_word(gen_pool *pool, const char *prefix, const char *name) {
    size_t skip = strlen(prefix);
    if (strncmp(name, prefix, skip) || !name[skip])
        return NULL;
    char *word = gen_pool_strndup(pool, name + skip, strlen(name + skip));
    for (char *at = word; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return word;
}

static void load_enum(gen_schema *schema, const file_proto *file, const char *scope,
                      const Google__Protobuf__EnumDescriptorProto *proto, gen_path path) {
    gen_enum *made = gen_pool_alloc(schema->pool, 1, sizeof *made);
    made->full = gen_pool_printf(schema->pool, "%s.%s", scope, proto->name);
    made->ident = ident_of(schema->pool, made->full, file->package);
    made->prefix = gen_pool_printf(schema->pool, "%s_", gen_name_upper(schema->pool, proto->name));
    gen_comment_get(schema->pool, file, path, &made->doc, &made->place);
    made->values = gen_pool_alloc(schema->pool, proto->n_value, sizeof *made->values);
    made->value_count = (unsigned)proto->n_value;
    for (unsigned i = 0; i < made->value_count; i++) {
        gen_enum_value *value = &made->values[i];
        gen_place place;
        gen_comment_get(schema->pool, file, gen_path_add(path, ENUM_VALUE, i), &value->doc, &place);
        value->name = proto->value[i]->name;
        value->number = proto->value[i]->number;
        value->word = enum_word(schema->pool, made->prefix, value->name);
        value->is_unspecified = !value->number && value->word && !strcmp(value->word, "unspecified");
        if (!value->word)
            gen_refuse(schema, place, made->full, "value %s must begin with %s, which JSON leaves out", value->name,
                       made->prefix);
    }
    push(schema->pool, &schema->enums, &schema->enum_count, made);
}

static void declare(gen_schema *schema, const file_proto *file, const char *scope, const message_proto *proto,
                    gen_path path) {
    gen_message *made = gen_pool_alloc(schema->pool, 1, sizeof *made);
    made->full = gen_pool_printf(schema->pool, "%s.%s", scope, proto->name);
    made->ident = ident_of(schema->pool, made->full, file->package);
    made->c_type = gen_name_c_type(schema->pool, made->full);
    made->c_lower = gen_name_c_lower(schema->pool, made->full);
    made->is_map_entry = proto->options && proto->options->map_entry;
    gen_comment_get(schema->pool, file, path, &made->doc, &made->place);
    push(schema->pool, &schema->messages, &schema->message_count, made);
    for (unsigned i = 0; i < proto->n_enum_type; i++)
        load_enum(schema, file, made->full, proto->enum_type[i], gen_path_add(path, MESSAGE_ENUM, i));
    for (unsigned i = 0; i < proto->n_nested_type; i++)
        declare(schema, file, made->full, proto->nested_type[i], gen_path_add(path, MESSAGE_NESTED, i));
}

static gen_type scalar_type(Google__Protobuf__FieldDescriptorProto__Type type) {
    switch (type) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BOOL:
        return GEN_BOOL;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED32:
        return GEN_INT32;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED64:
        return GEN_INT64;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED32:
        return GEN_UINT32;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED64:
        return GEN_UINT64;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FLOAT:
        return GEN_FLOAT;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_DOUBLE:
        return GEN_DOUBLE;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING:
        return GEN_STRING;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES:
        return GEN_BYTES;
    default:
        return GEN_FOREIGN;
    }
}

// type_name is ".ez.v1.Key".
static void resolve_type(const gen_schema *schema, const field_proto *proto, gen_field *field) {
    field->type = scalar_type(proto->type);
    if (!proto->type_name || !*proto->type_name)
        return;
    field->type_name = proto->type_name + (proto->type_name[0] == '.');
    if (!strcmp(field->type_name, "google.protobuf.Timestamp")) {
        field->type = GEN_TIMESTAMP;
    } else if (proto->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM) {
        field->enumeration = gen_enum_find(schema, field->type_name);
        field->type = field->enumeration ? GEN_ENUM : GEN_FOREIGN;
    } else if (proto->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE) {
        field->message = gen_message_find(schema, field->type_name);
        field->type = field->message ? GEN_MESSAGE : GEN_FOREIGN;
        field->map = field->message && field->message->is_map_entry;
    }
}

static bool is_only_member(const message_proto *message, int32_t oneof) {
    unsigned members = 0;
    for (size_t i = 0; i < message->n_field; i++)
        members += message->field[i]->has_oneof_index && message->field[i]->oneof_index == oneof;
    return members == 1;
}

static int by_number(const void *a, const void *b) {
    const gen_field *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void load_fields(gen_schema *schema, const file_proto *file, const char *scope, const message_proto *proto,
                        gen_path path) {
    const char *full = gen_pool_printf(schema->pool, "%s.%s", scope, proto->name);
    gen_message *message = gen_message_find(schema, full);
    message->fields = gen_pool_alloc(schema->pool, proto->n_field, sizeof *message->fields);
    message->field_count = (unsigned)proto->n_field;
    for (unsigned i = 0; i < message->field_count; i++) {
        const field_proto *from = proto->field[i];
        gen_field *field = &message->fields[i];
        bool broken = false;
        *field = (gen_field){.name = from->name, .number = (uint32_t)from->number, .owner = message};
        field->repeated = from->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
        resolve_type(schema, from, field);
        field->in_oneof = from->has_oneof_index;
        field->presence = field->in_oneof && is_only_member(proto, from->oneof_index);
        gen_comment_get(schema->pool, file, gen_path_add(path, MESSAGE_FIELD, i), &field->doc, &field->place);
        field->rule = gen_option_get(schema->pool, from->options ? &from->options->base : NULL, GEN_OPTION_FIELD,
                                     &ez__options__field_rule__descriptor, &broken);
        if (!field->rule)
            field->rule = &no_rule;
        if (broken)
            gen_refuse(schema, field->place, full, "the options of field %s can't be decoded", field->name);
    }
    if (message->field_count)
        qsort(message->fields, message->field_count, sizeof *message->fields, by_number);
    for (unsigned i = 0; i < message->field_count; i++)
        message->fields[i].index = i;
    for (unsigned i = 0; i < proto->n_nested_type; i++)
        load_fields(schema, file, full, proto->nested_type[i], gen_path_add(path, MESSAGE_NESTED, i));
}

// A map's bounds on texts are its values': they are what the entry's "value" is held to.
static void pass_map_rules(gen_schema *schema) {
    for (unsigned i = 0; i < schema->message_count; i++) {
        for (unsigned k = 0; k < schema->messages[i]->field_count; k++) {
            const gen_field *map = &schema->messages[i]->fields[k];
            if (!map->map || map->message->field_count != 2)
                continue;
            Ez__Options__FieldRule *rule = gen_pool_alloc(schema->pool, 1, sizeof *rule);
            *rule = *map->rule;
            rule->required = rule->output_only = rule->input_only = rule->immutable = rule->omit_empty =
                rule->json_values = false;
            rule->max_items = 0;
            map->message->fields[1].rule = rule;
        }
    }
}

static void load_rpc(gen_schema *schema, const file_proto *file, gen_service *service,
                     const Google__Protobuf__MethodDescriptorProto *proto, gen_path path) {
    gen_pool *pool = schema->pool;
    gen_rpc *rpc = gen_pool_alloc(pool, 1, sizeof *rpc);
    bool broken = false;
    rpc->name = proto->name;
    rpc->full = gen_pool_printf(pool, "%s.%s/%s", file->package, service->name, proto->name);
    rpc->handle =
        gen_pool_printf(pool, "%s_%s", gen_name_snake(pool, service->name), gen_name_snake(pool, proto->name));
    rpc->service = service;
    rpc->request_name = proto->input_type + (proto->input_type[0] == '.');
    rpc->reply_name = proto->output_type + (proto->output_type[0] == '.');
    rpc->request = gen_message_find(schema, rpc->request_name);
    rpc->reply = gen_message_find(schema, rpc->reply_name);
    rpc->streams = proto->client_streaming || proto->server_streaming;
    rpc->index = schema->rpc_count;
    gen_comment_get(pool, file, path, &rpc->doc, &rpc->place);
    rpc->rule = gen_option_get(pool, proto->options ? &proto->options->base : NULL, GEN_OPTION_RPC,
                               &ez__options__rpc_rule__descriptor, &broken);
    if (broken)
        gen_refuse(schema, rpc->place, rpc->full, "its options can't be decoded");
    const gen_field *mask = gen_field_find(rpc->request, "update_mask");
    rpc->update_mask = mask && mask->repeated && mask->type == GEN_STRING ? mask : NULL;
    push(pool, &schema->rpcs, &schema->rpc_count, rpc);
    push(pool, &service->rpcs, &service->rpc_count, rpc);
    for (unsigned i = 0; rpc->rule && i <= rpc->rule->n_also; i++) {
        const char *text = i ? rpc->rule->also[i - 1] : rpc->rule->http;
        if (*text || i)
            push(pool, &schema->routes, &schema->route_count, gen_route_parse(pool, rpc, i, text));
    }
}

static void load_service(gen_schema *schema, const file_proto *file, unsigned index) {
    const Google__Protobuf__ServiceDescriptorProto *proto = file->service[index];
    gen_path path = gen_path_add((gen_path){.len = 0}, FILE_SERVICE, index);
    gen_service *service = gen_pool_alloc(schema->pool, 1, sizeof *service);
    bool broken = false;
    service->name = proto->name;
    gen_comment_get(schema->pool, file, path, &service->doc, &service->place);
    const Ez__Options__ServiceRule *rule =
        gen_option_get(schema->pool, proto->options ? &proto->options->base : NULL, GEN_OPTION_SERVICE,
                       &ez__options__service_rule__descriptor, &broken);
    if (broken)
        gen_refuse(schema, service->place, service->name, "its options can't be decoded");
    service->self = rule ? rule->self : "";
    service->title = rule && *rule->doc ? rule->doc : service->name;
    push(schema->pool, &schema->services, &schema->service_count, service);
    for (unsigned i = 0; i < proto->n_method; i++)
        load_rpc(schema, file, service, proto->method[i], gen_path_add(path, SERVICE_METHOD, i));
}

static int by_full_name(const void *a, const void *b) {
    return strcmp((*(gen_message *const *)a)->full, (*(gen_message *const *)b)->full);
}

static const file_proto *wanted_file(const Google__Protobuf__Compiler__CodeGeneratorRequest *request, size_t index) {
    for (size_t i = 0; i < request->n_proto_file; i++)
        if (!strcmp(request->proto_file[i]->name, request->file_to_generate[index]))
            return request->proto_file[i];
    return NULL;
}

static const char *header_of(gen_pool *pool, const char *file) {
    size_t len = strlen(file);
    if (len > 6 && !strcmp(file + len - 6, ".proto"))
        len -= 6;
    return gen_pool_printf(pool, "%.*s.pb-c.h", (int)len, file);
}

void gen_load(gen_schema *schema, const Google__Protobuf__Compiler__CodeGeneratorRequest *request) {
    const gen_path top = {.len = 0};
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const file_proto *file = wanted_file(request, i);
        if (!file)
            continue;
        push(schema->pool, &schema->headers, &schema->header_count, (void *)header_of(schema->pool, file->name));
        for (unsigned k = 0; k < file->n_message_type; k++)
            declare(schema, file, file->package, file->message_type[k], gen_path_add(top, FILE_MESSAGE, k));
        for (unsigned k = 0; k < file->n_enum_type; k++)
            load_enum(schema, file, file->package, file->enum_type[k], gen_path_add(top, FILE_ENUM, k));
    }
    if (schema->message_count)
        qsort(schema->messages, schema->message_count, sizeof(gen_message *), by_full_name);
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const file_proto *file = wanted_file(request, i);
        for (unsigned k = 0; file && k < file->n_message_type; k++)
            load_fields(schema, file, file->package, file->message_type[k], gen_path_add(top, FILE_MESSAGE, k));
    }
    pass_map_rules(schema);
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const file_proto *file = wanted_file(request, i);
        for (unsigned k = 0; file && k < file->n_service; k++)
            load_service(schema, file, k);
    }
}
