// SPDX-License-Identifier: Apache-2.0
//
// Help says what the schema says.
#include "clients/ctl/help.h"

#include <criterion/criterion.h>
#include <string.h>

#include "clients/ctl/builtin.h"

static ez_buf out;

static void begin(void) {
    ez_buf_init(&out, EZ_CTL_HELP_MAX);
}

static void end(void) {
    ez_buf_fini(&out);
}

TestSuite(help, .init = begin, .fini = end);

static const ez_method *method(const char *name) {
    const ez_method *found = ez_method_find(name, strlen(name));
    cr_assert_not_null(found);
    return found;
}

static void expect_in_help(const char *text) {
    cr_assert(strstr(ez_buf_cstr(&out), text), "no \"%s\" in:\n%s", text, ez_buf_cstr(&out));
}

Test(help, top_lists_every_noun_and_setting) {
    ez_ctl_help_top(&out);
    expect_in_help("  api-keys            create, get, list");
    expect_in_help(", import-tokens\n");
    expect_in_help("completion bash|zsh|fish");
    expect_in_help("EZ_CONFIG_URL");
    expect_in_help("Exit status: 0");
}

Test(help, verb_has_usage_bounds_and_words) {
    ez_ctl_help_verb(method("ez.v1.Keys/Create"), &out);
    expect_in_help("usage: ezctl keys create MASTER_ID [--FLAG VALUE…]\n");
    expect_in_help("At least -1. Default: -1.");
    expect_in_help("One of none, day, week, month.");
    cr_assert_null(strstr(ez_buf_cstr(&out), "--token-prefix"));
    ez_buf_clear(&out);
    ez_ctl_help_verb(method("ez.v1.Keys/List"), &out);
    expect_in_help("usage: ezctl keys list [MASTER_ID] ");
    ez_buf_clear(&out);
    ez_ctl_help_verb(method("ez.v1.ApiKeys/Create"), &out);
    expect_in_help("--api-key SECRET|@FILE|-");
}

// It said that a watch ends after that time.
Test(help, the_timeout_of_a_watch_is_its_connections) {
    ez_ctl_help_builtin(ez_ctl_builtin_find("watch"), &out);
    expect_in_help("Give up connecting after this long");
    expect_in_help("timeout 10 ezctl watch stats");
    ez_buf_clear(&out);
    ez_ctl_help_builtin(ez_ctl_builtin_find("status"), &out);
    expect_in_help("Give up after this long");
}

Test(help, every_method_has_some_and_no_line_ends_in_a_blank) {
    for (unsigned i = 0; i < ez_method_count; i++) {
        ez_buf_clear(&out);
        ez_ctl_help_verb(&ez_methods[i], &out);
        ez_ctl_help_noun(&ez_methods[i], &out);
        cr_assert_not(out.overflow);
        cr_assert_null(strstr(ez_buf_cstr(&out), " \n"), "%s:\n%s", ez_methods[i].name, ez_buf_cstr(&out));
    }
}
