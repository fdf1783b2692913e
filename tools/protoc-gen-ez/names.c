// SPDX-License-Identifier: Apache-2.0
//
// The rules are protobuf-c's (c_helpers.cc: FullNameToC, FullNameToLower, CamelToLower), so that what is generated here
// names the structs that protoc-c wrote beside it. Runs of capitals stay one word: "GetURL" is "get_url".
#include "tools/protoc-gen-ez/names.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

char *gen_name_c_type(gen_pool *pool, const char *full) {
    char *out = gen_pool_alloc(pool, 2 * strlen(full) + 1, 1), *to = out;
    bool upper = true;
    for (const char *at = full; *at; at++) {
        if (*at == '.') {
            *to++ = '_';
            *to++ = '_';
            upper = true;
        } else if (*at == '_') {
            upper = true;
        } else {
            *to++ = (char)(upper ? toupper((unsigned char)*at) : *at);
            upper = false;
        }
    }
    return out;
}

char *gen_name_c_lower(gen_pool *pool, const char *full) {
    char *out = gen_pool_alloc(pool, 2 * strlen(full) + 1, 1), *to = out;
    bool was_upper = true; // no "_" before the first capital
    for (const char *at = full; *at; at++) {
        if (*at == '.') {
            *to++ = '_';
            *to++ = '_';
            was_upper = true;
            continue;
        }
        bool is_upper = isupper((unsigned char)*at) != 0;
        if (is_upper && !was_upper)
            *to++ = '_';
        *to++ = (char)tolower((unsigned char)*at);
        was_upper = is_upper;
    }
    return out;
}

char *gen_name_snake(gen_pool *pool, const char *camel) {
    return gen_name_c_lower(pool, camel);
}

char *gen_name_upper(gen_pool *pool, const char *name) {
    char *out = gen_name_c_lower(pool, name);
    for (char *at = out; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    return out;
}

char *gen_name_replace(gen_pool *pool, const char *name, char from, char to) {
    char *out = gen_pool_strndup(pool, name, strlen(name));
    for (char *at = out; *at; at++)
        if (*at == from)
            *at = to;
    return out;
}
