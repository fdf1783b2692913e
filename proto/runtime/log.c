// SPDX-License-Identifier: Apache-2.0
//
// Log lines. A line is built in a buffer on the stack and written with one write(2), so that lines of several threads
// and processes do not mix and a log call needs no memory. The awkward case is a value a peer chose: it is escaped in
// both forms (no forged lines, no terminal sequences) and cut at 1 KiB; pairs that do not fit are left out and the line
// says so.
#include "proto/runtime/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/runtime/buf.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/json.h"
#include "proto/runtime/utf8.h"

#define LINE_MAX_BYTES 4096
#define TAIL_ROOM      32
#define VALUE_MAX      1024

static const char *const words[] = {"debug", "info", "warn", "error"};

// Set by ez_log_init, before there are threads; the level may be read by any.
static atomic_int least = EZ_LOG_INFO;
static char program_name[32] = "ez";
static bool as_text;

void ez_log_init(const char *program, const char *level) {
    snprintf(program_name, sizeof program_name, "%s", program);
    int found = EZ_LOG_INFO;
    for (int i = 0; level && i < (int)(sizeof words / sizeof words[0]); i++) {
        if (strcmp(level, words[i]) == 0)
            found = i;
    }
    atomic_store_explicit(&least, found, memory_order_relaxed);
    as_text = isatty(STDERR_FILENO);
}

bool ez_log_enabled(ez_log_level level) {
    return (int)level >= atomic_load_explicit(&least, memory_order_relaxed);
}

static void put_string(ez_buf *line, const char *text) {
    size_t len = strlen(text);
    if (len > VALUE_MAX) {
        char cut[VALUE_MAX + 4];
        size_t keep = ez_utf8_cut(text, len, VALUE_MAX);
        memcpy(cut, text, keep);
        memcpy(cut + keep, "…", 3);
        ez_json_write_string(cut, keep + 3, line);
    } else {
        ez_json_write_string(text, len, line);
    }
}

static bool is_plain(const char *text) {
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\' || *text == '=')
            return false;
    }
    return true;
}

static void put_pair(ez_buf *line, const char *key, const char *value) {
    size_t start = line->len;
    if (as_text) {
        ez_buf_putc(line, ' ');
        ez_buf_puts(line, key);
        ez_buf_putc(line, '=');
        if (is_plain(value) && strlen(value) <= VALUE_MAX)
            ez_buf_puts(line, value);
        else
            put_string(line, value);
    } else {
        ez_buf_putc(line, ',');
        put_string(line, key);
        ez_buf_putc(line, ':');
        put_string(line, value);
    }
    if (line->overflow)
        line->len = start;
}

static void put_head(ez_buf *line, ez_log_level level, const char *message) {
    char time[EZ_CLOCK_TEXT_MAX];
    int64_t now = ez_clock_wall_ns();
    ez_clock_format(now / 1000000000, (int32_t)(now % 1000000000 / 1000000 * 1000000), time);
    if (as_text) {
        ez_buf_printf(line, "%s %-5s ", time, words[level]);
        ez_buf_puts(line, message);
        return;
    }
    ez_buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":", time, words[level]);
    put_string(line, program_name);
    ez_buf_puts(line, ",\"message\":");
    put_string(line, message);
}

void ez_log_write(ez_log_level level, const char *message, ...) {
    uint8_t room[LINE_MAX_BYTES];
    // Within its capacity an ez_buf never asks for memory: this one lives on the stack and is not finished.
    ez_buf line = {.data = room, .cap = sizeof room, .max = sizeof room - TAIL_ROOM};
    put_head(&line, level, message);
    bool cut = line.overflow;
    va_list args;
    va_start(args, message);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        line.overflow = false;
        put_pair(&line, key, value ? value : "");
        cut |= line.overflow;
    }
    va_end(args);
    line.max = sizeof room;
    if (cut)
        ez_buf_puts(&line, as_text ? " cut=true" : ",\"cut\":true");
    ez_buf_puts(&line, as_text ? "\n" : "}\n");
    // One try: a log that can't be written must not stop the program.
    while (write(STDERR_FILENO, room, line.len) < 0 && errno == EINTR) {
    }
}

const char *ez_log_int(char *out, long long n) {
    snprintf(out, 24, "%lld", n);
    return out;
}
