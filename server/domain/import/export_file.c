// SPDX-License-Identifier: Apache-2.0
//
// A scanner for the skeleton of a JSON text: it walks objects and lists whose members it wants and steps over every
// other value, strings and brackets observed. The elements it finds are decoded later, one at a time, by jansson, which
// judges them strictly.
//
// The awkward case is hostile depth (a gigabyte of "["): stepping over uses a stack of 64 bracket kinds, no recursion.
#include "server/domain/import/export_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX    64
#define ITEMS_MAX    10000000 // of one list; ten times the largest export seen
#define FILE_VERSION "1.0.0"
#define FILE_SOURCE  "newapi"

typedef struct scan {
    const char *text;
    size_t len, at;
    ez_export *file;
    bool has_version, has_data;
    bool has_list[EZ_EXPORT_SECTIONS];
    ez_error *error;
} scan;

typedef ez_status member_fn(scan *s, ez_slice name);

static ez_status bad(scan *s, const char *what) {
    return ez_error_set(s->error, EZ_INVALID_ARGUMENT, "EXPORT_INVALID", "this is no export file: %s at byte %zu%s",
                        what, s->at, s->at >= s->len ? ", where it ends: was it cut short?" : "");
}

static bool is(ez_slice text, const char *word) {
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static char peek(scan *s) {
    while (s->at < s->len && strchr(" \t\r\n", s->text[s->at]) != NULL && s->text[s->at] != '\0') {
        s->at++;
    }
    return s->at < s->len ? s->text[s->at] : '\0';
}

static ez_status expect(scan *s, char c, const char *what) {
    if (peek(s) != c) {
        return bad(s, what);
    }
    s->at++;
    return EZ_OK;
}

// A string's bytes between its quotes, escapes as they stand.
static ez_status read_string(scan *s, ez_slice *out) {
    if (peek(s) != '"') {
        return bad(s, "a string is missing");
    }
    size_t begin = ++s->at;
    while (s->at < s->len && s->text[s->at] != '"') {
        s->at += s->text[s->at] == '\\' ? 2 : 1;
    }
    if (s->at >= s->len) {
        return bad(s, "a string has no end");
    }
    *out = (ez_slice){(const uint8_t *)s->text + begin, s->at - begin};
    s->at++;
    return EZ_OK;
}

// How many digits there are at text.
static size_t digits(const char *text, size_t len) {
    size_t n = 0;
    while (n < len && text[n] >= '0' && text[n] <= '9') {
        n++;
    }
    return n;
}

static bool is_number(const char *text, size_t len) {
    size_t at = len > 0 && text[0] == '-' ? 1 : 0;
    size_t whole = digits(text + at, len - at);
    if (whole == 0 || (whole > 1 && text[at] == '0')) {
        return false;
    }
    at += whole;
    if (at < len && text[at] == '.') {
        size_t fraction = digits(text + at + 1, len - at - 1);
        if (fraction == 0) {
            return false;
        }
        at += 1 + fraction;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E')) {
        at += at + 1 < len && (text[at + 1] == '+' || text[at + 1] == '-') ? 2 : 1;
        size_t exponent = digits(text + at, len - at);
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    return at == len;
}

static ez_status skip_scalar(scan *s) {
    size_t begin = s->at;
    while (s->at < s->len && strchr(",]} \t\r\n", s->text[s->at]) == NULL) {
        s->at++;
    }
    ez_slice value = {(const uint8_t *)s->text + begin, s->at - begin};
    if (is(value, "null") || is(value, "true") || is(value, "false") || is_number(s->text + begin, value.len)) {
        return EZ_OK;
    }
    s->at = begin;
    return bad(s, "a value is missing");
}

// Steps to the next string or bracket.
static void skip_plain(scan *s) {
    for (s->at++; s->at < s->len; s->at++) {
        switch (s->text[s->at]) {
        case '"':
        case '[':
        case ']':
        case '{':
        case '}':
            return;
        default:
            break;
        }
    }
}

// Steps over a list or object.
static ez_status skip_nested(scan *s) {
    char open[DEPTH_MAX];
    int depth = 0;
    do {
        char c = peek(s);
        ez_slice ignored;
        ez_status status = EZ_OK;
        if (c == '"') {
            status = read_string(s, &ignored);
        } else if (c == '[' || c == '{') {
            if (depth == DEPTH_MAX) {
                return bad(s, "it is nested deeper than 64");
            }
            open[depth++] = c;
            s->at++;
        } else if (c == ']' || c == '}') {
            if (open[--depth] != (c == ']' ? '[' : '{')) {
                return bad(s, "a bracket does not match");
            }
            s->at++;
        } else if (s->at >= s->len) {
            return bad(s, "a bracket is not closed");
        } else {
            skip_plain(s);
        }
        if (status != EZ_OK) {
            return status;
        }
    } while (depth > 0);
    return EZ_OK;
}

static ez_status skip_value(scan *s) {
    ez_slice ignored;
    switch (peek(s)) {
    case '"':
        return read_string(s, &ignored);
    case '[':
    case '{':
        return skip_nested(s);
    default:
        return skip_scalar(s);
    }
}

static ez_status read_object(scan *s, member_fn *member) {
    ez_status status = expect(s, '{', "an object is missing");
    if (status != EZ_OK || peek(s) == '}') {
        s->at += status == EZ_OK ? 1 : 0;
        return status;
    }
    for (;;) {
        ez_slice name;
        status = read_string(s, &name);
        status = status != EZ_OK ? status : expect(s, ':', "a colon is missing");
        status = status != EZ_OK ? status : member(s, name);
        if (status != EZ_OK) {
            return status;
        }
        if (peek(s) == '}') {
            s->at++;
            return EZ_OK;
        }
        status = expect(s, ',', "a comma is missing");
        if (status != EZ_OK) {
            return status;
        }
    }
}

static ez_status add_item(scan *s, ez_export_list *list, size_t begin) {
    if (list->count == ITEMS_MAX) {
        return bad(s, "a list has more than 10,000,000 elements");
    }
    if ((list->count & (list->count - 1)) == 0) { // grows at each power of two
        ez_slice *grown = realloc(list->items, (list->count == 0 ? 1 : 2 * list->count) * sizeof *grown);
        if (grown == NULL) {
            return ez_error_set(s->error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
        }
        list->items = grown;
    }
    list->items[list->count++] = (ez_slice){(const uint8_t *)s->text + begin, s->at - begin};
    return EZ_OK;
}

// A list's elements, each stepped over and its place kept; null is an empty list.
static ez_status read_list(scan *s, ez_export_list *list) {
    if (peek(s) == 'n') {
        return skip_scalar(s);
    }
    ez_status status = expect(s, '[', "a list is missing");
    if (status != EZ_OK || peek(s) == ']') {
        s->at += status == EZ_OK ? 1 : 0;
        return status;
    }
    for (;;) {
        (void)peek(s);
        size_t begin = s->at;
        status = skip_value(s);
        status = status != EZ_OK ? status : add_item(s, list, begin);
        if (status != EZ_OK) {
            return status;
        }
        if (peek(s) == ']') {
            s->at++;
            return EZ_OK;
        }
        status = expect(s, ',', "a comma is missing");
        if (status != EZ_OK) {
            return status;
        }
    }
}

static ez_status data_member(scan *s, ez_slice name) {
    for (int section = 0; section < EZ_EXPORT_SECTIONS; section++) {
        if (is(name, ez_export_section_name((ez_export_section)section))) {
            if (s->has_list[section]) {
                return bad(s, "a list is there twice");
            }
            s->has_list[section] = true;
            return read_list(s, &s->file->lists[section]);
        }
    }
    return skip_value(s);
}

static ez_status source_member(scan *s, ez_slice name) {
    ez_slice type;
    if (!is(name, "type")) {
        return skip_value(s);
    }
    ez_status status = read_string(s, &type);
    if (status == EZ_OK && !is(type, FILE_SOURCE)) {
        return ez_error_set(s->error, EZ_INVALID_ARGUMENT, "EXPORT_SOURCE",
                            "this export comes from \"%.*s\": only exports from \"" FILE_SOURCE "\" can be read",
                            (int)(type.len < 40 ? type.len : 40), (const char *)type.data);
    }
    return status;
}

static ez_status read_version(scan *s) {
    ez_slice version;
    ez_status status = read_string(s, &version);
    if (status == EZ_OK && !is(version, FILE_VERSION)) {
        return ez_error_set(s->error, EZ_INVALID_ARGUMENT, "EXPORT_VERSION",
                            "this export has version \"%.*s\": only " FILE_VERSION " can be read",
                            (int)(version.len < 40 ? version.len : 40), (const char *)version.data);
    }
    s->has_version = true;
    return status;
}

static ez_status read_warnings(scan *s) {
    ez_export_list warnings = {0};
    ez_status status = read_list(s, &warnings);
    s->file->warning_count = warnings.count;
    free(warnings.items);
    return status;
}

static ez_status top_member(scan *s, ez_slice name) {
    if (is(name, "version")) {
        return s->has_version ? bad(s, "\"version\" is there twice") : read_version(s);
    }
    if (is(name, "source") && peek(s) == '{') {
        return read_object(s, source_member);
    }
    if (is(name, "warnings")) {
        return read_warnings(s);
    }
    if (is(name, "data")) {
        if (s->has_data) {
            return bad(s, "\"data\" is there twice");
        }
        s->has_data = true;
        return read_object(s, data_member);
    }
    return skip_value(s);
}

static ez_status read_file(ez_export *file, ez_error *error) {
    scan s = {.text = file->map, .len = file->len, .file = file, .error = error};
    if (file->len >= 3 && memcmp(s.text, "\xef\xbb\xbf", 3) == 0) {
        s.at = 3;
    }
    ez_status status = read_object(&s, top_member);
    if (status != EZ_OK) {
        return status;
    }
    (void)peek(&s);
    if (s.at != s.len) {
        return bad(&s, "there is something behind its end");
    }
    if (!s.has_version || !s.has_data) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_INVALID", "this is no export file: it has no \"%s\"",
                            s.has_version ? "data" : "version");
    }
    return EZ_OK;
}

static ez_status map_file(const char *path, ez_export *file, ez_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        ez_status status = ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_UNREADABLE", "can't read %s: %s", path,
                                        fd < 0 ? strerror(errno) : "it is not a regular file");
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    file->len = (size_t)info.st_size;
    file->map = file->len == 0 ? NULL : mmap(NULL, file->len, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file->map == NULL || file->map == MAP_FAILED) {
        file->map = NULL;
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_UNREADABLE", "can't read %s: %s", path,
                            file->len == 0 ? "it is empty" : strerror(errno));
    }
    (void)madvise(file->map, file->len, MADV_SEQUENTIAL);
    return EZ_OK;
}

ez_status ez_export_open(const char *path, ez_export **out, ez_error *error) {
    ez_export *file = calloc(1, sizeof *file);
    if (file == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
    }
    ez_status status = map_file(path, file, error);
    status = status != EZ_OK ? status : read_file(file, error);
    if (status != EZ_OK) {
        ez_export_close(file);
        return status;
    }
    *out = file;
    return EZ_OK;
}

void ez_export_close(ez_export *file) {
    if (file == NULL) {
        return;
    }
    for (int section = 0; section < EZ_EXPORT_SECTIONS; section++) {
        free(file->lists[section].items);
    }
    if (file->map != NULL) {
        munmap(file->map, file->len);
    }
    free(file);
}

const char *ez_export_section_name(ez_export_section section) {
    static const char *const names[] = {"providers", "masters", "keys", "bindings"};
    return names[section];
}
