// SPDX-License-Identifier: Apache-2.0
//
// Group names as namespaces (traps 4 and 5): kept where they are valid, else made valid and unique, the same way each
// time.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/format.h"
#include "proto/runtime/utf8.h"
#include "server/domain/import/names.h"

static ez_names names;
static unsigned warnings;
static char last[1024];

static void warned(void *user, const char *text) {
    (void)user;
    warnings++;
    snprintf(last, sizeof last, "%s", text);
}

static void begin(void) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_names_init(&names, &error), EZ_OK);
    warnings = 0;
}

static void end(void) {
    ez_names_fini(&names);
}

TestSuite(import_names, .init = begin, .fini = end);

static void settle(void) {
    cr_assert(ez_names_settle(&names, warned, NULL));
}

static void note(const char *text) {
    cr_assert(ez_names_note(&names, text));
}

static void expect_name(const char *text, const char *name) {
    cr_assert_str_eq(ez_names_get(&names, text), name, "\"%s\" became \"%s\"", text, ez_names_get(&names, text));
}

Test(import_names, valid_names_are_kept) {
    static const char *const kept[] = {"default", "VIP", "vip", "高级用户", "a-b_c", "a:b", "é"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        note(kept[i]);
    settle();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        expect_name(kept[i], kept[i]);
    cr_assert_eq(warnings, 0);
}

Test(import_names, empty_ones_are_default_and_blanks_around_do_not_count) {
    note("");
    note(" \t\n");
    note("  vip ");
    settle();
    expect_name("", "default");
    expect_name(" ", "default");
    expect_name("vip", "vip");
    expect_name("vip\n", "vip");
    cr_assert_eq(warnings, 0);
    expect_name("never noted", "default");
}

Test(import_names, invalid_ones_are_made_valid_with_a_warning_each) {
    note("v1.5");
    note("高级 用户");
    note("a / b");
    note("...");
    note("\xe3\x80\x80x"); // an ideographic space
    settle();
    expect_name("v1.5", "v1-5");
    expect_name("高级 用户", "高级-用户");
    expect_name("a / b", "a-b");
    expect_name("...", "group");
    expect_name("\xe3\x80\x80x", "x");
    cr_assert_eq(warnings, 5);
    cr_assert_not_null(strstr(last, "it becomes \"x\""), "%s", last);
}

Test(import_names, none_takes_the_name_of_another) {
    note("a.b");
    note("a/b");
    note("a b");
    note("a-b");   // valid, and noted last: it keeps its name all the same
    note("a-b-2"); // so does this one
    settle();
    expect_name("a-b", "a-b");
    expect_name("a-b-2", "a-b-2");
    expect_name("a.b", "a-b-3");
    expect_name("a/b", "a-b-4");
    expect_name("a b", "a-b-5");
    cr_assert_eq(warnings, 3);
}

Test(import_names, long_ones_are_cut_between_characters_and_stay_apart) {
    char ascii[400], wide[400] = "", wider[400];
    memset(ascii, 'a', sizeof ascii);
    ascii[sizeof ascii - 1] = 0;
    for (int i = 0; i < 70; i++)
        strcat(wide, "😀");
    snprintf(wider, sizeof wider, "%sx", wide);
    note(ascii);
    note(wide);
    note(wider);
    settle();
    const char *const texts[] = {ascii, wide, wider};
    for (size_t i = 0; i < 3; i++) {
        const char *name = ez_names_get(&names, texts[i]);
        cr_assert_null(ez_format_fault(EZ_FORMAT_NAMESPACE, name, strlen(name)), "%s", name);
        cr_assert(ez_utf8_is_text(name, strlen(name)) && strlen(name) <= 255);
    }
    cr_assert_str_neq(ez_names_get(&names, wide), ez_names_get(&names, wider));
    cr_assert_eq(warnings, 3);
    cr_assert(ez_utf8_is_text(last, strlen(last)), "a warning is cut within a character");
}

// 64 characters may be 256 bytes, one more than the schema takes.
Test(import_names, sixty_four_wide_characters_are_too_long) {
    char wide[400] = "";
    for (int i = 0; i < 64; i++)
        strcat(wide, "😀");
    note(wide);
    settle();
    cr_assert_leq(strlen(ez_names_get(&names, wide)), 255);
    cr_assert_eq(warnings, 1);
}

// Numbers are counted up per name: searching from 2 for each would take 2·10^10 steps here and never end.
Test(import_names, a_crowd_of_one_name, .timeout = 60) {
    enum { CROWD = 200000 };
    char text[32];
    for (int i = 0; i < CROWD; i++) {
        snprintf(text, sizeof text, "g.%c%c%c%c%c%c", i & 1 ? '.' : '/', i & 2 ? '.' : '/', i & 4 ? '.' : '/',
                 i & 8 ? '.' : '/', i & 16 ? '.' : '/', i & 32 ? '.' : '/');
        size_t len = strlen(text);
        for (int bit = 6; bit < 18; bit++)
            text[len++] = i >> bit & 1 ? '.' : '/';
        text[len] = 0;
        note(text);
    }
    settle();
    cr_assert_eq(warnings, CROWD);
    cr_assert_eq(json_object_size(names.taken), CROWD + 1);
}
