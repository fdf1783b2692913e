// SPDX-License-Identifier: Apache-2.0
//
// Selectors: the three ways to hit a model, what an expression may not hold, and that no expression and no model keeps
// the writer busy: the tests end because the work is counted, not because a clock stops them.
#include "server/domain/routing/selector.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/domain/routing/pattern.h"

#define EXACT     EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_EXACT
#define REGEX     EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_REGEX
#define NORMALIZE EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_NORMALIZE_EXACT

static bool hits(Ez__V1__SelectorType type, const char *value, const char *model) {
    ez_selector *selector;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_selector_open(type, value, &selector, &error), EZ_OK, "%s: %s", value, error.message);
    bool hit = false;
    cr_assert_eq(ez_selector_hit(selector, model, strlen(model), &hit, &error), EZ_OK, "%s: %s", value, error.message);
    ez_selector_close(selector);
    return hit;
}

static void expect_refused(const char *pattern, const char *part) {
    ez_selector *selector = NULL;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_selector_open(REGEX, pattern, &selector, &error), EZ_INVALID_ARGUMENT, "%s was taken", pattern);
    cr_assert_str_eq(error.reason, "SELECTOR_INVALID");
    cr_assert_not_null(strstr(error.message, part), "%s: \"%s\" does not say \"%s\"", pattern, error.message, part);
    cr_assert_null(selector);
}

Test(selector, exact_trims) {
    cr_assert(hits(EXACT, "gpt-4o", "gpt-4o"));
    cr_assert(hits(EXACT, " gpt-4o ", "gpt-4o\t"));
    cr_assert_not(hits(EXACT, "gpt-4o", "gpt-4o-mini"));
    cr_assert_not(hits(EXACT, "gpt-4o", "GPT-4o"));
    cr_assert_not(hits(EXACT, "gpt-4o", "openai/gpt-4o"));
}

Test(selector, normalize_exact_takes_what_is_behind_the_last_slash) {
    cr_assert(hits(NORMALIZE, "GPT-4o", "openai/gpt-4O"));
    cr_assert(hits(NORMALIZE, "x/y/gpt-4o", "gpt-4o "));
    cr_assert(hits(NORMALIZE, "a/ gpt-4o", "b/gpt-4o"));
    cr_assert_not(hits(NORMALIZE, "gpt-4o", "gpt-4o/mini"));
    cr_assert_not(hits(NORMALIZE, "gpt-4o", ""));
    cr_assert(hits(NORMALIZE, "a/", "b/"));
}

Test(selector, regex_searches_anywhere) {
    cr_assert(hits(REGEX, "4o", "gpt-4o-mini"));
    cr_assert(hits(REGEX, "^gpt", "gpt-4o"));
    cr_assert_not(hits(REGEX, "^4o", "gpt-4o"));
    cr_assert(hits(REGEX, "mini$", "gpt-4o-mini"));
    cr_assert_not(hits(REGEX, "gpt$", "gpt-4o"));
    cr_assert(hits(REGEX, "a|b", "xxb"));
    cr_assert(hits(REGEX, "(?i)GPT", "gpt"));
    cr_assert(hits(REGEX, "(?P<v>[0-9]+)o", "gpt-4o"));
    cr_assert(hits(REGEX, "\\bmini\\b", "gpt-mini-x"));
    cr_assert(hits(REGEX, "\\Qa.b\\E", "xa.b"));
    cr_assert_not(hits(REGEX, "\\Qa.b\\E", "axb"));
    cr_assert(hits(REGEX, "\\Qa.b", "a.b"), "a quotation left open ends with the expression");
    cr_assert(hits(REGEX, "模型", "大模型"));
    cr_assert(hits(REGEX, "^.$", "模"), "a dot is a character, not a byte");
    cr_assert(hits(REGEX, "", "anything"));
    cr_assert(hits(REGEX, "[[:alpha:]]{3}", "gpt"));
    cr_assert(hits(REGEX, "[]a]", "]"));
    cr_assert(hits(REGEX, "a{x}", "a{x}"));
    cr_assert(hits(REGEX, "(?:a+)+", "caat"));
    cr_assert(hits(REGEX, "a+?b", "aab"));
}

Test(selector, what_re2_does_not_have_is_refused_by_name) {
    static const struct {
        const char *pattern, *part;
    } cases[] = {
        {"(a)\\1", "backreference"},
        {"(?P<n>a)(?P=n)", "backreference"},
        {"(?<n>a)\\k<n>", "backreference"},
        {"(a)\\g{1}", "backreference"},
        {"a(?=b)", "lookaround"},
        {"a(?!b)", "lookaround"},
        {"(?<=a)b", "lookaround"},
        {"(?<!a)b", "lookaround"},
        {"(?>a+)b", "atomic"},
        {"a++b", "possessive"},
        {"a*+b", "possessive"},
        {"a?+b", "possessive"},
        {"a{1,2}+b", "possessive"},
        {"[ab]++", "possessive"},
        {"(?R)", "recursion"},
        {"(a(?1))", "recursion"},
        {"(?&n)", "recursion"},
        {"(?P>n)", "recursion"},
        {"(?(1)a|b)", "conditional"},
        {"a\\Cb", "\\C"},
        {"(?C1)a", "callout"},
        {"(*ACCEPT)a", "verb"},
        {"(*UTF)a", "verb"},
        {"(*pla:a)", "verb"},
        {"(?#note)a", "comment"},
        {"(?|a|b)", "branch reset"},
        {"(?x)a b", "group"},
        {"a\\Kb", "escape \\K"},
        {"\\Ga", "escape \\G"},
        {"a\\Rb", "escape \\R"},
        {"\\X", "escape \\X"},
        {"a{1001}", "1000"},
        {"a{2,5000}", "1000"},
        {"[\\C]", "\\C"},
        {"x\\", "no regular expression"},
        {"a)(b", "no regular expression"},
        {"(", "no regular expression"},
        {"[a", "no regular expression"},
        {"*a", "no regular expression"},
        {"\\p{Nonsense}", "no regular expression"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].pattern, cases[i].part);
    // The same characters are fine where they stand for themselves.
    cr_assert(hits(REGEX, "\\(?=b", "(=b"));
    cr_assert(hits(REGEX, "[(?>+*]+", "(?>"));
    cr_assert(hits(REGEX, "\\Q(?=\\E", "(?="));
    cr_assert(hits(REGEX, "a\\++", "a+++"));
    cr_assert(hits(REGEX, "[+]+", "++"));
}

Test(selector, length_is_bounded) {
    char pattern[EZ_PATTERN_MAX + 2];
    memset(pattern, 'a', sizeof pattern);
    pattern[EZ_PATTERN_MAX + 1] = 0;
    expect_refused(pattern, "513 bytes");
    pattern[EZ_PATTERN_MAX] = 0;
    cr_assert_not(hits(REGEX, pattern, "aaa"));
}

// Whatever the result, it comes, and says so where the bound was reached.
static bool is_too_costly(const char *pattern, const char *model) {
    ez_selector *selector;
    ez_error error = EZ_ERROR_INIT;
    if (ez_selector_open(REGEX, pattern, &selector, &error) != EZ_OK) {
        cr_assert_str_eq(error.reason, "SELECTOR_INVALID");
        return false;
    }
    bool is_costly = false;
    for (int i = 0; i < 50 && !is_costly; i++) { // as many models
        bool hit;
        ez_status status = ez_selector_hit(selector, model, strlen(model), &hit, &error);
        is_costly = status == EZ_RESOURCE_EXHAUSTED;
        cr_assert(status == EZ_OK || is_costly);
    }
    if (is_costly)
        cr_assert_str_eq(error.reason, "SELECTOR_TOO_COSTLY");
    ez_selector_close(selector);
    return is_costly;
}

Test(selector, adversarial_expressions_end) {
    char model[256];
    memset(model, 'a', 254);
    model[254] = '!';
    model[255] = 0;
    cr_assert(is_too_costly("^(a+)+$", model));
    cr_assert(is_too_costly("(a+)+$", model));
    is_too_costly("(a*)*b", model);
    cr_assert(is_too_costly("(a|aa)+$", model));
    cr_assert(is_too_costly("(a|a?)+$", model));
    is_too_costly("(.*)*(.*)*(.*)*x$", model);
    is_too_costly("^((a{1,100}){1,100}){1,100}$", model);
    // The longest one there may be, all of it nested.
    char pattern[EZ_PATTERN_MAX + 1] = "";
    size_t depth = 80;
    for (size_t i = 0; i < depth; i++)
        strcat(pattern, "(");
    strcat(pattern, "a+");
    for (size_t i = 0; i < depth; i++)
        strcat(pattern, ")+");
    strcat(pattern, "$");
    is_too_costly(pattern, model);
}

Test(selector, honest_expressions_on_long_names_are_not_too_costly) {
    char model[256];
    memset(model, 'a', 255);
    model[255] = 0;
    cr_assert_not(is_too_costly("b", model));
    cr_assert_not(is_too_costly("^a+$", model));
    cr_assert_not(is_too_costly("gpt-4.*mini", model));
}
