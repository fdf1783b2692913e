// SPDX-License-Identifier: Apache-2.0
//
// Values into the request. Everything lives in the caller's arena. The awkward case is the update mask: protobuf can't
// tell absent from zero, so every field of the resource that was named, by a flag or by --json, is noted, also one that
// was named in order to clear it.
#include "clients/ctl/request.h"

#include <stdio.h>
#include <string.h>

#include "clients/ctl/word.h"
#include "proto/runtime/field.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

typedef struct builder {
    const ez_ctl_arguments *in;
    ez_arena *arena;
    ez_ctl_sources sources;
    ProtobufCMessage *request;
    ProtobufCMessage *body;          // NULL: the request has none
    bool is_given[EZ_CTL_FLAGS_MAX]; // by flag
    bool has_mask;                   // --update-mask says it all
    ez_json_mask named;              // fields of the body, by --json
    ez_error *error;
} builder;

#define FAIL(b, ...) ez_error_set((b)->error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, __VA_ARGS__)

static ez_status no_memory(builder *b) {
    return FAIL(b, "the request needs more memory than one call may have: send less at once");
}

static ez_status read_json(builder *b) {
    const ez_method *method = b->in->method;
    const ez_field_rule *body = b->in->flags.body;
    const ez_message_rule *rule = body ? body->message : method->request;
    ProtobufCMessage *message = NULL;
    if (b->in->json) {
        const char *text;
        ez_status status = ez_ctl_source_read(&b->sources, "--json", b->in->json, b->arena, &text, b->error);
        if (status == EZ_OK)
            status = ez_json_parse(rule, text, strlen(text), b->arena, &message, &b->named, b->error);
        if (status != EZ_OK)
            return status;
    } else if ((message = ez_field_new_message(rule->descriptor, b->arena)) == NULL) {
        return no_memory(b);
    }
    if (!body) {
        b->request = message;
        return EZ_OK;
    }
    b->body = message;
    b->request = ez_field_new_message(method->request->descriptor, b->arena);
    if (!b->request)
        return no_memory(b);
    *(ProtobufCMessage **)ez_field_at(ez_field_of(method->request, body), b->request) = message;
    return EZ_OK;
}

static bool is_given_by_flag(const builder *b, const ez_field_rule *field) {
    for (unsigned i = 0; i < b->in->flags.count; i++) {
        if (b->in->flags.list[i].field == field)
            return b->is_given[i];
    }
    return false;
}

static ez_status take_operands(builder *b) {
    const ez_ctl_arguments *in = b->in;
    if (in->operand_count == 0)
        return EZ_OK;
    const ez_route *route = ez_ctl_route(in->method, in->operand_count);
    char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX];
    ez_ctl_kebab(in->method->service, noun);
    ez_ctl_kebab(in->method->rpc, verb);
    if (!route)
        return FAIL(b, "%s %s does not take that many operands (ezctl help %s %s)", noun, verb, noun, verb);
    for (unsigned i = 0; i < in->operand_count; i++) {
        const ez_field_rule *field = ez_ctl_operand(route, i);
        if (is_given_by_flag(b, field))
            return FAIL(b, "%s %s: %s is given twice, as operand and as flag", noun, verb, field->name);
        ez_status status = ez_json_set_text(field, b->request, in->operands[i], b->arena, b->error);
        if (status != EZ_OK)
            return status;
    }
    return EZ_OK;
}

static ez_status bad_value(builder *b, const ez_ctl_flag *flag, const char *name, bool has_comma) {
    char words[320] = "", word[64];
    const char *next;
    for (unsigned i = 0; (next = ez_ctl_flag_word(flag, i, word)) != NULL; i++) {
        size_t len = strlen(words);
        snprintf(words + len, sizeof words - len, "%s%s", i ? ", " : "", next);
    }
    const ez_violation *why = b->error->violation_count ? &b->error->violations[0] : NULL;
    char text[EZ_ERROR_MESSAGE_MAX];
    snprintf(text, sizeof text, "%s", why ? why->description : b->error->message);
    const char *hint = "";
    if (has_comma && ez_field_is_repeated(ez_ctl_flag_descriptor(flag)))
        hint = "; for more than one repeat the flag, commas are not taken";
    return words[0] ? FAIL(b, "--%s must be one of %s%s", name, words, hint) : FAIL(b, "--%s %s%s", name, text, hint);
}

static ez_status put_pair(builder *b, const ez_ctl_flag *flag, ProtobufCMessage *message, const char *name,
                          const char *text) {
    const ProtobufCFieldDescriptor *fd = ez_ctl_flag_descriptor(flag);
    const ProtobufCMessageDescriptor *type = fd->descriptor;
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return FAIL(b, "--%s must be NAME=VALUE", name);
    size_t *count = ez_field_count(fd, message);
    if (*count >= flag->field->max_items)
        return FAIL(b, "--%s is given more than %u times", name, flag->field->max_items);
    ProtobufCMessage *entry = ez_field_new_message(type, b->arena);
    ProtobufCMessage **more = ez_arena_alloc(b->arena, (*count + 1) * sizeof more[0]);
    char *key = ez_arena_strndup(b->arena, text, (size_t)(equals - text));
    if (!entry || !more || !key)
        return no_memory(b);
    *(char **)ez_field_at(&type->fields[0], entry) = key;
    *(const char **)ez_field_at(&type->fields[1], entry) = equals + 1;
    ProtobufCMessage ***entries = ez_field_at(fd, message);
    if (*count)
        memcpy(more, *entries, *count * sizeof more[0]);
    more[(*count)++] = entry;
    *entries = more;
    return EZ_OK;
}

static ez_status put_message(builder *b, const ez_ctl_flag *flag, ProtobufCMessage *message, const char *name,
                             const char *text) {
    const ProtobufCFieldDescriptor *fd = ez_ctl_flag_descriptor(flag);
    ProtobufCMessage *inner;
    ez_status status = ez_json_parse(flag->field->message, text, strlen(text), b->arena, &inner, NULL, b->error);
    if (status != EZ_OK)
        return status;
    if (!ez_field_is_repeated(fd)) {
        if (ez_field_is_member(fd))
            *ez_field_case(fd, message) = fd->id;
        *(ProtobufCMessage **)ez_field_at(fd, message) = inner;
        return EZ_OK;
    }
    size_t *count = ez_field_count(fd, message);
    if (*count >= flag->field->max_items)
        return FAIL(b, "--%s is given more than %u times", name, flag->field->max_items);
    ProtobufCMessage **more = ez_arena_alloc(b->arena, (*count + 1) * sizeof more[0]);
    if (!more)
        return no_memory(b);
    ProtobufCMessage ***items = ez_field_at(fd, message);
    if (*count)
        memcpy(more, *items, *count * sizeof more[0]);
    more[(*count)++] = inner;
    *items = more;
    return EZ_OK;
}

// Lists, maps, messages and times have an empty value of their own; an empty number is a slip of the caller's script.
static bool can_be_cleared(const ez_ctl_flag *flag) {
    const ProtobufCFieldDescriptor *fd = ez_ctl_flag_descriptor(flag);
    return ez_field_is_repeated(fd) || fd->type == PROTOBUF_C_TYPE_MESSAGE;
}

static ez_status put_flag(builder *b, const ez_ctl_given *given) {
    const ez_ctl_flag *flag = given->flag;
    const ProtobufCFieldDescriptor *fd = ez_ctl_flag_descriptor(flag);
    ProtobufCMessage *message = flag->in_body ? b->body : b->request;
    bool *is_given = &b->is_given[flag - b->in->flags.list];
    char name[EZ_CTL_WORD_MAX], what[EZ_CTL_WORD_MAX + 2];
    ez_ctl_kebab(flag->field->name, name);
    snprintf(what, sizeof what, "--%s", name);
    const char *text = given->value;
    if (*is_given && !ez_field_is_repeated(fd))
        return FAIL(b, "%s is given twice", what);
    if (!*is_given)
        ez_field_clear(fd, message); // what --json said, or the list it began
    *is_given = true;
    b->has_mask |= !flag->in_body && strcmp(flag->field->name, "update_mask") == 0;
    if (*text == '\0' && can_be_cleared(flag)) {
        ez_field_clear(fd, message);
        return EZ_OK;
    }
    ez_status status = EZ_OK;
    if (ez_ctl_flag_reads_files(flag))
        status = ez_ctl_source_read(&b->sources, what, text, b->arena, &text, b->error);
    if (status != EZ_OK)
        return status;
    if (flag->field->flags & EZ_FIELD_MAP)
        return put_pair(b, flag, message, name, text);
    if (flag->field->message && !(flag->field->flags & EZ_FIELD_TIMESTAMP))
        return put_message(b, flag, message, name, text);
    status = ez_json_set_text(flag->field, message, text, b->arena, b->error);
    return status == EZ_OK ? EZ_OK : bad_value(b, flag, name, strchr(text, ',') != NULL);
}

static bool is_named(const ez_json_mask *mask, const char *name) {
    for (size_t i = 0; i < mask->count; i++) {
        if (strcmp(mask->names[i], name) == 0)
            return true;
    }
    return false;
}

static ez_status set_mask(builder *b) {
    const ez_method *method = b->in->method;
    if (!method->has_update_mask || !b->body || b->has_mask)
        return EZ_OK;
    const ez_field_rule *mask = ez_field_rule_find(method->request, "update_mask");
    char **names = ez_arena_alloc(b->arena, (b->named.count + EZ_CTL_FLAGS_MAX) * sizeof names[0]);
    if (!mask || !names)
        return no_memory(b);
    size_t count = 0;
    for (; count < b->named.count; count++)
        names[count] = b->named.names[count];
    for (unsigned i = 0; i < b->in->flags.count; i++) {
        const ez_ctl_flag *flag = &b->in->flags.list[i];
        if (b->is_given[i] && flag->in_body && !is_named(&b->named, flag->field->name))
            names[count++] = (char *)flag->field->name;
    }
    if (count == 0)
        return FAIL(b, "nothing to change: give at least one flag, or --json");
    const ProtobufCFieldDescriptor *fd = ez_field_of(method->request, mask);
    *ez_field_count(fd, b->request) = count;
    *(char ***)ez_field_at(fd, b->request) = names;
    return EZ_OK;
}

static bool is_given(const builder *b, const ez_field_rule *field) {
    const ez_route *route = ez_ctl_route(b->in->method, b->in->operand_count);
    for (unsigned i = 0; route && i < b->in->operand_count; i++)
        if (ez_ctl_operand(route, i) == field)
            return true;
    return is_given_by_flag(b, field);
}

// What the path names has to be there: without it the server could only say so in its own words.
static ez_status check_path(builder *b) {
    const ez_method *method = b->in->method;
    const ez_route *route = ez_ctl_route(method, 0);
    const ez_field_rule *field;
    char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX], flag[EZ_CTL_WORD_MAX];
    for (unsigned i = 0; route && (field = ez_ctl_operand(route, i)) != NULL; i++) {
        if (!ez_message_field_is_empty(field, b->request))
            continue;
        ez_ctl_kebab(method->service, noun);
        ez_ctl_kebab(method->rpc, verb);
        ez_ctl_kebab(field->name, flag);
        if (is_given(b, field))
            return FAIL(b, "%s %s: %s must not be 0 or empty", noun, verb, flag);
        return FAIL(b, "%s %s wants --%s, or its value as operand (ezctl help %s %s)", noun, verb, flag, noun, verb);
    }
    return EZ_OK;
}

ez_status ez_ctl_request_build(const ez_ctl_arguments *arguments, ez_arena *arena, ProtobufCMessage **out,
                               ez_error *error) {
    builder b = {.in = arguments, .arena = arena, .error = error};
    ez_status status = read_json(&b);
    for (unsigned i = 0; status == EZ_OK && i < arguments->given_count; i++)
        status = put_flag(&b, &arguments->given[i]);
    if (status == EZ_OK)
        status = take_operands(&b);
    if (status == EZ_OK)
        status = check_path(&b);
    if (status == EZ_OK)
        status = set_mask(&b);
    if (status == EZ_OK)
        *out = b.request;
    return status;
}
