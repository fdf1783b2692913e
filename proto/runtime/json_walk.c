// SPDX-License-Identifier: Apache-2.0
//
// Where a value stands is decided by the caller's calls, so the only state is how deep we are and, for each level,
// whether it is an object and had a member. Stepping over a nested value is entering it and going on until its end.
//
// Awkward: numbers. They are held to JSON's grammar first, strtod only reads what passed; it needs a NUL behind, so the
// digits are copied, and a number longer than any sane one is a fault.
#include "proto/runtime/json_walk.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64

void ez_json_walk_init(ez_json_walk *walk, const char *text, size_t len) {
    *walk = (ez_json_walk){.text = text, .len = len};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) // a byte order mark
        walk->at = 3;
}

static bool fail(ez_json_walk *walk, const char *fault) {
    if (!walk->fault)
        walk->fault = walk->at < walk->len ? fault : "it ends in the middle";
    return false;
}

// The next byte that is no blank; 0 at the end and after a fault.
static char peek(ez_json_walk *walk) {
    while (walk->at < walk->len) {
        char c = walk->text[walk->at];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return walk->fault ? 0 : c;
        walk->at++;
    }
    return 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

char ez_json_walk_kind(ez_json_walk *walk) {
    char c = peek(walk);
    if (c == '-' || is_digit(c))
        return '0';
    if (c && strchr("{[\"tfn", c))
        return c;
    fail(walk, "a value is missing");
    return 0;
}

// ---- Texts

static bool is_hex4(const char *text) {
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
            return false;
    }
    return true;
}

// Behind a backslash: how many bytes the escape has from there; 0: none.
static size_t escape_len(const char *text, size_t left) {
    if (left > 0 && text[0] && strchr("\"\\/bfnrt", text[0]))
        return 1;
    return left >= 5 && text[0] == 'u' && is_hex4(text + 1) ? 5 : 0;
}

bool ez_json_walk_text(ez_json_walk *walk, ez_slice *raw) {
    if (peek(walk) != '"')
        return fail(walk, "a text is missing");
    size_t begin = ++walk->at;
    while (walk->at < walk->len) {
        unsigned char c = (unsigned char)walk->text[walk->at];
        if (c == '"') {
            *raw = (ez_slice){(const uint8_t *)walk->text + begin, walk->at++ - begin};
            return true;
        }
        if (c < ' ')
            return fail(walk, "a control character stands in a text");
        size_t more = c == '\\' ? escape_len(walk->text + walk->at + 1, walk->len - walk->at - 1) : 0;
        if (c == '\\' && more == 0)
            return fail(walk, "an escape in a text is none");
        walk->at += 1 + more;
    }
    return fail(walk, "");
}

static uint32_t hex4(const char *text) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        value = value << 4 | (uint32_t)(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
}

static size_t put_utf8(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

// The character of a \u escape (text is behind the u) and, of a pair, its second half; 0: none that can be held.
static uint32_t read_unicode(const char *text, size_t left, size_t *used) {
    uint32_t c = hex4(text);
    *used = 4;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    if (c > 0xdbff || left < 10 || text[4] != '\\' || text[5] != 'u')
        return 0;
    uint32_t low = hex4(text + 6);
    *used = 10;
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00)) : 0;
}

size_t ez_json_walk_unescape(ez_slice raw, char *out, size_t size) {
    static const char marks[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *text = (const char *)raw.data;
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        char bytes[4] = {text[at]};
        size_t count = 1;
        if (text[at++] == '\\') {
            char c = text[at++];
            if (c == 'u') {
                size_t used;
                uint32_t character = read_unicode(text + at, raw.len - at, &used);
                if (character == 0)
                    return SIZE_MAX;
                count = put_utf8(character, bytes);
                at += used;
            } else {
                bytes[0] = values[strchr(marks, c) - marks];
            }
        }
        if (bytes[0] == 0 || len + count >= size)
            return SIZE_MAX;
        memcpy(out + len, bytes, count);
        len += count;
    }
    out[len] = 0;
    return len;
}

// ---- Numbers and words

static size_t digits(const ez_json_walk *walk, size_t at) {
    size_t n = 0;
    while (at + n < walk->len && is_digit(walk->text[at + n]))
        n++;
    return n;
}

static bool has_at(const ez_json_walk *walk, size_t at, const char *any) {
    return at < walk->len && walk->text[at] && strchr(any, walk->text[at]);
}

// The length of the number at walk->at; 0: it is none.
static size_t number_len(const ez_json_walk *walk) {
    size_t at = walk->at + has_at(walk, walk->at, "-");
    size_t whole = digits(walk, at);
    if (whole == 0 || (whole > 1 && walk->text[at] == '0'))
        return 0;
    at += whole;
    if (has_at(walk, at, ".")) {
        size_t fraction = digits(walk, at + 1);
        if (fraction == 0)
            return 0;
        at += 1 + fraction;
    }
    if (has_at(walk, at, "eE")) {
        at += 1 + has_at(walk, at + 1, "+-");
        size_t exponent = digits(walk, at);
        if (exponent == 0)
            return 0;
        at += exponent;
    }
    return at - walk->at;
}

bool ez_json_walk_number(ez_json_walk *walk, double *out) {
    char copy[NUMBER_MAX + 1];
    if (ez_json_walk_kind(walk) != '0')
        return fail(walk, "a number is missing");
    size_t len = number_len(walk);
    if (len == 0 || len > NUMBER_MAX)
        return fail(walk, len ? "a number is too long" : "a number is malformed");
    memcpy(copy, walk->text + walk->at, len);
    copy[len] = 0;
    *out = strtod(copy, NULL);
    walk->at += len;
    return true;
}

static bool take_word(ez_json_walk *walk, const char *word) {
    size_t len = strlen(word);
    if (walk->len - walk->at < len || memcmp(walk->text + walk->at, word, len) != 0)
        return fail(walk, "a word is neither true, false nor null");
    walk->at += len;
    return true;
}

bool ez_json_walk_bool(ez_json_walk *walk, bool *out) {
    char c = peek(walk);
    if (c != 't' && c != 'f')
        return fail(walk, "true or false is missing");
    if (!take_word(walk, c == 't' ? "true" : "false"))
        return false;
    *out = c == 't';
    return true;
}

// ---- Objects and lists

bool ez_json_walk_enter(ez_json_walk *walk, char bracket) {
    if (peek(walk) != bracket)
        return fail(walk, bracket == '{' ? "an object is missing" : "a list is missing");
    if (walk->depth == EZ_JSON_WALK_DEPTH)
        return fail(walk, "it is nested deeper than 64");
    uint64_t bit = UINT64_C(1) << walk->depth++;
    walk->objects = bracket == '{' ? walk->objects | bit : walk->objects & ~bit;
    walk->begun &= ~bit;
    walk->at++;
    return true;
}

bool ez_json_walk_next(ez_json_walk *walk, ez_slice *name) {
    uint64_t bit = UINT64_C(1) << (walk->depth - 1);
    bool is_object = walk->objects & bit;
    *name = (ez_slice){NULL, 0};
    char c = peek(walk);
    if (c == (is_object ? '}' : ']')) {
        walk->at++;
        walk->depth--;
        return false;
    }
    if (walk->begun & bit) {
        if (c != ',')
            return fail(walk, "a comma is missing");
        walk->at++;
    }
    walk->begun |= bit;
    if (!is_object)
        return ez_json_walk_kind(walk) != 0;
    if (!ez_json_walk_text(walk, name))
        return false;
    if (peek(walk) != ':')
        return fail(walk, "a colon is missing");
    walk->at++;
    return ez_json_walk_kind(walk) != 0;
}

// A value that holds no other, or the opening of one that does.
static bool skip_one(ez_json_walk *walk) {
    ez_slice raw;
    double number;
    char c = ez_json_walk_kind(walk);
    switch (c) {
    case '{':
    case '[':
        return ez_json_walk_enter(walk, c);
    case '"':
        return ez_json_walk_text(walk, &raw);
    case '0':
        return ez_json_walk_number(walk, &number);
    case 't':
        return take_word(walk, "true");
    case 'f':
        return take_word(walk, "false");
    case 'n':
        return take_word(walk, "null");
    default:
        return false;
    }
}

bool ez_json_walk_skip(ez_json_walk *walk) {
    unsigned depth = walk->depth;
    bool goes_on = skip_one(walk);
    while (goes_on && walk->depth > depth) {
        ez_slice name;
        if (ez_json_walk_next(walk, &name))
            goes_on = skip_one(walk);
        else
            goes_on = !walk->fault;
    }
    return goes_on;
}

bool ez_json_walk_end(ez_json_walk *walk) {
    if (!walk->fault && (peek(walk) || walk->at < walk->len))
        return fail(walk, "something stands behind its end");
    return !walk->fault;
}
