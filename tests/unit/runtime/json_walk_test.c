// SPDX-License-Identifier: Apache-2.0
//
// The walk takes what JSON is and nothing else; jansson, which is strict too, is asked for its opinion of the same
// texts and of texts that were damaged at random.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/json_walk.h"
#include "proto/runtime/utf8.h"

static bool is_json(const char *text, size_t len) {
    ez_json_walk walk;
    ez_json_walk_init(&walk, text, len);
    return ez_json_walk_skip(&walk) && ez_json_walk_end(&walk);
}

// What jansson says, but for its own bounds: numbers it can't hold.
static int jansson_says(const char *text, size_t len) {
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    json_decref(value);
    if (!value && json_error_code(&error) == json_error_numeric_overflow)
        return -1;
    return value != NULL;
}

Test(json_walk, takes_json_and_nothing_else) {
    static const struct {
        const char *text;
        bool is_json;
    } cases[] = {
        {"{}", true},
        {" [ ] ", true},
        {"{\"a\":[1,{\"b\":null}],\"c\":true}", true},
        {"-0.5e+10", true},
        {"\"\\u00e9\"", true},
        {"[1,2,[3,[4]],{}]", true},
        {"", false},
        {"[", false},
        {"]", false},
        {"[1,]", false},
        {"[,1]", false},
        {"[1 2]", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{\"a\":1,}", false},
        {"{a:1}", false},
        {"{\"a\":1]", false},
        {"[1}", false},
        {"01", false},
        {"1.", false},
        {"-", false},
        {"1e", false},
        {"+1", false},
        {".5", false},
        {"tru", false},
        {"truex", false},
        {"nul", false},
        {"\"a", false},
        {"\"\\x\"", false},
        {"\"\\u12g4\"", false},
        {"\"\\u12", false},
        {"\"a\nb\"", false},
        {"\"\\", false},
        {"[1] 2", false},
        {"NaN", false},
        {"'a'", false},
        {"\xef\xbb\xbf{}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(is_json(cases[i].text, strlen(cases[i].text)), cases[i].is_json, "%s", cases[i].text);
    cr_expect_not(is_json("[1,\0]", 5), "a NUL is no blank");
}

Test(json_walk, agrees_with_jansson_on_damaged_texts) {
    static const char whole[] =
        "{\"a\":[1,-2.5e3,true,null,\"x\\n\\u00e9\\\\\"],\"b\":{\"c\":{},\"d\":[[],{}]},\"e\":\"\"}";
    static const char bytes[] = "{}[]:,\"\\ntf01-.eE ux";
    char text[sizeof whole];
    uint64_t state = 42;
    for (int round = 0; round < 20000; round++) {
        memcpy(text, whole, sizeof whole);
        for (int i = 0; i < 1 + round % 3; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text[(state >> 33) % (sizeof whole - 1)] = bytes[(state >> 20) % (sizeof bytes - 1)];
        }
        int theirs = jansson_says(text, sizeof whole - 1);
        if (theirs < 0)
            continue;
        bool ours = is_json(text, sizeof whole - 1);
        // A half of a pair is a text of no character: the walk leaves it to whoever wants the text.
        cr_assert(ours == theirs || strstr(text, "\\u"), "%s: ours %d, jansson's %d", text, ours, theirs);
    }
}

Test(json_walk, depth_is_bounded_without_recursion) {
    size_t len = 4u << 20;
    char *text = malloc(len);
    cr_assert_not_null(text);
    memset(text, '[', len);
    ez_json_walk walk;
    ez_json_walk_init(&walk, text, len);
    cr_assert_not(ez_json_walk_skip(&walk));
    cr_assert_str_eq(walk.fault, "it is nested deeper than 64");
    cr_assert_eq(walk.at, 64);
    memset(text + 64, ']', 64);
    cr_assert(is_json(text, 128));
    free(text);
}

Test(json_walk, texts_are_unescaped) {
    static const struct {
        const char *raw, *text; // NULL: it can't be held
    } cases[] = {{"a\\\"\\\\\\/\\b\\f\\n\\r\\t", "a\"\\/\b\f\n\r\t"},
                 {"\\u0041\\u00e9\\u20ac", "A\xc3\xa9\xe2\x82\xac"},
                 {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
                 {"\\ud83d", NULL},
                 {"\\ude00", NULL},
                 {"\\ud83dxxxxxx", NULL},
                 {"\\u0000", NULL},
                 {"0123456789abcdef", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[16];
        size_t len = ez_json_walk_unescape((ez_slice){(const uint8_t *)cases[i].raw, strlen(cases[i].raw)}, out, 16);
        if (!cases[i].text)
            cr_expect_eq(len, SIZE_MAX, "%s", cases[i].raw);
        else
            cr_expect(len == strlen(cases[i].text) && strcmp(out, cases[i].text) == 0, "%s", cases[i].raw);
    }
}
