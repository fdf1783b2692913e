// SPDX-License-Identifier: Apache-2.0
//
// Which flags there are. Owns nothing. The awkward case is a field of the resource with the name of one of the request
// (id): the request's wins, for that is what the path holds over REST.
#include "clients/ctl/flag.h"

#include <string.h>

#include "clients/ctl/command.h"
#include "clients/ctl/word.h"
#include "proto/runtime/field.h"

const ez_ctl_option_info ez_ctl_options[EZ_CTL_OPTION_COUNT] = {
    [EZ_CTL_OUTPUT] = {"output", 'o', "FORMAT", "table or json. Default: table on a terminal, json otherwise."},
    [EZ_CTL_QUIET] = {"quiet", 'q', NULL,
                      "Print only what is needed next: a secret that was just made, else ids, one a line."},
    [EZ_CTL_ALL] = {"all", 0, NULL, "Lists: every page, not the first one."},
    [EZ_CTL_JSON] = {"json", 0, "JSON",
                     "The request's body as REST takes it: an object, @FILE, or - for standard input."},
    [EZ_CTL_WAIT] = {"wait", 0, NULL, "Changes: until every live data plane has applied it, or the time is over."},
    [EZ_CTL_VALIDATE_ONLY] = {"validate-only", 0, NULL, "Changes: say what would happen, change nothing."},
    [EZ_CTL_IF_MATCH] = {"if-match", 0, "REVISION", "Changes: only if this is still the resource's revision."},
    [EZ_CTL_TIMEOUT] = {"timeout", 0, "TIME", "Give up after this long, such as 500ms, 5s or 2m."},
    [EZ_CTL_GROUP] = {"group", 0, "ID", "import-tokens: the provider group that the API keys are to be of."},
    [EZ_CTL_HELP] = {"help", 'h', NULL, "Say what can be given here."},
    [EZ_CTL_VERSION] = {"version", 'v', NULL, "Print the program's version."},
};

static bool is_list(const ez_method *method) {
    return ez_field_rule_find(method->request, "page_token") && ez_field_rule_find(method->reply, "next_page_token");
}

bool ez_ctl_option_fits(ez_ctl_option option, const ez_method *method) {
    switch (option) {
    case EZ_CTL_ALL:
        return method && is_list(method);
    case EZ_CTL_JSON:
        return method && method->request->field_count > 0;
    case EZ_CTL_WAIT:
    case EZ_CTL_VALIDATE_ONLY:
    case EZ_CTL_IF_MATCH:
        return method && method->effect == EZ_EFFECT_CHANGE;
    case EZ_CTL_GROUP: // a command's of our own
        return false;
    case EZ_CTL_VERSION:
        return !method;
    default:
        return true;
    }
}

static void add(ez_ctl_flags *flags, const ez_message_rule *rule, const ez_field_rule *field, bool in_body) {
    char name[EZ_CTL_WORD_MAX];
    ez_ctl_kebab(field->name, name);
    if (flags->count < EZ_CTL_FLAGS_MAX && !ez_ctl_flag_find(flags, name, strlen(name)))
        flags->list[flags->count++] = (ez_ctl_flag){.rule = rule, .field = field, .in_body = in_body};
}

void ez_ctl_flags_of(const ez_method *method, ez_ctl_flags *out) {
    out->method = method;
    out->body = ez_ctl_body(method);
    out->count = 0;
    for (unsigned i = 0; i < method->request->field_count; i++) {
        if (&method->request->fields[i] != out->body)
            add(out, method->request, &method->request->fields[i], false);
    }
    const ez_message_rule *body = out->body ? out->body->message : NULL;
    for (unsigned i = 0; body && i < body->field_count; i++) {
        uint32_t flags = body->fields[i].flags;
        if (!(flags & EZ_FIELD_OUTPUT_ONLY) && !(method->has_update_mask && flags & EZ_FIELD_IMMUTABLE))
            add(out, body, &body->fields[i], true);
    }
}

const ez_ctl_flag *ez_ctl_flag_find(const ez_ctl_flags *flags, const char *name, size_t len) {
    for (unsigned i = 0; i < flags->count; i++) {
        if (ez_ctl_word_is(name, len, flags->list[i].field->name))
            return &flags->list[i];
    }
    return NULL;
}

const ProtobufCFieldDescriptor *ez_ctl_flag_descriptor(const ez_ctl_flag *flag) {
    return ez_field_of(flag->rule, flag->field);
}

bool ez_ctl_flag_is_switch(const ez_ctl_flag *flag) {
    const ProtobufCFieldDescriptor *fd = ez_ctl_flag_descriptor(flag);
    return fd->type == PROTOBUF_C_TYPE_BOOL && !ez_field_is_repeated(fd);
}

bool ez_ctl_flag_reads_files(const ez_ctl_flag *flag) {
    bool is_message = flag->field->message && !(flag->field->flags & (EZ_FIELD_MAP | EZ_FIELD_TIMESTAMP));
    return is_message || (flag->field->flags & EZ_FIELD_SENSITIVE);
}

// The nth value of an enum that can be given: not the one that means none.
static const char *enum_word(const ProtobufCEnumDescriptor *type, unsigned n, char out[64]) {
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *word = ez_field_word(type, type->values[i].value);
        if (!word || strcmp(word, "UNSPECIFIED") == 0 || n-- > 0)
            continue;
        size_t len = 0;
        for (; word[len] && len < 63; len++)
            out[len] = word[len] >= 'A' && word[len] <= 'Z' ? (char)(word[len] - 'A' + 'a') : word[len];
        out[len] = '\0';
        return out;
    }
    return NULL;
}

const char *ez_ctl_flag_word(const ez_ctl_flag *flag, unsigned n, char out[64]) {
    const ProtobufCFieldDescriptor *fd = ez_ctl_flag_descriptor(flag);
    if (fd->type == PROTOBUF_C_TYPE_ENUM)
        return enum_word(fd->descriptor, n, out);
    for (unsigned i = 0; flag->field->one_of && flag->field->one_of[i]; i++) {
        if (i == n)
            return flag->field->one_of[i];
    }
    static const char *const truth[] = {"true", "false"};
    return fd->type == PROTOBUF_C_TYPE_BOOL && n < 2 ? truth[n] : NULL;
}
