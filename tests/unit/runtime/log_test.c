// SPDX-License-Identifier: Apache-2.0
//
// Log lines as another program reads them: each is one JSON object, whatever a value holds, and bounded.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/log.h"

static int line_pipe[2];

// From here on stderr is a pipe that given_line reads.
static void capture(void) {
    cr_assert_eq(pipe2(line_pipe, O_NONBLOCK), 0);
    cr_assert_geq(dup2(line_pipe[1], STDERR_FILENO), 0);
}

static json_t *read_line(char *text, size_t size) {
    ssize_t len = read(line_pipe[0], text, size - 1);
    if (len <= 0)
        return NULL;
    text[len] = 0;
    cr_assert_eq(text[len - 1], '\n');
    cr_assert_eq(strchr(text, '\n'), text + len - 1, "one line");
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(line, "%s", text);
    return line;
}

static const char *field(const json_t *line, const char *name) {
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "(none)";
}

Test(log, a_line_is_one_json_object) {
    capture();
    ez_log_init("ezplaned", "debug");
    ez_log_warn("a peer sent a bad frame", "peer", "10.0.0.1\n\x1B[31m\"\\\xFF", "bytes", EZ_LOG_INT(-42), "none", "");
    char text[8192];
    json_t *line = read_line(text, sizeof text);
    cr_assert_str_eq(field(line, "level"), "warn");
    cr_assert_str_eq(field(line, "program"), "ezplaned");
    cr_assert_str_eq(field(line, "message"), "a peer sent a bad frame");
    cr_assert_str_eq(field(line, "peer"), "10.0.0.1\n\x1B[31m\"\\\xEF\xBF\xBD");
    cr_assert_str_eq(field(line, "bytes"), "-42");
    cr_assert_str_eq(field(line, "none"), "");
    cr_assert_eq(strlen(field(line, "time")) > 19, 1);
    json_decref(line);
}

Test(log, levels_below_the_least_are_left_out) {
    capture();
    ez_log_init("p", "warn");
    ez_log_info("not this", "a", "b");
    char text[8192];
    cr_assert_null(read_line(text, sizeof text));
    ez_log_error("but this");
    json_t *line = read_line(text, sizeof text);
    cr_assert_str_eq(field(line, "message"), "but this");
    json_decref(line);
    ez_log_init("p", "loud");
    cr_assert(ez_log_enabled(EZ_LOG_INFO));
    cr_assert_not(ez_log_enabled(EZ_LOG_DEBUG));
}

Test(log, long_values_are_cut_and_the_line_says_what_it_left_out) {
    capture();
    ez_log_init("p", NULL);
    char huge[6000];
    memset(huge, 1, sizeof huge); // six bytes each in JSON
    huge[sizeof huge - 1] = 0;
    char euros[3001];
    for (size_t i = 0; i < 1000; i++)
        memcpy(euros + 3 * i, "\xE2\x82\xAC", 4);
    ez_log_info("long", "a", euros, "b", huge, "c", "small");
    char text[8192];
    json_t *line = read_line(text, sizeof text);
    cr_assert_leq(strlen(text), 4096);
    cr_assert_eq(strlen(field(line, "a")), 1023 + 3);
    cr_assert_null(json_object_get(line, "b"));
    cr_assert_str_eq(field(line, "c"), "small");
    cr_assert(json_is_true(json_object_get(line, "cut")));
    json_decref(line);
}
