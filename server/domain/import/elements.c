// SPDX-License-Identifier: Apache-2.0
//
// Reading an element's values as the source writes them: numbers where texts are meant, texts with blanks around them,
// lists with newlines inside, tokens without the prefix clients send.
//
// The awkward case: JSON that jansson can't hold (a number past 64 bits, a NUL within a text, a name twice in one
// object), or that is too large to be decoded. It fails its own row and not the file.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/runtime/cleanup.h"
#include "server/domain/import/plan_inside.h"

#define ELEMENT_MAX  (4u << 20) // bytes; decoded it takes up to 16 times that
#define TOKEN_PREFIX "sk-"
#define TOKEN_MAX    4096
#define EXACT_MAX    9007199254740992.0 // 2^53: whole numbers a double holds exactly

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Texts directly in the element lose the blanks around them: they are names that others refer to.
static bool trim_members(json_t *element) {
    const char *name;
    json_t *value;
    json_object_foreach(element, name, value) {
        const char *text = json_string_value(value);
        size_t len = json_string_length(value), start = 0;
        if (text == NULL || len == 0 || !(is_blank(text[0]) || is_blank(text[len - 1]))) {
            continue;
        }
        while (start < len && is_blank(text[start])) {
            start++;
        }
        while (len > start && is_blank(text[len - 1])) {
            len--;
        }
        ez_autofree char *copy = strndup(text + start, len - start);
        if (copy == NULL || json_string_set(value, copy) != 0) {
            return false;
        }
    }
    return true;
}

// What is wrong with a row whose JSON is right; NULL: it is not JSON.
static const char *unholdable(enum json_error_code code) {
    switch (code) {
    case json_error_null_character:
        return "a text in it holds a NUL character";
    case json_error_numeric_overflow:
        return "a number in it is too large";
    case json_error_duplicate_key:
        return "it has a field twice";
    default:
        return NULL;
    }
}

ez_status ez_element_parse(ez_slice item, json_t **out, ez_error *error) {
    json_error_t why;
    if (item.len > ELEMENT_MAX) {
        return ez_error_set(error, EZ_OUT_OF_RANGE, "ROW_INVALID", "it is too large: %zu bytes, of at most %u",
                            item.len, ELEMENT_MAX);
    }
    json_t *element = json_loadb((const char *)item.data, item.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (element == NULL) {
        const char *fault = unholdable(json_error_code(&why));
        return fault != NULL ? ez_error_set(error, EZ_OUT_OF_RANGE, "ROW_INVALID", "%s", fault)
                             : ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_INVALID",
                                            "it is not JSON (byte %d of it)", why.position);
    }
    const char *fault = !json_is_object(element) ? "it is not an object" : NULL;
    if (fault == NULL && trim_members(element)) {
        *out = element;
        return EZ_OK;
    }
    json_decref(element);
    return fault != NULL ? ez_error_set(error, EZ_OUT_OF_RANGE, "ROW_INVALID", "%s", fault)
                         : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this file");
}

const char *ez_element_text(const json_t *element, const char *name) {
    const char *text = json_string_value(json_object_get(element, name));
    return text != NULL ? text : "";
}

const char *ez_element_group(const json_t *element, const char *name) {
    const char *text = ez_element_text(element, name);
    return text[0] != '\0' ? text : "default";
}

int ez_element_choose(const json_t *element, const char *name, const char *const *words) {
    const json_t *value = json_object_get(element, name);
    const char *text = json_string_value(value);
    if (value == NULL || json_is_null(value) || (text != NULL && text[0] == '\0')) {
        return 0;
    }
    for (int i = 0; text != NULL && words[i] != NULL; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return i;
        }
    }
    return -1;
}

ez_status ez_element_whole(const json_t *element, const char *name, int64_t otherwise, int64_t *out, ez_error *error) {
    const json_t *value = json_object_get(element, name);
    double real = json_real_value(value);
    if (json_is_integer(value)) {
        *out = (int64_t)json_integer_value(value);
    } else if (value == NULL || json_is_null(value)) {
        *out = otherwise;
    } else if (json_is_real(value) && fabs(real) <= EXACT_MAX && trunc(real) == real) {
        *out = (int64_t)real;
    } else {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "%s: must be a whole number", name);
    }
    return EZ_OK;
}

ez_status ez_element_flag(const json_t *element, const char *name, bool *out, ez_error *error) {
    const json_t *value = json_object_get(element, name);
    if (value != NULL && !json_is_null(value) && !json_is_boolean(value)) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID", "%s: must be true or false", name);
    }
    *out = json_is_true(value);
    return EZ_OK;
}

static bool is_separator(char c, bool splits) {
    return is_blank(c) || (splits && (c == ',' || c == ';'));
}

static bool each_piece(const char *text, bool splits, bool (*each)(void *user, const char *text), void *user) {
    while (*text != '\0') {
        while (is_separator(*text, splits)) {
            text++;
        }
        size_t end = splits ? strcspn(text, " \t\v\f\r\n,;") : strlen(text), len = end;
        while (len > 0 && is_separator(text[len - 1], splits)) {
            len--;
        }
        ez_autofree char *piece = strndup(text, len);
        if (piece == NULL || (len > 0 && !each(user, piece))) {
            return false;
        }
        text += end;
    }
    return true;
}

bool ez_element_each(const json_t *value, bool splits, bool (*each)(void *user, const char *text), void *user) {
    if (json_is_string(value)) {
        return each_piece(json_string_value(value), splits, each, user);
    }
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (json_is_string(item) && !each_piece(json_string_value(item), splits, each, user)) {
            return false;
        }
    }
    return true;
}

// A token goes into an HTTP header: anything else never worked at the source either.
static bool is_sendable(const char *token) {
    for (const char *c = token; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return false;
        }
    }
    return true;
}

ez_status ez_element_token(const json_t *key, ez_arena *arena, const char **out, ez_error *error) {
    const char *token = ez_element_text(key, "original_token");
    bool has_prefix = strncmp(token, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) == 0;
    const char *rest = token + (has_prefix ? strlen(TOKEN_PREFIX) : 0);
    if (rest[0] == '\0' || json_is_false(json_object_get(key, "_token_plaintext_available"))) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID",
                            "the export does not hold its token (original_token)");
    }
    if (!is_sendable(rest) || strlen(rest) > TOKEN_MAX) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROW_INVALID",
                            "its token (original_token) holds what no client can send, or is too long");
    }
    *out = ez_arena_printf(arena, TOKEN_PREFIX "%s", rest);
    return *out != NULL ? EZ_OK
                        : ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory for this row");
}

const char *ez_element_id(const json_t *element, const char *name, ez_arena *arena) {
    const json_t *value = json_object_get(element, name);
    const char *text = NULL;
    if (json_is_integer(value) && json_integer_value(value) != 0) {
        text = ez_arena_printf(arena, "%lld", (long long)json_integer_value(value));
    } else if (json_is_string(value)) {
        text = ez_arena_strdup(arena, json_string_value(value));
    }
    return text != NULL ? text : "";
}
