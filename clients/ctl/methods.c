// SPDX-License-Identifier: Apache-2.0
//
// ezctl methods: the schema's methods as a table or as JSON lines. Owns nothing. The awkward case is a method that REST
// does not have: its route is empty.
#include <stdio.h>
#include <string.h>

#include "clients/ctl/call.h"
#include "clients/ctl/help.h"
#include "clients/ctl/table.h"
#include "clients/ctl/word.h"
#include "proto/runtime/json.h"

static const char *const titles[] = {"METHOD", "COMMAND", "SCOPE", "EFFECT", "ROUTE"};
#define COLUMNS (sizeof titles / sizeof titles[0])

static const char *route_text(const ez_method *method, char *out, size_t size) {
    static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    const ez_route *route = ez_ctl_route(method, 0);
    snprintf(out, size, "%s%s%s", route ? verbs[route->verb] : "", route ? " " : "", route ? route->path : "");
    return out;
}

static void fill(const ez_method *method, ez_arena *arena, const char *row[COLUMNS]) {
    static const char *const scopes[] = {"", "public", "admin", "master", "data-plane", "peer"};
    static const char *const effects[] = {"", "read", "query", "change", "session", "append", "held"};
    char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX], text[256];
    ez_ctl_kebab(method->service, noun);
    ez_ctl_kebab(method->rpc, verb);
    const char *command = ez_arena_printf(arena, "%s %s", noun, verb);
    const char *route = ez_arena_strdup(arena, route_text(method, text, sizeof text));
    row[0] = method->name;
    row[1] = command ? command : "";
    row[2] = scopes[method->scope];
    row[3] = effects[method->effect];
    row[4] = route ? route : "";
}

static void put_json(const char *const row[COLUMNS], ez_buf *out) {
    static const char *const names[] = {"method", "command", "scope", "effect", "route"};
    for (unsigned i = 0; i < COLUMNS; i++) {
        (void)ez_buf_printf(out, "%c\"%s\":", i ? ',' : '{', names[i]);
        (void)ez_json_write_string(row[i], strlen(row[i]), out);
    }
    (void)ez_buf_puts(out, "}\n");
}

int ez_ctl_methods(const ez_ctl_arguments *arguments, const ez_settings *settings) {
    (void)settings;
    ez_arena arena;
    ez_buf out;
    ez_ctl_table table;
    bool is_table = ez_ctl_wants_table(arguments);
    ez_arena_init(&arena, EZ_CTL_HELP_MAX);
    ez_buf_init(&out, EZ_CTL_HELP_MAX);
    ez_ctl_table_init(&table, &arena);
    for (unsigned i = 0; i < COLUMNS; i++)
        (void)ez_ctl_table_add_column(&table, titles[i], false);
    for (unsigned i = 0; i < ez_method_count; i++) {
        const char *cells[COLUMNS], **row = ez_ctl_table_add_row(&table);
        fill(&ez_methods[i], &arena, cells);
        if (row)
            memcpy(row, cells, sizeof cells);
        if (!is_table)
            put_json(cells, &out);
    }
    if (is_table)
        ez_ctl_table_write(&table, ez_ctl_terminal_width(), &out);
    int result = ez_ctl_print(&out);
    ez_buf_fini(&out);
    ez_arena_fini(&arena);
    return result;
}
