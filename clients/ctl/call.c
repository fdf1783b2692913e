// SPDX-License-Identifier: Apache-2.0
//
// Calling and showing. Opens a client per command and closes it again; replies are copied into the caller's arena. The
// awkward case is --all: pages follow each other until there is none, bounded by the rows and the memory one command
// may hold, and by a server that gives the same page again.
#include "clients/ctl/call.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clients/ctl/outcome.h"
#include "clients/ctl/request.h"
#include "clients/ctl/settings.h"
#include "clients/ctl/view.h"
#include "proto/runtime/field.h"
#include "proto/runtime/json.h"
#include "proto/runtime/message.h"

#define PAGE_SIZE_ALL "1000"
#define ROWS_MAX      (1u << 20)

typedef struct call {
    const ez_ctl_arguments *in;
    const ez_method *method;
    ProtobufCMessage *request;
    ez_arena *arena;
    ez_client *client;
    ez_call_info info;
    ez_error error;
} call;

bool ez_ctl_wants_table(const ez_ctl_arguments *arguments) {
    if (arguments->format == EZ_CTL_FORMAT_AUTO)
        return isatty(STDOUT_FILENO);
    return arguments->format == EZ_CTL_FORMAT_TABLE;
}

size_t ez_ctl_terminal_width(void) {
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static ez_status too_much(call *c) {
    return ez_error_set(&c->error, EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE",
                        "there is more than one command can show: use --page-size and --page-token");
}

static ez_status call_once(call *c, ProtobufCMessage **out) {
    const ez_call_options options = {.timeout_ms = c->in->timeout_ms,
                                     .if_match = c->in->if_match,
                                     .validate_only = c->in->has[EZ_CTL_VALIDATE_ONLY],
                                     .wait_applied = c->in->has[EZ_CTL_WAIT],
                                     .info = &c->info};
    ProtobufCMessage *reply = NULL;
    ez_status status = ez_client_call(c->client, c->method, c->request, &options, &reply, &c->error);
    if (status != EZ_OK)
        return status;
    *out = ez_message_copy(reply, c->arena);
    protobuf_c_message_free_unpacked(reply, NULL);
    return *out ? EZ_OK : too_much(c);
}

static char **text_field(const ez_message_rule *rule, const char *name, ProtobufCMessage *message) {
    return ez_field_at(ez_field_of(rule, ez_field_rule_find(rule, name)), message);
}

typedef struct rows {
    ProtobufCMessage **list;
    size_t count, room;
} rows;

static bool add_rows(call *c, rows *to, ProtobufCMessage **from, size_t count) {
    if (to->count + count > ROWS_MAX)
        return false;
    if (to->count + count > to->room) {
        size_t room = (to->count + count) * 2;
        ProtobufCMessage **list = ez_arena_alloc(c->arena, room * sizeof list[0]);
        if (!list)
            return false;
        if (to->count)
            memcpy(list, to->list, to->count * sizeof list[0]);
        to->list = list;
        to->room = room;
    }
    if (count)
        memcpy(to->list + to->count, from, count * sizeof from[0]);
    to->count += count;
    return true;
}

static ez_status call_pages(call *c, ProtobufCMessage **out) {
    const ez_message_rule *request = c->method->request, *reply = c->method->reply;
    const ProtobufCFieldDescriptor *items = ez_field_of(reply, ez_ctl_view_items(reply));
    const ez_field_rule *page_size = ez_field_rule_find(request, "page_size");
    rows all = {0};
    if (page_size && ez_message_field_is_empty(page_size, c->request)) {
        ez_status status = ez_json_set_text(page_size, c->request, PAGE_SIZE_ALL, c->arena, &c->error);
        if (status != EZ_OK)
            return status;
    }
    for (;;) {
        ProtobufCMessage *page;
        ez_status status = call_once(c, &page);
        if (status != EZ_OK)
            return status;
        if (!add_rows(c, &all, *(ProtobufCMessage ***)ez_field_at(items, page), *ez_field_count(items, page)))
            return too_much(c);
        char **next = text_field(reply, "next_page_token", page), **at = text_field(request, "page_token", c->request);
        bool is_last = **next == '\0';
        if (!is_last && strcmp(*next, *at) == 0)
            return ez_error_set(&c->error, EZ_DATA_LOSS, "PAGE_REPEATED",
                                "the server gives the same page again and again");
        if (!is_last) {
            *at = *next;
            continue;
        }
        *ez_field_count(items, page) = all.count;
        *(ProtobufCMessage ***)ez_field_at(items, page) = all.list;
        *out = page;
        return EZ_OK;
    }
}

static bool has_secret(const ez_message_rule *rule, const ProtobufCMessage *message) {
    for (unsigned i = 0; i < rule->field_count; i++) {
        if (rule->fields[i].flags & EZ_FIELD_SENSITIVE && !ez_message_field_is_empty(&rule->fields[i], message))
            return true;
    }
    return false;
}

// What is good to know beside the reply. With -q only that some data planes do not have the change yet.
static void put_notes(const call *c, const ProtobufCMessage *reply, bool is_table) {
    bool is_behind = c->info.applied_planes < c->info.applied_of, is_quiet = c->in->has[EZ_CTL_QUIET];
    if (c->info.has_applied && (is_behind || !is_quiet))
        ez_ctl_note("applied on %u of %u data planes", c->info.applied_planes, c->info.applied_of);
    if (is_quiet)
        return;
    if (c->in->has[EZ_CTL_VALIDATE_ONLY])
        ez_ctl_note("nothing was changed: --validate-only");
    if (!is_table)
        return;
    if (c->method->reveals && has_secret(c->method->reply, reply))
        ez_ctl_note("keep the secret: it is shown this once");
    if (ez_ctl_view_items(c->method->reply)) {
        const char *next = *text_field(c->method->reply, "next_page_token", (ProtobufCMessage *)reply);
        if (*next)
            ez_ctl_note("there are more: --all, or --page-token %s", next);
    }
}

// What the server took may still not have been done, or not all of it.
static int judge(const call *c, const ProtobufCMessage *reply) {
    size_t of, failed = ez_ctl_outcome_failed(c->method->reply, reply, &of);
    if (failed == 0)
        return EZ_CTL_EXIT_OK;
    ez_ctl_note("%zu of %zu failed: the reply says why of each", failed, of);
    return EZ_CTL_EXIT_REFUSED;
}

static int show(call *c, const ProtobufCMessage *reply) {
    const ez_message_rule *rule = c->method->reply;
    bool is_table = ez_ctl_wants_table(c->in), reveal = c->method->reveals;
    ez_buf out;
    ez_buf_init(&out, EZ_CTL_VIEW_MAX);
    ez_status status;
    if (c->in->has[EZ_CTL_QUIET]) {
        // What would have been made has no id that a script could go on with.
        status = c->in->has[EZ_CTL_VALIDATE_ONLY] ? EZ_OK : ez_ctl_view_quiet(rule, reply, reveal, &out);
    } else if (is_table) {
        status = ez_ctl_view_write(rule, reply, reveal, ez_ctl_terminal_width(), c->arena, &out);
    } else {
        status = ez_json_write(rule, reply, reveal, &out);
        if (status == EZ_OK)
            status = ez_buf_putc(&out, '\n');
    }
    int result;
    if (status != EZ_OK) {
        (void)too_much(c);
        result = ez_ctl_report_refusal(&c->error);
    } else {
        result = ez_ctl_print(&out);
        put_notes(c, reply, is_table);
        result = result == EZ_CTL_EXIT_OK ? judge(c, reply) : result;
    }
    if (out.data)
        explicit_bzero(out.data, out.len); // it may hold a secret
    ez_buf_fini(&out);
    return result;
}

static int refused(const call *c, const ez_ctl_access *access, const char *servers) {
    int result = ez_ctl_report_refusal(&c->error);
    if (result == EZ_CTL_EXIT_UNREACHABLE && !strstr(c->error.message, access->options.servers[0]))
        ez_ctl_note("calls go to %s (EZ_RPC_URL)", servers);
    if (c->error.code == EZ_UNAUTHENTICATED && access->token[0] == '\0')
        ez_ctl_note(
            "there is no token: set EZ_TOKEN or EZ_ADMIN_TOKEN, or EZ_HOME to the server's folder (%s can't be read)",
            access->token_file);
    return result;
}

static int run(call *c, const ez_settings *settings) {
    ez_ctl_access access;
    ez_status status = ez_ctl_access_init(&access, settings, &c->error);
    if (status == EZ_OK)
        status = ez_client_open(&access.options, &c->client, &c->error);
    int result;
    if (status != EZ_OK) {
        result = ez_ctl_report_usage(&c->error);
    } else {
        ProtobufCMessage *reply;
        status = c->in->has[EZ_CTL_ALL] ? call_pages(c, &reply) : call_once(c, &reply);
        ez_client_close(c->client);
        result = status == EZ_OK ? show(c, reply) : refused(c, &access, ez_settings_text(settings, "EZ_RPC_URL"));
    }
    ez_ctl_access_fini(&access);
    return result;
}

int ez_ctl_call(const ez_ctl_arguments *arguments, const ez_settings *settings, const ez_method *method,
                ProtobufCMessage *request, ez_arena *arena) {
    call c = {.in = arguments, .method = method, .request = request, .arena = arena, .error = EZ_ERROR_INIT};
    return run(&c, settings);
}

int ez_ctl_call_command(const ez_ctl_arguments *arguments, const ez_settings *settings, ez_arena *arena) {
    ez_error error = EZ_ERROR_INIT;
    ProtobufCMessage *request;
    if (ez_ctl_request_build(arguments, arena, &request, &error) != EZ_OK)
        return ez_ctl_report_usage(&error);
    return ez_ctl_call(arguments, settings, arguments->method, request, arena);
}
