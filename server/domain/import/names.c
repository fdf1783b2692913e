// SPDX-License-Identifier: Apache-2.0
//
// Hash maps (jansson's objects, which keep the order of insertion). Valid names are settled first, so that no invented
// name takes one.
//
// The awkward case: many texts that become the same name ("a.1", "a/1", "a 1"): each gets a number, counted up per name
// rather than searched for from 2.
#include "server/domain/import/names.h"

#include <stdio.h>
#include <string.h>

#include "proto/runtime/format.h"
#include "proto/runtime/utf8.h"

#define CHARACTERS_MAX 64
#define BYTES_MAX      255
#define NUMBER_ROOM    12 // of an invented name, for "-" and its number
#define NAME_ROOM      (BYTES_MAX + 1)

ez_status ez_names_init(ez_names *names, ez_error *error) {
    names->given = json_object();
    names->taken = json_object();
    names->counts = json_object();
    if (names->given == NULL || names->taken == NULL || names->counts == NULL || !ez_names_note(names, "default")) {
        ez_names_fini(names);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
    }
    return EZ_OK;
}

void ez_names_fini(ez_names *names) {
    json_decref(names->given);
    json_decref(names->taken);
    json_decref(names->counts);
    *names = (ez_names){0};
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// The text without blanks at both ends.
static const char *trimmed(const char *text, size_t *len) {
    while (is_blank(*text)) {
        text++;
    }
    *len = strlen(text);
    while (*len > 0 && is_blank(text[*len - 1])) {
        (*len)--;
    }
    if (*len == 0) {
        *len = strlen("default");
        return "default";
    }
    return text;
}

bool ez_names_note(ez_names *names, const char *text) {
    size_t len;
    const char *name = trimmed(text, &len);
    return json_object_getn(names->given, name, len) != NULL ||
           json_object_setn_new(names->given, name, len, json_null()) == 0;
}

static bool is_valid(const char *name, size_t len) {
    return len <= BYTES_MAX && ez_format_fault(EZ_FORMAT_NAMESPACE, name, len) == NULL;
}

// Every run of characters that may not be becomes one "-"; cut so that a number still fits.
static void slug(const char *text, char out[NAME_ROOM]) {
    size_t len = 0, characters = 0;
    for (size_t left = strlen(text), size; left > 0 && characters < CHARACTERS_MAX - NUMBER_ROOM; left -= size) {
        size = ez_utf8_next(text, left, NULL);
        size = size > 0 ? size : 1;
        if (len + size > BYTES_MAX - NUMBER_ROOM) {
            break;
        }
        if (ez_format_fault(EZ_FORMAT_NAMESPACE, text, size) == NULL) {
            memcpy(out + len, text, size);
            len += size;
            characters++;
        } else if (len > 0 && out[len - 1] != '-') {
            out[len++] = '-';
            characters++;
        }
        text += size;
    }
    while (len > 0 && out[len - 1] == '-') {
        len--;
    }
    out[len] = '\0';
    if (len == 0) {
        snprintf(out, NAME_ROOM, "group");
    }
}

static bool take(ez_names *names, const char *text, const char *name) {
    return json_object_set_new(names->taken, name, json_true()) == 0 &&
           json_object_set_new(names->given, text, json_string(name)) == 0;
}

static bool invent(ez_names *names, const char *text, char name[NAME_ROOM]) {
    char base[NAME_ROOM];
    slug(text, base);
    memcpy(name, base, sizeof base);
    unsigned n = (unsigned)json_integer_value(json_object_get(names->counts, base));
    n = n == 0 ? 1 : n;
    while (json_object_get(names->taken, name) != NULL) {
        snprintf(name, NAME_ROOM, "%.*s-%u", BYTES_MAX - NUMBER_ROOM, base, ++n);
    }
    return json_object_set_new(names->counts, base, json_integer(n)) == 0 && take(names, text, name);
}

bool ez_names_settle(ez_names *names, void (*warned)(void *user, const char *text), void *user) {
    const char *text;
    json_t *value;
    void *next;
    json_object_foreach_safe(names->given, next, text, value) {
        if (is_valid(text, strlen(text)) && !take(names, text, text)) {
            return false;
        }
    }
    json_object_foreach_safe(names->given, next, text, value) {
        char name[NAME_ROOM];
        if (is_valid(text, strlen(text))) {
            continue;
        }
        if (!invent(names, text, name)) {
            return false;
        }
        char line[2 * NAME_ROOM + 80];
        snprintf(line, sizeof line, "group \"%.*s\" can't be a namespace's name: it becomes \"%s\"",
                 (int)ez_utf8_cut(text, strlen(text), BYTES_MAX), text, name);
        warned(user, line);
    }
    return true;
}

const char *ez_names_get(const ez_names *names, const char *text) {
    size_t len;
    const char *given = trimmed(text, &len);
    const char *name = json_string_value(json_object_getn(names->given, given, len));
    return name != NULL ? name : "default";
}
