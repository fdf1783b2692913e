// SPDX-License-Identifier: Apache-2.0
//
// The command line taken apart: what is found, what is refused, and that the schema's words do not clash with ours.
#include "clients/ctl/settings.h"
#include "clients/ctl/word.h"
#include "tests/unit/ctl/given.h"

Test(arguments, noun_verb_operands) {
    command c;
    given_command(&c, "keys", "get", "7");
    expect_parsed(&c);
    cr_assert_str_eq(c.arguments.method->name, "ez.v1.Keys/Get");
    cr_assert_eq(c.arguments.operand_count, 1);
    cr_assert_str_eq(c.arguments.operands[0], "7");
    end_command(&c);
}

Test(arguments, every_method_has_its_command) {
    for (unsigned i = 0; i < ez_method_count; i++) {
        char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX];
        command c;
        ez_ctl_kebab(ez_methods[i].service, noun);
        ez_ctl_kebab(ez_methods[i].rpc, verb);
        given_command(&c, noun, verb);
        expect_parsed(&c);
        cr_expect_eq(c.arguments.method, &ez_methods[i], "%s %s", noun, verb);
        end_command(&c);
    }
}

Test(arguments, no_word_of_the_schema_hides_one_of_ours) {
    for (unsigned i = 0; i < ez_method_count; i++) {
        char noun[EZ_CTL_WORD_MAX];
        ez_ctl_flags flags;
        ez_ctl_kebab(ez_methods[i].service, noun);
        ez_ctl_flags_of(&ez_methods[i], &flags);
        cr_expect_null(ez_ctl_builtin_find(noun), "the noun %s can't be reached", noun);
        cr_expect_lt(flags.count, EZ_CTL_FLAGS_MAX, "%s has too many flags", ez_methods[i].name);
        for (unsigned f = 0; f < EZ_CTL_OPTION_COUNT; f++) {
            const char *name = ez_ctl_options[f].name;
            // Where ours means nothing the field's is meant: data-planes hello --version.
            cr_expect(!ez_ctl_option_fits(f, &ez_methods[i]) || !ez_ctl_flag_find(&flags, name, strlen(name)),
                      "%s: --%s", ez_methods[i].name, name);
        }
        for (size_t s = 0; s < ez_ctl_setting_count; s++) {
            char name[EZ_CTL_WORD_MAX];
            ez_ctl_setting_flag(&ez_ctl_settings[s], name);
            cr_expect_null(ez_ctl_flag_find(&flags, name, strlen(name)), "%s: --%s", ez_methods[i].name, name);
        }
    }
}

Test(arguments, flags_stand_anywhere_and_take_what_follows) {
    command c;
    given_command(&c, "-o", "json", "keys", "--rpc-url", "tcp://127.0.0.1:1", "update", "--quota-limit", "-1", "3",
                  "--name=a=b", "--wait", "--timeout", "5s");
    expect_parsed(&c);
    cr_assert_eq(c.arguments.format, EZ_CTL_FORMAT_JSON);
    cr_assert_eq(c.arguments.given_count, 2);
    cr_assert_str_eq(c.arguments.given[0].value, "-1");
    cr_assert_str_eq(c.arguments.given[1].value, "a=b");
    cr_assert_str_eq(c.arguments.operands[0], "3");
    cr_assert_eq(c.arguments.timeout_ms, 5000);
    cr_assert(c.arguments.has[EZ_CTL_WAIT]);
    cr_assert_eq(c.arguments.setting_count, 3);
    cr_assert_str_eq(c.arguments.settings[2], "tcp://127.0.0.1:1");
    end_command(&c);
}

Test(arguments, switches_need_no_value) {
    command c;
    given_command(&c, "masters", "delete", "--cascade", "1");
    expect_parsed(&c);
    cr_assert_str_eq(c.arguments.given[0].value, "true");
    cr_assert_str_eq(c.arguments.operands[0], "1");
    end_command(&c);
    given_command(&c, "masters", "delete", "--cascade=false", "1");
    expect_parsed(&c);
    cr_assert_str_eq(c.arguments.given[0].value, "false");
    end_command(&c);
}

Test(arguments, double_hyphen_ends_the_flags) {
    command c;
    given_command(&c, "keys", "get", "--", "--id");
    expect_parsed(&c);
    cr_assert_str_eq(c.arguments.operands[0], "--id");
    end_command(&c);
}

#define expect_refused(text, ...)                                                                                      \
    do {                                                                                                               \
        command c_;                                                                                                    \
        given_command(&c_, __VA_ARGS__);                                                                               \
        expect_usage(&c_, text);                                                                                       \
        end_command(&c_);                                                                                              \
    } while (0)

Test(arguments, unknown_words_name_the_nearest_and_what_there_is) {
    expect_refused("nearest is keys (there are", "keyz", "list");
    expect_refused("provider-groups", "keyz", "list");
    expect_refused("nearest is list (there are create, get, list", "keys", "lst");
    expect_refused("nearest is --status (there are", "keys", "list", "--statu", "x");
    expect_refused("keys wants a verb: create, get", "keys");
    expect_refused("ezctl help", "-q");
    expect_refused("there is no flag -x", "keys", "list", "-x");
}

Test(arguments, fields_that_cant_be_given_say_why) {
    expect_refused("set by the server", "keys", "update", "1", "--token-last4", "abcd");
    expect_refused("at creation only", "bindings", "update", "1", "--namespace", "n");
}

Test(arguments, options_are_checked) {
    expect_refused("table or json", "keys", "list", "-o", "xml");
    expect_refused("wants a value", "keys", "list", "-o");
    expect_refused("wants a value", "keys", "list", "--q");
    expect_refused("takes no value", "keys", "update", "--wait=yes");
    expect_refused("means nothing for keys list", "keys", "list", "--wait");
    expect_refused("means nothing for keys get", "keys", "get", "1", "--all");
    expect_refused("means nothing for watch", "watch", "config", "--wait");
    expect_refused("number from 1", "keys", "update", "1", "--if-match", "0");
    expect_refused("such as 500ms", "keys", "list", "--timeout", "5y");
    expect_refused("usage: ezctl call METHOD [JSON]", "call");
}

Test(arguments, a_token_on_the_command_line_is_refused_and_not_quoted) {
    command c;
    given_command(&c, "--token", "eza_secret", "keys", "list");
    expect_usage(&c, "EZ_TOKEN");
    cr_assert_null(strstr(c.error.message, "secret\""));
    cr_assert_null(strstr(c.error.message, "eza_"));
    end_command(&c);
}

Test(arguments, help_asks_for_nothing_else) {
    command c;
    given_command(&c, "keys", "--help");
    expect_parsed(&c);
    cr_assert(c.arguments.has[EZ_CTL_HELP]);
    cr_assert_not_null(c.arguments.noun);
    cr_assert_null(c.arguments.method);
    end_command(&c);
}

Test(arguments, durations) {
    uint32_t ms = 0;
    cr_expect(ez_ctl_duration("500ms", &ms) && ms == 500);
    cr_expect(ez_ctl_duration("5s", &ms) && ms == 5000);
    cr_expect(ez_ctl_duration("5", &ms) && ms == 5000);
    cr_expect(ez_ctl_duration("2m", &ms) && ms == 120000);
    cr_expect(ez_ctl_duration("60m", &ms) && ms == 3600000);
    static const char *const bad[] = {"", "s", "0s", "-1s", "5 s", "5sec", "61m", "9999999999s", "1h", "1.5s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(ez_ctl_duration(bad[i], &ms), "%s", bad[i]);
}

Test(arguments, routes_are_chosen_by_their_operands) {
    const ez_method *list, *noun;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_ctl_noun_find("keys", &noun, &error), EZ_OK);
    cr_assert_eq(ez_ctl_verb_find(noun, "list", &list, &error), EZ_OK);
    cr_assert_str_eq(ez_ctl_route(list, 0)->path, "/admin/keys");
    cr_assert_str_eq(ez_ctl_route(list, 1)->path, "/admin/masters/{master_id}/keys");
    cr_assert_null(ez_ctl_route(list, 2));
}

Test(arguments, methods_by_name) {
    const ez_method *method;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_ctl_method_find("ez.v1.Keys/Get", &method, &error), EZ_OK);
    cr_assert_str_eq(method->name, "ez.v1.Keys/Get");
    cr_assert_eq(ez_ctl_method_find("Keys/List", &method, &error), EZ_OK);
    cr_assert_str_eq(method->name, "ez.v1.Keys/List");
    cr_assert_eq(ez_ctl_method_find("ez.v1.Keys/Gte", &method, &error), EZ_INVALID_ARGUMENT);
    cr_assert(strstr(error.message, "the nearest is ez.v1.Keys/Get"));
    cr_assert_eq(ez_ctl_method_find("KeysGet", &method, &error), EZ_INVALID_ARGUMENT);
    cr_assert(strstr(error.message, "the nearest is Keys/Get"));
    cr_assert_eq(ez_ctl_method_find("Foo", &method, &error), EZ_INVALID_ARGUMENT);
    cr_assert_null(strstr(error.message, "nearest"), "nothing is near: %s", error.message);
}
