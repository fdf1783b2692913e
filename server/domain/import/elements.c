// SPDX-License-Identifier: Apache-2.0
//
// Reading an element's values as the source writes them: numbers where texts are meant, lists with newlines inside,
// tokens without the prefix clients send.
#include <string.h>

#include "server/domain/import/plan_inside.h"

#define TOKEN_PREFIX "sk-"
#define PIECE_MAX    1024

json_t *ez_element_parse(ez_slice item, ez_error *error) {
    json_error_t why;
    json_t *element = json_loadb((const char *)item.data, item.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (element == NULL) {
        (void)ez_error_set(error, EZ_INVALID_ARGUMENT, "EXPORT_INVALID", "it is not JSON: %s", why.text);
    }
    return element;
}

const char *ez_element_text(const json_t *element, const char *name) {
    const char *text = json_string_value(json_object_get(element, name));
    return text != NULL ? text : "";
}

static bool is_separator(char c, bool splits) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || (splits && (c == ',' || c == ';'));
}

static bool each_piece(const char *text, bool splits, bool (*each)(void *user, const char *text), void *user) {
    while (*text != '\0') {
        while (is_separator(*text, splits)) {
            text++;
        }
        size_t len = splits ? strcspn(text, " \t\r\n,;") : strlen(text);
        while (len > 0 && is_separator(text[len - 1], splits)) {
            len--;
        }
        char piece[PIECE_MAX];
        if (len >= sizeof piece) {
            return false;
        }
        memcpy(piece, text, len);
        piece[len] = '\0';
        if (len > 0 && !each(user, piece)) {
            return false;
        }
        text += splits ? strcspn(text, " \t\r\n,;") : strlen(text);
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

const char *ez_element_token(const json_t *key, ez_arena *arena) {
    const json_t *available = json_object_get(key, "_token_plaintext_available");
    const char *token = ez_element_text(key, "original_token");
    while (*token == ' ' || *token == '\n') {
        token++;
    }
    if (token[0] == '\0' || json_is_false(available)) {
        return NULL;
    }
    size_t len = strcspn(token, " \t\r\n");
    bool has_prefix = strncmp(token, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) == 0;
    return ez_arena_printf(arena, "%s%.*s", has_prefix ? "" : TOKEN_PREFIX, (int)(len < 4096 ? len : 4096), token);
}

const char *ez_element_id(const json_t *element, const char *name, ez_arena *arena) {
    const json_t *value = json_object_get(element, name);
    const char *text = NULL;
    if (json_is_integer(value)) {
        text = ez_arena_printf(arena, "%lld", (long long)json_integer_value(value));
    } else if (json_is_string(value)) {
        text = ez_arena_strdup(arena, json_string_value(value));
    }
    return text != NULL ? text : "";
}
