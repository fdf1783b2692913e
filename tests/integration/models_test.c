// SPDX-License-Identifier: Apache-2.0
//
// Models over the wire: a server that is given a catalogue file derives them, keeps them over a restart, and says what
// is wrong with a catalogue.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/support/world.h"
#include "tests/support/folder.h"

static ez_world w;
static char folder[EZ_TEST_PATH_MAX], file[EZ_TEST_PATH_MAX + 32], setting[EZ_TEST_PATH_MAX + 64];

static const char *const env[] = {setting, NULL};

#define CATALOGUE(context) "{\"openai\":{\"models\":{\"o3\":{\"tool_call\":true,\"limit\":{\"context\":" context "}}}}}"

static void given_catalogue(const char *text) {
    write_file(file, text, strlen(text));
}

static void begin(void) {
    given_folder(folder);
    snprintf(file, sizeof file, "%s/models.json", folder);
    snprintf(setting, sizeof setting, "EZ_MODELS_FILE=%s", file);
    given_catalogue(CATALOGUE("1000"));
    given_world(&w, env);
}

static void end(void) {
    end_world(&w);
    remove_folder(folder);
}

TestSuite(models, .init = begin, .fini = end, .timeout = 120);

static Ez__V1__Model *model(const char *name) {
    return ask(&w.admin, "Models/Get", "{'name':'%s'}", name);
}

static Ez__V1__ModelsMeta *meta(void) {
    return ask(&w.admin, "Models/GetMeta", "{}");
}

Test(models, are_derived_and_stay) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'o3'");
    given_binding(&w.admin, "default", "o3", group->id);
    expect_soon(model("default.o3")->context_window == 1000);
    cr_assert(model("default.o3")->supports_functions);
    expect_soon(meta()->models == 1);
    Ez__V1__SyncModelsResponse *did = ask(&w.admin, "Models/Sync", "{}"); // so that the one of the start is over
    char version[32];
    snprintf(version, sizeof version, "%s", did->meta->version);
    uint64_t revision = w.admin.info.revision;
    restart_server(&w.server);
    await_answers(&w);
    did = ask(&w.admin, "Models/Sync", "{}");
    cr_assert(!did->catalogue_changed && did->models_changed == 0);
    cr_assert_str_eq(did->meta->version, version);
    cr_assert_eq(w.admin.info.revision, revision, "a restart and a sync of the same take no revision");
    given_catalogue(CATALOGUE("2000"));
    did = ask(&w.admin, "Models/Sync", "{}");
    cr_assert(did->catalogue_changed && did->models_changed == 1);
    cr_assert_eq(model("default.o3")->context_window, 2000);
    // Who asked is in the audit.
    Ez__V1__ListAuditResponse *audit = ask(&w.admin, "Audit/List", "{'method':'ez.v1.Models/Sync'}");
    cr_assert_gt(audit->n_items, 0);
    cr_assert_eq(strncmp(audit->items[0]->actor, "admin:", 6), 0, "%s", audit->items[0]->actor);
    // A data plane is sent none of it.
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "dp")->token);
    Ez__V1__FetchConfigResponse *snapshot = ask(&plane, "Config/Fetch", "{}");
    for (size_t i = 0; i < snapshot->n_changes; i++)
        cr_assert_neq(snapshot->changes[i]->kind, EZ__V1__KIND__KIND_MODEL);
}

Test(models, a_bad_catalogue_is_told) {
    expect_soon(meta()->catalogue_models == 1); // the good one was taken at the start
    given_catalogue("not JSON");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "Models/Sync", "{}");
    cr_assert_str_eq(meta()->last_error_reason, "CATALOGUE_INVALID");
    cr_assert_eq(meta()->catalogue_models, 1);
}
