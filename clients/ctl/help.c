// SPDX-License-Identifier: Apache-2.0
//
// Help, written from the tables. Owns nothing. The awkward case is a comment of several sentences where one line is
// wanted: the first sentence is taken, and the list of errors behind it is left to the verb's own help.
#include "clients/ctl/help.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/ctl/report.h"
#include "clients/ctl/settings.h"
#include "clients/ctl/word.h"
#include "proto/runtime/field.h"

#define INDENT 22
#define WRAP   100

int ez_ctl_help_sentence(const char *doc) {
    for (const char *c = doc; *c; c++) {
        if (*c == '.' && (c[1] == ' ' || c[1] == '\0'))
            return (int)(c - doc);
    }
    return (int)strlen(doc);
}

// "  name   text", the text wrapped and indented.
static void put_item(ez_buf *out, const char *name, const char *text) {
    size_t column = 2 + strlen(name);
    (void)ez_buf_printf(out, "  %s", name);
    if (*text == '\0') {
        (void)ez_buf_putc(out, '\n');
        return;
    }
    if (column + 2 > INDENT) {
        (void)ez_buf_putc(out, '\n');
        column = 0;
    }
    for (; column < INDENT; column++)
        (void)ez_buf_putc(out, ' ');
    for (bool is_first = true; *text; is_first = false) {
        size_t len = strcspn(text, " ");
        if (!is_first && column + 1 + len > WRAP) {
            (void)ez_buf_printf(out, "\n%*s", INDENT, "");
            column = INDENT;
        } else if (!is_first) {
            (void)ez_buf_putc(out, ' ');
            column++;
        }
        (void)ez_buf_append(out, text, len);
        column += len;
        text += len + strspn(text + len, " ");
    }
    (void)ez_buf_putc(out, '\n');
}

// builtin: whose they are, where a command of our own means something else by one; or NULL.
static void put_options(ez_buf *out, unsigned bits, const ez_ctl_builtin *builtin) {
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++) {
        const ez_ctl_option_info *option = &ez_ctl_options[i];
        char name[96], letter[8] = "";
        if (!(bits >> i & 1))
            continue;
        if (option->letter)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        snprintf(name, sizeof name, "%s--%s%s%s", letter, option->name, option->placeholder ? " " : "",
                 option->placeholder ? option->placeholder : "");
        bool is_own = i == EZ_CTL_TIMEOUT && builtin && builtin->timeout_doc;
        put_item(out, name, is_own ? builtin->timeout_doc : option->doc);
    }
}

void ez_ctl_help_top(ez_buf *out) {
    (void)ez_buf_puts(out, "usage: ezctl " EZ_CTL_HELP_USAGE "\n\n"
                           "The command line of an ezplane control plane.\n\nNouns and their verbs:\n");
    for (const ez_method *noun = ez_ctl_noun_next(NULL); noun; noun = ez_ctl_noun_next(noun)) {
        char name[EZ_CTL_WORD_MAX], verbs[512] = "";
        ez_ctl_kebab(noun->service, name);
        for (const ez_method *m = noun; m; m = ez_ctl_verb_next(m)) {
            char verb[EZ_CTL_WORD_MAX];
            size_t len = strlen(verbs);
            ez_ctl_kebab(m->rpc, verb);
            snprintf(verbs + len, sizeof verbs - len, "%s%s", len ? ", " : "", verb);
        }
        for (const ez_ctl_builtin *b = NULL; (b = ez_ctl_builtin_verb_next(noun, b));)
            snprintf(verbs + strlen(verbs), sizeof verbs - strlen(verbs), ", %s", strrchr(b->name, ' ') + 1);
        put_item(out, name, verbs);
    }
    (void)ez_buf_puts(out, "\nAnd:\n");
    for (unsigned i = 0; i < ez_ctl_builtin_count; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s %s", ez_ctl_builtins[i].name, ez_ctl_builtins[i].operands);
        put_item(out, name, ez_ctl_builtins[i].doc);
    }
    (void)ez_buf_puts(out, "\nFlags:\n");
    put_options(out, (1u << EZ_CTL_OPTION_COUNT) - 1, NULL);
    (void)ez_buf_puts(out, "\nSettings, as a flag or in the environment:\n");
    for (size_t i = 0; i < ez_ctl_setting_count; i++) {
        const ez_setting *setting = &ez_ctl_settings[i];
        char doc[400];
        const char *standard = setting->default_text;
        snprintf(doc, sizeof doc, "%s%s%s%s%s", setting->doc, standard ? " Default: " : "", standard ? standard : "",
                 standard ? "." : "", setting->type == EZ_SETTING_SECRET ? " Environment only." : "");
        put_item(out, setting->env, doc);
    }
    (void)ez_buf_puts(
        out,
        "\nExit status: 0 it was done, 1 the server said no, also to a part of a batch or a test, 2 the command line "
        "is wrong, 3 the server could not be reached.\n");
}

void ez_ctl_help_noun(const ez_method *noun, ez_buf *out) {
    char name[EZ_CTL_WORD_MAX];
    ez_ctl_kebab(noun->service, name);
    (void)ez_buf_printf(out, "usage: ezctl %s VERB …\n\n", name);
    for (const ez_method *m = noun; m; m = ez_ctl_verb_next(m)) {
        char verb[EZ_CTL_WORD_MAX], doc[512];
        ez_ctl_kebab(m->rpc, verb);
        snprintf(doc, sizeof doc, "%.*s.", ez_ctl_help_sentence(m->doc), m->doc);
        put_item(out, verb, m->doc[0] ? doc : "");
    }
    for (const ez_ctl_builtin *b = NULL; (b = ez_ctl_builtin_verb_next(noun, b));)
        put_item(out, strrchr(b->name, ' ') + 1, b->doc);
    (void)ez_buf_printf(out, "\nezctl help %s VERB says what a verb takes.\n", name);
}

// "[ID]…" of the method's routes; the one with the most operands names them, the one with the fewest says which are
// needed (a flag may stand in for those).
static void put_operands(const ez_method *method, ez_buf *out) {
    const ez_route *most = NULL;
    for (unsigned n = 0; ez_ctl_route(method, n); n++)
        most = ez_ctl_route(method, n);
    const ez_field_rule *field;
    for (unsigned i = 0; most && (field = ez_ctl_operand(most, i)) != NULL; i++) {
        char name[EZ_CTL_WORD_MAX];
        ez_ctl_kebab(field->name, name);
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        bool is_needed = ez_ctl_operand(ez_ctl_route(method, 0), i) != NULL;
        (void)ez_buf_printf(out, is_needed ? " %s" : " [%s]", name);
    }
}

// "N", "TEXT", "TIME"…: what a flag's value is.
static const char *placeholder(const ez_ctl_flag *flag) {
    if (flag->field->flags & EZ_FIELD_MAP)
        return "NAME=VALUE";
    if (flag->field->flags & EZ_FIELD_TIMESTAMP)
        return "TIME";
    if (flag->field->flags & EZ_FIELD_SENSITIVE)
        return "SECRET|@FILE|-";
    if (flag->field->message)
        return "JSON|@FILE|-";
    switch (ez_ctl_flag_descriptor(flag)->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return "true|false";
    case PROTOBUF_C_TYPE_ENUM:
        return "WORD";
    case PROTOBUF_C_TYPE_STRING:
        return flag->field->one_of ? "WORD" : "TEXT";
    case PROTOBUF_C_TYPE_BYTES:
        return flag->field->flags & EZ_FIELD_HEX ? "HEX" : "BASE64";
    default:
        return "N";
    }
}

static void put_bounds(const ez_ctl_flag *flag, bool is_create, ez_buf *out) {
    const ez_field_rule *field = flag->field;
    char word[64];
    const char *next;
    bool is_switch = ez_ctl_flag_is_switch(flag);
    for (unsigned i = 0; !is_switch && (next = ez_ctl_flag_word(flag, i, word)) != NULL; i++)
        (void)ez_buf_printf(out, "%s%s", i ? ", " : "One of ", next);
    if (!is_switch && ez_ctl_flag_word(flag, 0, word))
        (void)ez_buf_puts(out, ". ");
    if (field->flags & EZ_FIELD_HAS_MIN && field->flags & EZ_FIELD_HAS_MAX)
        (void)ez_buf_printf(out, "%" PRId64 " to %" PRId64 ". ", field->min, field->max);
    else if (field->flags & EZ_FIELD_HAS_MIN)
        (void)ez_buf_printf(out, "At least %" PRId64 ". ", field->min);
    else if (field->flags & EZ_FIELD_HAS_MAX)
        (void)ez_buf_printf(out, "At most %" PRId64 ". ", field->max);
    if (ez_field_is_repeated(ez_ctl_flag_descriptor(flag)))
        (void)ez_buf_printf(out, "May be given %u times. ", field->max_items);
    if (is_create && field->default_value)
        (void)ez_buf_printf(out, "Default: %s. ", field->default_value);
    if (is_create && field->flags & EZ_FIELD_REQUIRED)
        (void)ez_buf_puts(out, "Required. ");
}

static void put_flag(const ez_ctl_flag *flag, const ez_method *method, ez_buf *out) {
    char name[EZ_CTL_WORD_MAX], head[128];
    ez_buf doc;
    ez_buf_init(&doc, EZ_CTL_HELP_MAX);
    ez_ctl_kebab(flag->field->name, name);
    bool is_switch = ez_ctl_flag_is_switch(flag);
    snprintf(head, sizeof head, is_switch ? "--%s[=%s]" : "--%s %s", name, placeholder(flag));
    if (flag->field->doc[0])
        (void)ez_buf_printf(&doc, "%s ", flag->field->doc);
    put_bounds(flag, !method->has_update_mask || !flag->in_body, &doc);
    const char *text = ez_buf_cstr(&doc);
    put_item(out, head, text ? text : "");
    ez_buf_fini(&doc);
}

void ez_ctl_help_verb(const ez_method *method, ez_buf *out) {
    char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX];
    ez_ctl_flags flags;
    ez_ctl_flags_of(method, &flags);
    ez_ctl_kebab(method->service, noun);
    ez_ctl_kebab(method->rpc, verb);
    (void)ez_buf_printf(out, "usage: ezctl %s %s", noun, verb);
    put_operands(method, out);
    (void)ez_buf_printf(out, "%s\n\n%s\n", flags.count ? " [--FLAG VALUE…]" : "", method->doc);
    if (flags.count)
        (void)ez_buf_puts(out, "\nFlags:\n");
    for (unsigned i = 0; i < flags.count; i++)
        put_flag(&flags.list[i], method, out);
    unsigned options = 0;
    for (unsigned i = 0; i < EZ_CTL_OPTION_COUNT; i++)
        options |= ez_ctl_option_fits(i, method) ? 1u << i : 0;
    (void)ez_buf_puts(out, "\nAnd of every command of its kind:\n");
    put_options(out, options, NULL);
}

void ez_ctl_help_builtin(const ez_ctl_builtin *builtin, ez_buf *out) {
    (void)ez_buf_printf(out, "usage: ezctl %s%s%s\n\n%s\n", builtin->name, builtin->operands[0] ? " " : "",
                        builtin->operands, builtin->doc);
    if (builtin->options)
        (void)ez_buf_puts(out, "\nFlags:\n");
    put_options(out, builtin->options, builtin);
}

static int print(ez_buf *text) {
    int result = ez_ctl_print(text);
    ez_buf_fini(text);
    return result;
}

int ez_ctl_help(const ez_ctl_arguments *arguments) {
    ez_buf out;
    ez_buf_init(&out, EZ_CTL_HELP_MAX);
    if (arguments->builtin && arguments->builtin->run == ez_ctl_help_command && arguments->operand_count)
        return ez_ctl_help_command(arguments, NULL);
    if (arguments->builtin)
        ez_ctl_help_builtin(arguments->builtin, &out);
    else if (arguments->method)
        ez_ctl_help_verb(arguments->method, &out);
    else if (arguments->noun)
        ez_ctl_help_noun(arguments->noun, &out);
    else
        ez_ctl_help_top(&out);
    return print(&out);
}

int ez_ctl_help_command(const ez_ctl_arguments *arguments, const ez_settings *settings) {
    (void)settings;
    ez_error error = EZ_ERROR_INIT;
    const ez_method *noun = NULL, *method = NULL;
    ez_buf out;
    ez_buf_init(&out, EZ_CTL_HELP_MAX);
    const ez_ctl_builtin *builtin = arguments->operand_count ? ez_ctl_builtin_find(arguments->operands[0]) : NULL;
    ez_status status = EZ_OK;
    if (arguments->operand_count && !builtin)
        status = ez_ctl_noun_find(arguments->operands[0], &noun, &error);
    if (status == EZ_OK && noun && arguments->operand_count > 1)
        builtin = ez_ctl_builtin_verb(noun, arguments->operands[1]);
    if (status == EZ_OK && noun && arguments->operand_count > 1 && !builtin)
        status = ez_ctl_verb_find(noun, arguments->operands[1], &method, &error);
    if (status != EZ_OK)
        return ez_ctl_report_usage(&error);
    if (builtin)
        ez_ctl_help_builtin(builtin, &out);
    else if (method)
        ez_ctl_help_verb(method, &out);
    else if (noun)
        ez_ctl_help_noun(noun, &out);
    else
        ez_ctl_help_top(&out);
    return print(&out);
}
