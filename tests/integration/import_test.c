// SPDX-License-Identifier: Apache-2.0
//
// The demo export, through a running server and without one: the same rows come in, a second time changes nothing, and
// a data plane that follows has them.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/crypto/token.h"
#include "tests/integration/support/importer.h"
#include "tests/integration/support/plane.h"

#define DEMO EZ_TEST_DATA "/demo-export.json"

static ez_world w;
static ez_importer importer;
static const char *const everything[] = {"--include-bindings", NULL};

static void begin(void) {
    given_world(&w, NULL);
    given_importer(&importer);
}

static void end(void) {
    end_importer(&importer);
    end_world(&w);
}

TestSuite(import, .init = begin, .fini = end);

static Ez__V1__Status *status_now(void) {
    return ask(&w.admin, "System/GetStatus", "{}");
}

static void expect_demo(int status) {
    cr_assert_eq(importer.status, status, "exit status %d: %s", importer.status, importer.words);
    cr_assert_eq(imported(&importer, "masters", "created"), 4);
    cr_assert_gt(imported(&importer, "keys", "created"), 20);
    cr_assert_gt(imported(&importer, "provider_groups", "created"), 3);
    cr_assert_gt(imported(&importer, "bindings", "created"), 3);
}

static void expect_rows(void) {
    Ez__V1__Status *now = status_now();
    cr_assert_eq(now->masters, 4);
    cr_assert_eq(now->keys, imported(&importer, "keys", "created"));
    cr_assert_eq(now->provider_groups, imported(&importer, "provider_groups", "created"));
    cr_assert_eq(now->bindings, imported(&importer, "bindings", "created"));
}

Test(import, through_a_running_server) {
    ez_plane plane;
    given_follower(&plane, &w, given_plane(&w.admin, "edge")->token, NULL);
    run_import(&importer, &w.server, everything, DEMO);
    expect_demo(importer.status);
    cr_assert(importer.status == 0 || importer.status == 1);
    expect_rows();
    expect_agreement(&plane, &w);
    ez_caller acme = caller_with(&w, import_credential(&importer, "acme"));
    Ez__V1__Master *self = ask(&acme, "Self/Get", "{}");
    cr_assert_str_eq(self->name, "acme");
    end_follower(&plane);
}

Test(import, without_a_server_and_then_it_is_there) {
    stop_server(&w.server);
    run_import(&importer, &w.server, everything, DEMO);
    cr_assert(importer.status == 0 || importer.status == 1, "%d: %s", importer.status, importer.words);
    expect_demo(importer.status);
    start_server(&w.server);
    await_answers(&w);
    expect_rows();
    Ez__V1__ListAuditResponse *audit = ask(&w.admin, "Audit/List", "{'method':'ez.v1.Import/Apply'}");
    cr_assert_gt(audit->n_items, 0);
    cr_assert_eq(strncmp(audit->items[0]->actor, "system:", 7), 0);
}

Test(import, the_same_file_again_changes_nothing) {
    run_import(&importer, &w.server, everything, DEMO);
    char before[65], after[65];
    uint64_t revision_before, revision_after;
    digest_of(&w, before, NULL, &revision_before);
    run_import(&importer, &w.server, everything, DEMO);
    digest_of(&w, after, NULL, &revision_after);
    cr_assert_str_eq(after, before);
    cr_assert_eq(imported(&importer, "masters", "created"), 0);
    cr_assert_eq(imported(&importer, "masters", "skipped"), 4);
    cr_assert_eq(imported(&importer, "keys", "created"), 0);
    cr_assert_eq(imported(&importer, "bindings", "created"), 0);
}

Test(import, a_dry_run_says_the_same_and_writes_nothing) {
    const char *const dry[] = {"--include-bindings", "--dry-run", NULL};
    uint64_t before = revision_of(&w);
    run_import(&importer, &w.server, dry, DEMO);
    expect_demo(importer.status);
    int keys = imported(&importer, "keys", "created"), bindings = imported(&importer, "bindings", "created");
    cr_assert_eq(revision_of(&w), before);
    cr_assert_null(import_credential(&importer, "acme"), "a dry run makes no master key");
    run_import(&importer, &w.server, everything, DEMO);
    cr_assert_eq(imported(&importer, "keys", "created"), keys);
    cr_assert_eq(imported(&importer, "bindings", "created"), bindings);
}

Test(import, overwrite_makes_it_as_the_file_says) {
    run_import(&importer, &w.server, everything, DEMO);
    const char *key = import_credential(&importer, "acme");
    cr_assert_not_null(key, "%s", importer.words);
    ez_caller acme = caller_with(&w, strdup(key));
    Ez__V1__Master *self = ask(&acme, "Self/Get", "{}");
    ask(&w.admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'global_qps':7777}}", self->id);
    const char *const over[] = {"--conflict", "overwrite", NULL};
    run_import(&importer, &w.server, over, DEMO);
    cr_assert_eq(imported(&importer, "masters", "created"), 0);
    self = ask(&acme, "Self/Get", "{}"); // its master key was not replaced
    cr_assert_eq(self->global_qps, 50);
    free((void *)(uintptr_t)acme.token);
}

Test(import, credentials_go_to_a_file_of_ones_own) {
    char path[EZ_TEST_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/keys", importer.folder);
    const char *const to_file[] = {"--credentials-file", path, NULL};
    run_import(&importer, &w.server, to_file, DEMO);
    cr_assert_null(json_object_get(importer.report, "credentials"));
    struct stat found;
    cr_assert_eq(stat(path, &found), 0);
    cr_assert_eq(found.st_mode & 0777, 0600);
    char *text = read_file(path);
    cr_assert_not_null(strstr(text, "acme\tezm_"));
    free(text);
    run_import(&importer, &w.server, to_file, DEMO);
    cr_assert_eq(importer.status, 2, "a file that is there is not written over");
}
