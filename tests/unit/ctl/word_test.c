// SPDX-License-Identifier: Apache-2.0
//
// Kebab-case and the nearest word.
#include "clients/ctl/word.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_kebab(const char *name, const char *wanted) {
    char word[EZ_CTL_WORD_MAX];
    ez_ctl_kebab(name, word);
    cr_expect_str_eq(word, wanted, "%s became %s", name, word);
}

Test(word, kebab) {
    expect_kebab("Keys", "keys");
    expect_kebab("ApiKeys", "api-keys");
    expect_kebab("ProviderGroups", "provider-groups");
    expect_kebab("OAuthTokens", "o-auth-tokens");
    expect_kebab("HTTPRoutes", "http-routes");
    expect_kebab("max_child_keys", "max-child-keys");
    expect_kebab("token_sha256", "token-sha256");
}

Test(word, kebab_is_cut_at_its_bound) {
    char name[300], word[EZ_CTL_WORD_MAX];
    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = i % 2 ? 'a' : 'B';
    name[sizeof name - 1] = '\0';
    ez_ctl_kebab(name, word);
    cr_assert_leq(strlen(word), EZ_CTL_WORD_MAX - 1);
}

Test(word, is_takes_hyphens_and_underscores) {
    cr_expect(ez_ctl_word_is("max-child-keys", 14, "max_child_keys"));
    cr_expect(ez_ctl_word_is("max_child_keys", 14, "max_child_keys"));
    cr_expect(ez_ctl_word_is("api-keys=x", 8, "ApiKeys"));
    cr_expect_not(ez_ctl_word_is("api-key", 7, "ApiKeys"));
    cr_expect_not(ez_ctl_word_is("", 0, "ApiKeys"));
}

Test(word, nearest_takes_the_fewest_edits_and_the_first_of_equals) {
    ez_ctl_nearest nearest = {.wanted = "keyz", .wanted_len = 4};
    static const char *const offered[] = {"masters", "keys", "keyx", "bindings"};
    for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++)
        ez_ctl_nearest_offer(&nearest, offered[i]);
    cr_assert_str_eq(nearest.word, "keys");
    cr_assert_eq(nearest.edits, 1);
}

Test(word, nearest_bears_very_long_words) {
    char wanted[5000];
    memset(wanted, 'x', sizeof wanted);
    ez_ctl_nearest nearest = {.wanted = wanted, .wanted_len = sizeof wanted};
    ez_ctl_nearest_offer(&nearest, "keys");
    cr_assert_str_eq(nearest.word, "keys");
}
