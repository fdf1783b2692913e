// SPDX-License-Identifier: Apache-2.0
//
// The scanner of an export's skeleton: what it finds, and what it refuses in one line (trap 14).
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "tests/unit/import/support/loader.h"

static ez_status open_text(ez_loader *loader, const char *text) {
    return load_bytes(loader, text, strlen(text));
}

static void expect_refused(const char *text, const char *reason, const char *part) {
    ez_loader *loader = given_planner();
    cr_assert_eq(open_text(loader, text), EZ_INVALID_ARGUMENT, "taken: %.80s", text);
    cr_assert_str_eq(loader->error.reason, reason);
    cr_assert_not_null(strstr(loader->error.message, part), "\"%s\" does not say \"%s\"", loader->error.message, part);
    cr_assert_null(strchr(loader->error.message, '\n'));
    end_loader(loader);
}

static void expect_taken(const char *text) {
    ez_loader *loader = given_planner();
    cr_assert_eq(open_text(loader, text), EZ_OK, "%s: %s", text, loader->error.message);
    end_loader(loader);
}

static ez_export *open_bytes(ez_loader *loader, const char *text) {
    ez_export *export = NULL;
    (void)open_text(loader, text); // writes the file
    cr_assert_eq(ez_export_open(loader->path, &export, &loader->error), EZ_OK, "%s", loader->error.message);
    return export;
}

Test(import_export_file, finds_every_element_where_it_stands) {
    ez_loader *loader = given_planner();
    ez_export *export = open_bytes(
        loader,
        "\xef\xbb\xbf {\"version\" : \"1.0.0\", \"source\": {\"type\":\"newapi\",\"more\":[1]},\n"
        "\"warnings\":[\"a\",\"b\"], \"unknown\": {\"x\":[{\"y\":\"]}\"}]}, \"data\":{\"keys\":[ {\"a\":\"\\\"}\"} ,"
        "17,null ], \"masters\":null,\"providers\":[], \"other\":[-0.5e+3]}}\n ");
    cr_assert_eq(export->warning_count, 2);
    cr_assert_eq(export->lists[EZ_EXPORT_PROVIDERS].count, 0);
    cr_assert_eq(export->lists[EZ_EXPORT_MASTERS].count, 0);
    cr_assert_eq(export->lists[EZ_EXPORT_BINDINGS].count, 0);
    cr_assert_eq(export->lists[EZ_EXPORT_KEYS].count, 3);
    static const char *const wanted[] = {"{\"a\":\"\\\"}\"}", "17", "null"};
    for (size_t i = 0; i < 3; i++) {
        ez_slice item = export->lists[EZ_EXPORT_KEYS].items[i];
        cr_assert(item.len == strlen(wanted[i]) && memcmp(item.data, wanted[i], item.len) == 0, "keys[%zu]", i);
    }
    ez_export_close(export);
    end_loader(loader);
}

Test(import_export_file, all_lists_may_be_absent) {
    expect_taken("{\"version\":\"1.0.0\",\"data\":{}}");
    expect_taken("{\"data\":{},\"version\":\"1.0.0\",\"warnings\":null,\"source\":null}");
}

Test(import_export_file, what_is_no_export_is_refused) {
    expect_refused("", "EXPORT_UNREADABLE", "it is empty");
    expect_refused("hello", "EXPORT_INVALID", "an object is missing at byte 0");
    expect_refused("[]", "EXPORT_INVALID", "an object is missing");
    expect_refused("{}", "EXPORT_INVALID", "no \"version\"");
    expect_refused("{\"version\":\"1.0.0\"}", "EXPORT_INVALID", "no \"data\"");
    expect_refused("{\"version\":\"1.0.0\",\"data\":[]}", "EXPORT_INVALID", "an object is missing");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":{}}}", "EXPORT_INVALID", "a list is missing");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[{]}}", "EXPORT_INVALID", "a bracket does not match");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[1 2]}}", "EXPORT_INVALID", "a comma is missing");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[1,]}}", "EXPORT_INVALID", "a value is missing");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{}} x", "EXPORT_INVALID", "behind its end");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[{\"a\":1", "EXPORT_INVALID", "was it cut short?");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[\"a", "EXPORT_INVALID", "was it cut short?");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[\"a\\", "EXPORT_INVALID", "was it cut short?");
}

Test(import_export_file, values_it_ignores_must_be_values) {
    static const char *const wrong[] = {"tru", "01", "1.", ".5", "1e", "1e+", "--1", "+1", "NaN", "1.5x", "'a'"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "{\"version\":\"1.0.0\",\"x\":%s,\"data\":{}}", wrong[i]);
        expect_refused(text, "EXPORT_INVALID", "a value is missing at byte 23");
    }
    static const char *const right[] = {"true", "false", "null", "0", "-0", "10", "1.25", "1e9", "1E-9", "-1.5e+10"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "{\"version\":\"1.0.0\",\"x\":%s,\"data\":{}}", right[i]);
        expect_taken(text);
    }
}

Test(import_export_file, other_versions_and_sources_are_refused) {
    expect_refused("{\"version\":\"2.0.0\",\"data\":{}}", "EXPORT_VERSION", "\"2.0.0\": only 1.0.0 can be read");
    expect_refused("{\"version\":1,\"data\":{}}", "EXPORT_INVALID", "a string is missing");
    expect_refused("{\"version\":\"1.0.0\",\"source\":{\"type\":\"other\"},\"data\":{}}", "EXPORT_SOURCE", "\"other\"");
}

// A list that is there twice would have two elements of each index.
Test(import_export_file, nothing_is_there_twice) {
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[],\"keys\":[]}}", "EXPORT_INVALID",
                   "a list is there twice");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{},\"data\":{}}", "EXPORT_INVALID", "\"data\" is there twice");
    expect_refused("{\"version\":\"1.0.0\",\"version\":\"1.0.0\",\"data\":{}}", "EXPORT_INVALID",
                   "\"version\" is there");
}

Test(import_export_file, elements_that_are_no_json_refuse_the_file) {
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"keys\":[{},{\"a\":1 2}]}}", "EXPORT_INVALID",
                   "keys[1]: it is not JSON");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"bindings\":[{\"a\" 1}]}}", "EXPORT_INVALID", "bindings[0]");
    expect_refused("{\"version\":\"1.0.0\",\"data\":{\"masters\":[{\"name\":\"\xff\"}]}}", "EXPORT_INVALID",
                   "masters[0]");
}

Test(import_export_file, no_file_a_folder_and_a_device) {
    ez_export *export = NULL;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_export_open("/tmp/there-is-no-such-export.json", &export, &error), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "No such file"), "%s", error.message);
    cr_assert_eq(ez_export_open("/tmp", &export, &error), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "not a regular file"), "%s", error.message);
    cr_assert_eq(ez_export_open("/dev/zero", &export, &error), EZ_INVALID_ARGUMENT);
    cr_assert_null(export);
}
