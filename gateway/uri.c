// SPDX-License-Identifier: Apache-2.0
//
// Request targets. evhttp's own decoder lets "%4" and "%" through and stops at "%00"; here each of them is refused, and
// so is text that is not UTF-8: what goes on from here is a C string in a message. The awkward case: "//host/path",
// which evhttp takes for an authority and which here is a path whose first segment is empty.
#include "gateway/uri.h"

#include <string.h>
#include <strings.h>

#include "proto/runtime/utf8.h"

void ez_uri_split(const char *target, ez_text *path, ez_text *query) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && *target != '/'; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(target, schemes[i], len) == 0) {
            target += len;
            target += strcspn(target, "/?#");
        }
    }
    size_t path_len = *target == '/' ? strcspn(target, "?#") : 0;
    *path = (ez_text){target, path_len};
    const char *rest = target + path_len;
    *query = *rest == '?' ? (ez_text){rest + 1, strcspn(rest + 1, "#")} : (ez_text){"", 0};
}

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ez_status ez_uri_decode(ez_text text, bool plus, char *out, size_t *out_len, ez_error *error) {
    size_t used = 0;
    bool ascii = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            bool is_whole = text.len - i > 2;
            int high = is_whole ? hex(text.data[i + 1]) : -1;
            int low = is_whole ? hex(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ez_error_set(error, EZ_INVALID_ARGUMENT, "URI_INVALID",
                                    "the request's path or query has a \"%%\" that two hexadecimal digits do not "
                                    "follow; write a percent sign as %%25");
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == '\0')
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "URI_INVALID",
                                "the request's path or query holds a NUL byte (%%00), which no text may");
        ascii = ascii && (unsigned char)c < 0x80;
        out[used++] = c;
    }
    if (!ascii && !ez_utf8_is_text(out, used))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "URI_INVALID",
                            "the request's path or query is not UTF-8 after decoding");
    *out_len = used;
    return EZ_OK;
}

static ez_status decode_part(ez_text part, ez_arena *arena, const char **out, ez_error *error) {
    char *text = ez_arena_alloc(arena, part.len + 1);
    if (!text)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the request is too large");
    size_t len;
    ez_status status = ez_uri_decode(part, true, text, &len, error);
    if (status != EZ_OK)
        return status;
    text[len] = '\0';
    *out = text;
    return EZ_OK;
}

ez_status ez_uri_query_next(ez_text *query, ez_arena *arena, const char **name, const char **value, ez_error *error) {
    while (query->len > 0 && *query->data == '&')
        *query = (ez_text){query->data + 1, query->len - 1};
    if (query->len == 0) {
        *name = *value = NULL;
        return EZ_OK;
    }
    const char *end = memchr(query->data, '&', query->len);
    size_t len = end ? (size_t)(end - query->data) : query->len;
    const char *equals = memchr(query->data, '=', len);
    size_t name_len = equals ? (size_t)(equals - query->data) : len;
    const char *found, *text = "";
    ez_status status = decode_part((ez_text){query->data, name_len}, arena, &found, error);
    if (status == EZ_OK && equals)
        status = decode_part((ez_text){equals + 1, len - name_len - 1}, arena, &text, error);
    if (status != EZ_OK)
        return status;
    *query = (ez_text){query->data + len, query->len - len};
    *name = found;
    *value = text;
    return EZ_OK;
}
