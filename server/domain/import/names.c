// SPDX-License-Identifier: Apache-2.0
//
// Two hash maps (jansson's objects). Valid names are settled first, so that no invented name takes one.
#include "server/domain/import/names.h"

#include <stdio.h>
#include <string.h>

#define NAME_CHARACTERS_MAX 64
#define TEXT_MAX            512

ez_status ez_names_init(ez_names *names, ez_error *error) {
    names->given = json_object();
    names->taken = json_object();
    if (names->given == NULL || names->taken == NULL || !ez_names_note(names, "default")) {
        ez_names_fini(names);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
    }
    return EZ_OK;
}

void ez_names_fini(ez_names *names) {
    json_decref(names->given);
    json_decref(names->taken);
    *names = (ez_names){0};
}

static bool is_blank(unsigned char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Into out, without blanks at both ends, cut at its size.
static const char *trimmed(const char *text, char out[TEXT_MAX]) {
    while (is_blank((unsigned char)*text)) {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && is_blank((unsigned char)text[len - 1])) {
        len--;
    }
    if (len >= TEXT_MAX) { // far too long for a name; cut between two characters
        for (len = TEXT_MAX - 1; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;) {
            len--;
        }
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return len == 0 ? "default" : out;
}

bool ez_names_note(ez_names *names, const char *text) {
    char buffer[TEXT_MAX];
    const char *name = trimmed(text, buffer);
    return json_object_get(names->given, name) != NULL || json_object_set_new(names->given, name, json_null()) == 0;
}

static bool is_allowed(unsigned char c) {
    return c > ' ' && c != 0x7f && c != '.' && c != '/';
}

static bool is_valid(const char *name) {
    size_t characters = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        if (!is_allowed(*c)) {
            return false;
        }
        characters += (*c & 0xc0) != 0x80 ? 1 : 0;
    }
    return characters >= 1 && characters <= NAME_CHARACTERS_MAX;
}

// "Team A/b.c" → "Team-A-b-c". At most 60 characters, which leaves room for "-999".
static void slug(const char *name, char out[TEXT_MAX]) {
    size_t len = 0, characters = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0' && len + 1 < TEXT_MAX; c++) {
        bool is_start = (*c & 0xc0) != 0x80;
        if (is_start && ++characters > NAME_CHARACTERS_MAX - 4) {
            break;
        }
        if (is_allowed(*c)) {
            out[len++] = (char)*c;
        } else if (len > 0 && out[len - 1] != '-') {
            out[len++] = '-';
        }
    }
    while (len > 0 && out[len - 1] == '-') {
        len--;
    }
    out[len] = '\0';
    if (len == 0) {
        snprintf(out, TEXT_MAX, "group");
    }
}

static bool take(ez_names *names, const char *text, const char *name) {
    return json_object_set_new(names->taken, name, json_true()) == 0 &&
           json_object_set_new(names->given, text, json_string(name)) == 0;
}

static bool invent(ez_names *names, const char *text, char name[TEXT_MAX + 16]) {
    char base[TEXT_MAX];
    slug(text, base);
    snprintf(name, TEXT_MAX + 16, "%s", base);
    for (unsigned n = 2; json_object_get(names->taken, name) != NULL; n++) {
        snprintf(name, TEXT_MAX + 16, "%s-%u", base, n);
    }
    return take(names, text, name);
}

bool ez_names_settle(ez_names *names, void (*warned)(void *user, const char *text), void *user) {
    const char *text;
    json_t *value;
    void *next;
    json_object_foreach_safe(names->given, next, text, value) {
        if (is_valid(text) && !take(names, text, text)) {
            return false;
        }
    }
    json_object_foreach_safe(names->given, next, text, value) {
        char name[TEXT_MAX + 16];
        if (is_valid(text)) {
            continue;
        }
        if (!invent(names, text, name)) {
            return false;
        }
        char line[2 * TEXT_MAX];
        snprintf(line, sizeof line, "group \"%.200s\" can't be a namespace's name: it becomes \"%.200s\"", text, name);
        warned(user, line);
    }
    return true;
}

const char *ez_names_get(const ez_names *names, const char *text) {
    char buffer[TEXT_MAX];
    const char *name = json_string_value(json_object_get(names->given, trimmed(text, buffer)));
    return name != NULL ? name : "default";
}
