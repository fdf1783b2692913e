// SPDX-License-Identifier: Apache-2.0
//
// Errors in words. Owns nothing. The awkward case is a message from a server, which is shown on a terminal: it is made
// harmless first.
#include "clients/ctl/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clients/ctl/text.h"

#define LINE_MAX_BYTES 4096

static void put(const char *text) {
    ez_buf line;
    ez_buf_init(&line, LINE_MAX_BYTES);
    ez_ctl_text_put(&line, text, strlen(text), true);
    fprintf(stderr, "%.*s", (int)line.len, line.data ? (const char *)line.data : "");
    ez_buf_fini(&line);
}

static void put_violations(const ez_error *error) {
    // The message of a single one is its own text already.
    for (unsigned i = 0; error->violation_count > 1 && i < error->violation_count; i++) {
        fputs("  ", stderr);
        put(error->violations[i].field);
        fputs(": ", stderr);
        put(error->violations[i].description);
        fputc('\n', stderr);
    }
}

int ez_ctl_report_usage(const ez_error *error) {
    fputs("ezctl: ", stderr);
    put(error->message);
    fputc('\n', stderr);
    put_violations(error);
    return EZ_CTL_EXIT_USAGE;
}

static bool is_unreachable(const ez_error *error) {
    static const char *const reasons[] = {"NOT_CONNECTED", "CONNECTION_LOST", "DEADLINE"};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strcmp(error->reason, reasons[i]) == 0)
            return true;
    }
    return false;
}

int ez_ctl_report_refusal(const ez_error *error) {
    fprintf(stderr, "ezctl: %s: ", ez_status_name(error->code));
    put(error->message);
    if (error->reason[0] && strcmp(error->reason, ez_status_name(error->code)) != 0) {
        fputs(" (", stderr);
        put(error->reason);
        fputc(')', stderr);
    }
    fputc('\n', stderr);
    put_violations(error);
    return is_unreachable(error) ? EZ_CTL_EXIT_UNREACHABLE : EZ_CTL_EXIT_REFUSED;
}

void ez_ctl_note(const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fputs("ezctl: ", stderr);
    put(text);
    fputc('\n', stderr);
}

int ez_ctl_print(const ez_buf *text) {
    bool is_written = text->len == 0 || fwrite(text->data, 1, text->len, stdout) == text->len;
    if (is_written && fflush(stdout) == 0)
        return EZ_CTL_EXIT_OK;
    ez_ctl_note("the output can't be written: %s", strerror(errno));
    return EZ_CTL_EXIT_REFUSED;
}
