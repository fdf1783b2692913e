// SPDX-License-Identifier: Apache-2.0
//
// What an import says at its end: sorted, bounded, harmless on a terminal; and the file of new master keys, which is on
// disk before the next batch goes out.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "server/import_credentials.h"
#include "server/import_report.h"
#include "tests/support/folder.h"

static ez_import_report *report;
static char folder[EZ_TEST_PATH_MAX], path[EZ_TEST_PATH_MAX + 32];

static void begin(void) {
    report = ez_import_report_create();
    cr_assert_not_null(report);
    given_folder(folder);
    snprintf(path, sizeof path, "%s/keys", folder);
}

static void end(void) {
    ez_import_report_destroy(report);
    remove_folder(folder);
}

TestSuite(import_report, .init = begin, .fini = end);

static char *as_text(const json_t *credentials) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert(ez_import_report_text(report, false, credentials, out));
    fclose(out);
    return text;
}

static json_t *as_json(bool dry_run, const json_t *credentials) {
    ez_autofree char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert(ez_import_report_json(report, dry_run, credentials, out));
    fclose(out);
    json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, NULL); // refuses anything behind the object
    cr_assert_not_null(whole, "%s", text);
    return whole;
}

Test(import_report, failures_are_sorted_by_kind_and_index) {
    ez_import_report_failed(report, EZ_PLAN_KEYS, 12, "late");
    ez_import_report_failed(report, EZ_PLAN_KEYS, 9, "early");
    ez_import_report_failed(report, EZ_PLAN_PROVIDERS, 40, "first");
    cr_assert(ez_import_report_has_failures(report));
    ez_autofree char *text = as_text(NULL);
    cr_assert_not_null(
        strstr(text, "failed: provider groups[40]: first\nfailed: keys[9]: early\nfailed: keys[12]: late\n"));
}

Test(import_report, counts_by_kind_and_outcome) {
    ez_import_report_outcome(report, EZ_PLAN_MASTERS, EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_CREATED);
    ez_import_report_outcome(report, EZ_PLAN_MASTERS, EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_CREATED);
    ez_import_report_outcome(report, EZ_PLAN_BINDINGS, EZ__V1__IMPORT_OUTCOME__IMPORT_OUTCOME_SKIPPED);
    ez_import_report_failed(report, EZ_PLAN_MASTERS, 1, "why");
    cr_assert(ez_import_report_has_failures(report));
    json_t *whole = as_json(true, NULL), *counts = json_object_get(whole, "counts");
    json_t *masters = json_object_get(counts, "masters");
    cr_assert(json_is_true(json_object_get(whole, "dry_run")));
    cr_assert_eq(json_integer_value(json_object_get(masters, "created")), 2);
    cr_assert_eq(json_integer_value(json_object_get(masters, "failed")), 1);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(counts, "bindings"), "skipped")), 1);
    cr_assert_null(json_object_get(whole, "credentials"));
    json_decref(whole);
}

// Texts of the file once went to the terminal as they were, and one cut within a character was lost.
Test(import_report, texts_are_harmless) {
    ez_import_report_warned(report, "a\x1b[2Jb\r\nc\xc2\x9b"
                                    "d\xe9\xab");
    ez_import_report_failed(report, EZ_PLAN_KEYS, 0,
                            "\x07"
                            "bell");
    ez_autofree char *text = as_text(NULL);
    cr_assert_not_null(strstr(text, "warning: a?[2Jb??c?d??\n"), "%s", text);
    cr_assert_not_null(strstr(text, "failed: keys[0]: ?bell\n"));
    json_t *whole = as_json(false, NULL);
    cr_assert_eq(json_array_size(json_object_get(whole, "warnings")), 1);
    json_decref(whole);
}

Test(import_report, more_than_ten_thousand_are_counted) {
    for (int i = 0; i < 10007; i++) {
        ez_import_report_failed(report, EZ_PLAN_KEYS, i, "why");
        ez_import_report_warned(report, "odd");
    }
    ez_autofree char *text = as_text(NULL);
    cr_assert_not_null(strstr(text, "failed: 7 more rows are not shown\n"));
    cr_assert_not_null(strstr(text, "warning: 7 more warnings are not shown\n"));
    json_t *whole = as_json(false, NULL);
    cr_assert_eq(json_array_size(json_object_get(whole, "failures")), 10000);
    cr_assert_eq(json_integer_value(json_object_get(whole, "failures_left_out")), 7);
    json_decref(whole);
}

static ez_import_credentials *given_credentials(const char *file) {
    ez_import_credentials *credentials = NULL;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_import_credentials_open(file, &credentials, &error), EZ_OK, "%s", error.message);
    return credentials;
}

Test(import_report, credentials_are_shown_where_there_is_no_file) {
    ez_import_credentials *credentials = given_credentials(NULL);
    cr_assert(ez_import_credentials_add(credentials, "acme", "made-up"));
    ez_autofree char *text = as_text(ez_import_credentials_unsaved(credentials));
    cr_assert_not_null(strstr(text, "new master keys (shown this once):\nacme\tmade-up\n"));
    json_t *whole = as_json(false, ez_import_credentials_unsaved(credentials));
    cr_assert_eq(json_array_size(json_object_get(whole, "credentials")), 1);
    json_decref(whole);
    ez_import_credentials_close(credentials);
}

Test(import_report, credentials_are_on_disk_batch_by_batch) {
    ez_error error = EZ_ERROR_INIT;
    struct stat info;
    ez_import_credentials *credentials = given_credentials(path);
    cr_assert_eq(stat(path, &info), 0, "it is made before the first row is handed over");
    cr_assert_eq(info.st_mode & 07777, 0600);
    cr_assert(ez_import_credentials_add(credentials, "ac\tme", "made-up-1"));
    cr_assert_eq(ez_import_credentials_sync(credentials, &error), EZ_OK);
    ez_autofree char *first = read_file(path);
    cr_assert_str_eq(first, "ac?me\tmade-up-1\n");
    cr_assert(ez_import_credentials_add(credentials, "bolt", "made-up-2"));
    cr_assert_eq(ez_import_credentials_sync(credentials, &error), EZ_OK);
    cr_assert_eq(json_array_size(ez_import_credentials_unsaved(credentials)), 0);
    ez_import_credentials_close(credentials);
    ez_autofree char *both = read_file(path);
    cr_assert_str_eq(both, "ac?me\tmade-up-1\nbolt\tmade-up-2\n");
}

Test(import_report, no_credentials_leave_no_file) {
    ez_import_credentials_close(given_credentials(path));
    cr_assert_neq(access(path, F_OK), 0);
}

Test(import_report, a_file_that_is_there_is_left_alone) {
    ez_import_credentials *credentials = NULL;
    ez_error error = EZ_ERROR_INIT;
    write_file(path, "old", 3);
    cr_assert_eq(ez_import_credentials_open(path, &credentials, &error), EZ_FAILED_PRECONDITION);
    cr_assert_not_null(strstr(error.message, "name a new file"), "%s", error.message);
    ez_autofree char *now = read_file(path);
    cr_assert_str_eq(now, "old");
}

Test(import_report, a_full_disk_shows_them_all) {
    if (access("/dev/full", W_OK) != 0)
        cr_skip_test("this system has no /dev/full");
    ez_error error = EZ_ERROR_INIT;
    ez_import_credentials *credentials = given_credentials(path);
    cr_assert(ez_import_credentials_add(credentials, "acme", "made-up-1"));
    cr_assert_eq(ez_import_credentials_sync(credentials, &error), EZ_OK);
    // The file's descriptor is the only one below the folder: /dev/full takes its place.
    for (int fd = 3; fd < 64; fd++) {
        char link[64], target[512];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof target - 1);
        if (len > 0 && (size_t)len == strlen(path) && memcmp(target, path, (size_t)len) == 0) {
            FILE *full = fopen("/dev/full", "w");
            cr_assert_eq(dup2(fileno(full), fd), fd);
            fclose(full);
        }
    }
    cr_assert(ez_import_credentials_add(credentials, "bolt", "made-up-2"));
    cr_assert_eq(ez_import_credentials_sync(credentials, &error), EZ_FAILED_PRECONDITION);
    cr_assert_null(strstr(error.message, "made-up"));
    cr_assert_eq(json_array_size(ez_import_credentials_unsaved(credentials)), 2);
    cr_assert_eq(ez_import_credentials_sync(credentials, &error), EZ_OK, "it is said once");
    ez_import_credentials_close(credentials);
}
