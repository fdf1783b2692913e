// SPDX-License-Identifier: Apache-2.0
//
// Messages for people. Everything made on the way is in the caller's arena. The awkward case is a message within a
// message: in lines it gets a section of its own, in a table it is one cell. The schema has no recursive message, so
// sections end.
#include "clients/ctl/view.h"

#include <string.h>

#include "clients/ctl/table.h"
#include "clients/ctl/text.h"
#include "proto/runtime/field.h"

typedef struct view {
    bool reveal;
    size_t width;
    ez_arena *arena;
    ez_buf *out;
} view;

static bool ends_with(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

// What a column is worth, 0 first.
static unsigned rank(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd) {
    static const struct {
        const char *name;
        unsigned rank;
    } known[] = {{"id", 0},     {"name", 1},         {"status", 2},      {"state", 2},
                 {"labels", 5}, {"token_prefix", 5}, {"token_last4", 5}, {"secret_version", 6}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(field->name, known[i].name) == 0)
            return known[i].rank;
    }
    // Of a resource it says little; of an entry of the feed it is what counts.
    if (strcmp(field->name, "revision") == 0)
        return field->flags & EZ_FIELD_OUTPUT_ONLY ? 6 : 0;
    if (fd->type == PROTOBUF_C_TYPE_BYTES)
        return 7;
    if (ends_with(field->name, "_at") || field->flags & EZ_FIELD_MAP)
        return 5;
    bool is_inner = field->message && !(field->flags & EZ_FIELD_TIMESTAMP);
    return is_inner ? 4 : 3;
}

static bool is_shown(const view *v, const ez_field_rule *field) {
    return v->reveal || !(field->flags & (EZ_FIELD_SENSITIVE | EZ_FIELD_INPUT_ONLY));
}

// A message that gets its own section or table.
static bool is_inner(const ez_field_rule *field) {
    return field->message && !(field->flags & (EZ_FIELD_TIMESTAMP | EZ_FIELD_MAP));
}

static bool is_number(const ProtobufCFieldDescriptor *fd) {
    return !ez_field_is_repeated(fd) && fd->type != PROTOBUF_C_TYPE_BOOL && fd->type != PROTOBUF_C_TYPE_ENUM &&
           fd->type != PROTOBUF_C_TYPE_STRING && fd->type != PROTOBUF_C_TYPE_BYTES &&
           fd->type != PROTOBUF_C_TYPE_MESSAGE;
}

static const char *cell(view *v, const ez_message_rule *rule, const ez_field_rule *field,
                        const ProtobufCMessage *message) {
    ez_buf text;
    ez_buf_init(&text, EZ_CTL_VIEW_MAX);
    ez_ctl_view_cell(rule, field, message, &text);
    const char *copy = text.len ? ez_arena_strndup(v->arena, (const char *)text.data, text.len) : "";
    ez_buf_fini(&text);
    return copy ? copy : "";
}

static const char *title(view *v, const char *name) {
    char *copy = ez_arena_strdup(v->arena, name);
    for (char *c = copy; c && *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return copy ? copy : "";
}

static void put_table(view *v, const ez_message_rule *rule, ProtobufCMessage **rows, size_t count) {
    const ez_field_rule *fields[EZ_CTL_COLUMNS_MAX];
    ez_ctl_table table;
    ez_ctl_table_init(&table, v->arena);
    for (unsigned wanted = 0; wanted <= 7; wanted++) {
        for (unsigned i = 0; i < rule->field_count; i++) {
            const ez_field_rule *field = &rule->fields[i];
            const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
            if (rank(field, fd) != wanted || !is_shown(v, field))
                continue;
            fields[table.column_count] = field;
            if (!ez_ctl_table_add_column(&table, title(v, field->name), is_number(fd)))
                break;
        }
    }
    for (size_t r = 0; r < count && table.column_count; r++) {
        const char **row = ez_ctl_table_add_row(&table);
        for (unsigned c = 0; row && c < table.column_count; c++)
            row[c] = cell(v, rule, fields[c], rows[r]);
    }
    ez_ctl_table_write(&table, v->width, v->out);
}

static void put_blanks(view *v, size_t count) {
    while (count-- > 0)
        (void)ez_buf_putc(v->out, ' ');
}

static bool has_value(const ez_field_rule *field, const ProtobufCFieldDescriptor *fd, const ProtobufCMessage *message) {
    bool can_be_empty = ez_field_is_repeated(fd) || fd->type == PROTOBUF_C_TYPE_STRING ||
                        fd->type == PROTOBUF_C_TYPE_BYTES || fd->type == PROTOBUF_C_TYPE_MESSAGE ||
                        field->flags & EZ_FIELD_OMIT_EMPTY;
    return ez_field_is_live(fd, message) && !(can_be_empty && ez_field_is_empty(fd, message));
}

static void put_lines(view *v, const ez_message_rule *rule, const ProtobufCMessage *message, size_t indent) {
    size_t widest = 0;
    for (unsigned i = 0; i < rule->field_count; i++) {
        size_t len = strlen(rule->fields[i].name);
        bool counts = !is_inner(&rule->fields[i]) && is_shown(v, &rule->fields[i]) &&
                      has_value(&rule->fields[i], ez_field_of(rule, &rule->fields[i]), message);
        widest = counts && len > widest ? len : widest;
    }
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        if (is_inner(field) || !is_shown(v, field) || !has_value(field, ez_field_of(rule, field), message))
            continue;
        put_blanks(v, indent);
        (void)ez_buf_puts(v->out, field->name);
        put_blanks(v, widest - strlen(field->name) + 2);
        // A text of several lines (metrics) stays one.
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
        if (fd->type == PROTOBUF_C_TYPE_STRING && !ez_field_is_repeated(fd)) {
            const char *text = *(char **)ez_field_at(fd, message);
            ez_ctl_text_put(v->out, text, strlen(text), false);
        } else {
            ez_ctl_view_cell(rule, field, message, v->out);
        }
        (void)ez_buf_putc(v->out, '\n');
    }
}

// Lines, then a section for each message in it and a table for each list of messages.
static void put_message(view *v, const ez_message_rule *rule, const ProtobufCMessage *message, size_t indent) {
    put_lines(v, rule, message, indent);
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, field);
        if (!is_inner(field) || !is_shown(v, field) || !has_value(field, fd, message))
            continue;
        put_blanks(v, indent);
        (void)ez_buf_printf(v->out, "%s:\n", field->name);
        if (ez_field_is_repeated(fd))
            put_table(v, field->message, *(ProtobufCMessage ***)ez_field_at(fd, message), *ez_field_count(fd, message));
        else
            put_message(v, field->message, *(ProtobufCMessage **)ez_field_at(fd, message), indent + 2);
    }
}

const ez_field_rule *ez_ctl_view_items(const ez_message_rule *rule) {
    const ez_field_rule *items = ez_field_rule_find(rule, "items");
    bool is_page = items && items->message && ez_field_is_repeated(ez_field_of(rule, items)) &&
                   ez_field_rule_find(rule, "next_page_token");
    return is_page ? items : NULL;
}

ez_status ez_ctl_view_write(const ez_message_rule *rule, const ProtobufCMessage *message, bool reveal, size_t width,
                            ez_arena *arena, ez_buf *out) {
    view v = {.reveal = reveal, .width = width, .arena = arena, .out = out};
    const ez_field_rule *items = ez_ctl_view_items(rule);
    if (items) {
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, items);
        put_table(&v, items->message, *(ProtobufCMessage ***)ez_field_at(fd, message), *ez_field_count(fd, message));
    } else {
        put_message(&v, rule, message, 0);
    }
    return out->overflow || arena->refused ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}

// Whether there was one.
static bool put_secrets(const ez_message_rule *rule, const ProtobufCMessage *message, ez_buf *out) {
    bool found = false;
    for (unsigned i = 0; i < rule->field_count; i++) {
        const ez_field_rule *field = &rule->fields[i];
        if (!(field->flags & EZ_FIELD_SENSITIVE) || ez_field_is_empty(ez_field_of(rule, field), message) ||
            field->message)
            continue;
        ez_ctl_view_cell(rule, field, message, out);
        (void)ez_buf_putc(out, '\n');
        found = true;
    }
    return found;
}

static void put_id(const ez_message_rule *rule, const ProtobufCMessage *message, ez_buf *out) {
    const ez_field_rule *id = ez_field_rule_find(rule, "id");
    if (!id)
        return;
    ez_ctl_view_cell(rule, id, message, out);
    (void)ez_buf_putc(out, '\n');
}

ez_status ez_ctl_view_quiet(const ez_message_rule *rule, const ProtobufCMessage *message, bool reveal, ez_buf *out) {
    const ez_field_rule *items = ez_ctl_view_items(rule);
    if (items) {
        const ProtobufCFieldDescriptor *fd = ez_field_of(rule, items);
        ProtobufCMessage **rows = *(ProtobufCMessage ***)ez_field_at(fd, message);
        for (size_t i = 0; i < *ez_field_count(fd, message); i++)
            put_id(items->message, rows[i], out);
    } else if (!reveal || !put_secrets(rule, message, out)) {
        put_id(rule, message, out);
    }
    return out->overflow ? EZ_RESOURCE_EXHAUSTED : EZ_OK;
}
