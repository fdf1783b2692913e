// SPDX-License-Identifier: Apache-2.0
//
// Features and the error webhook: merged, refused, remembered; a revision each, in the audit without a secret, and
// nothing of them with data planes.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "tests/integration/support/listener.h"
#include "tests/integration/support/plane.h"
#include "tests/integration/support/trail.h"

#define SECRET "fake-webhook-secret-that-nobody-may-see"

static ez_world w;

static void begin(void) {
    static const char *const env[] = {"EZ_OUTBOUND_ALLOW=10.0.0.0/8,hooks.test", NULL};
    given_world(&w, env);
}

static void end(void) {
    end_world(&w);
}

TestSuite(settings, .init = begin, .fini = end);

// The JSON text of a flag; NULL: there is none.
static const char *flag_of(const Ez__V1__Features *features, const char *name) {
    for (size_t i = 0; i < features->n_flags; i++)
        if (strcmp(features->flags[i]->key, name) == 0)
            return features->flags[i]->value;
    return NULL;
}

static void expect_flag(const Ez__V1__Features *features, const char *name, const char *value) {
    const char *found = flag_of(features, name);
    cr_assert(found && strcmp(found, value) == 0, "flag %s is %s, not %s", name, found ? found : "not there", value);
}

Test(settings, features_are_laid_over_each_other) {
    Ez__V1__Features *features = ask(&w.admin, "Settings/GetFeatures", "{}");
    cr_assert_eq(features->n_flags, 0);
    cr_assert_eq(features->log_retention_days, 0);
    cr_assert_eq(features->revision, 0, "nothing was ever set");
    features = ask(&w.admin, "Settings/UpdateFeatures",
                   "{'features':{'flags':{'beta':true,'limit':5,'who':'me','ratio':0.25},'log_retention_days':7},"
                   "'update_mask':['flags','log_retention_days']}");
    expect_flag(features, "beta", "true");
    expect_flag(features, "limit", "5");
    expect_flag(features, "who", "\"me\"");
    expect_flag(features, "ratio", "0.25");
    cr_assert_eq(features->log_retention_days, 7);
    cr_assert_eq(features->revision, w.admin.info.revision);
    features = ask(&w.admin, "Settings/UpdateFeatures",
                   "{'features':{'flags':{'beta':null,'limit':6,'new':false}},'update_mask':['flags']}");
    cr_assert_null(flag_of(features, "beta"), "null takes one away");
    expect_flag(features, "limit", "6");
    expect_flag(features, "who", "\"me\"");
    expect_flag(features, "new", "false");
    cr_assert_eq(features->log_retention_days, 7, "what is not named stays");
    features = ask(&w.admin, "Settings/UpdateFeatures",
                   "{'features':{'log_max_records':1000},'update_mask':['log_retention_days','log_max_records']}");
    cr_assert_eq(features->log_retention_days, 0, "0 clears");
    cr_assert_eq(features->log_max_records, 1000);
    cr_assert_eq(features->n_flags, 4);
    uint64_t revision = features->revision;
    features = ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'limit':6}},'update_mask':['flags']}");
    cr_assert_eq(features->revision, revision, "what changes nothing is no revision");
    restart_server(&w.server);
    await_answers(&w);
    features = ask(&w.admin, "Settings/GetFeatures", "{}");
    cr_assert_eq(features->revision, revision);
    expect_flag(features, "ratio", "0.25");
}

Test(settings, what_is_no_feature_is_refused) {
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/UpdateFeatures",
                   "{'features':{'flags':{'log_request_body_enabled':5}}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/UpdateFeatures",
                   "{'features':{'log_retention_days':-1}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/UpdateFeatures",
                   "{'features':{'flags':{'log_retention_days':5}}}");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/UpdateFeatures",
                   "{'features':{},'update_mask':['nothing']}");
    // A binary client writes the JSON itself, and may write none.
    Ez__V1__Features__FlagsEntry flag = EZ__V1__FEATURES__FLAGS_ENTRY__INIT, *flags[] = {&flag};
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    Ez__V1__UpdateFeaturesRequest request = EZ__V1__UPDATE_FEATURES_REQUEST__INIT;
    flag.key = (char *)"k";
    flag.value = (char *)"{\"a\":1}";
    features.flags = flags;
    features.n_flags = 1;
    request.features = &features;
    cr_assert_eq(try_message(&w.admin, NULL, "Settings/UpdateFeatures", &request.base), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(w.admin.error.violations[0].field, "features.flags[0].value");
    Ez__V1__Features *read = ask(&w.admin, "Settings/GetFeatures", "{}");
    cr_assert_eq(read->n_flags, 0);
}

Test(settings, there_are_at_most_256_flags) {
    char name[16];
    Ez__V1__Features__FlagsEntry entries[256], *list[256];
    Ez__V1__Features features = EZ__V1__FEATURES__INIT;
    Ez__V1__UpdateFeaturesRequest request = EZ__V1__UPDATE_FEATURES_REQUEST__INIT;
    for (int i = 0; i < 256; i++) {
        ez__v1__features__flags_entry__init(&entries[i]);
        snprintf(name, sizeof name, "flag-%d", i);
        entries[i].key = strdup(name);
        entries[i].value = (char *)"true";
        list[i] = &entries[i];
    }
    features.flags = list;
    features.n_flags = 256;
    request.features = &features;
    cr_assert_eq(try_message(&w.admin, NULL, "Settings/UpdateFeatures", &request.base), EZ_OK);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "TOO_MANY_FLAGS", "Settings/UpdateFeatures",
                   "{'features':{'flags':{'one-more':true}}}");
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'flag-0':null,'one-more':true}}}");
    for (int i = 0; i < 256; i++)
        free(entries[i].key);
}

Test(settings, if_match_holds_here_too) {
    Ez__V1__Features *first = ask(&w.admin, "Settings/UpdateFeatures",
                                  "{'features':{'log_max_records':10},'update_mask':['log_max_records']}");
    Ez__V1__Features *second = ask(&w.admin, "Settings/UpdateFeatures",
                                   "{'features':{'log_max_records':20},'update_mask':['log_max_records']}");
    w.admin.next.if_match = first->revision;
    expect_refused(&w.admin, EZ_ABORTED, "REVISION_MISMATCH", "Settings/UpdateFeatures",
                   "{'features':{'log_max_records':30},'update_mask':['log_max_records']}");
    w.admin.next.if_match = second->revision;
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'log_max_records':30},'update_mask':['log_max_records']}");
    w.admin.next.if_match = second->revision;
    expect_refused(&w.admin, EZ_ABORTED, "REVISION_MISMATCH", "Settings/SetErrorWebhook",
                   "{'webhook':{'threshold':5},'update_mask':['threshold']}");
}

Test(settings, a_webhook_is_set_and_its_secret_never_read) {
    Ez__V1__ErrorWebhook *hook = ask(&w.admin, "Settings/GetErrorWebhook", "{}");
    cr_assert_not(hook->enabled);
    cr_assert_eq(hook->threshold, 10);
    cr_assert_eq(hook->cooldown_seconds, 300);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/SetErrorWebhook",
                   "{'webhook':{'enabled':true,'url':'https://example.com/h'}}");
    cr_assert_str_eq(w.admin.error.violations[0].field, "webhook.secret");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/SetErrorWebhook",
                   "{'webhook':{'enabled':true,'secret':'" SECRET "'}}");
    cr_assert_str_eq(w.admin.error.violations[0].field, "webhook.url");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/SetErrorWebhook",
                   "{'webhook':{'secret':'too-short'}}");
    hook = ask(&w.admin, "Settings/SetErrorWebhook",
               "{'webhook':{'enabled':true,'url':'https://example.com/h','secret':'" SECRET "','cooldown_seconds':0}}");
    cr_assert(hook->enabled);
    cr_assert(hook->has_secret);
    cr_assert_str_eq(hook->secret, "");
    cr_assert_eq(hook->cooldown_seconds, 0, "given as 0");
    cr_assert_eq(hook->window_seconds, 60);
    uint64_t revision = hook->revision;
    hook = ask(&w.admin, "Settings/SetErrorWebhook", "{'webhook':{'secret':'" SECRET "'}}");
    cr_assert_eq(hook->revision, revision, "the same secret again changes nothing");
    hook = ask(&w.admin, "Settings/SetErrorWebhook", "{'webhook':{'secret':'" SECRET "-2'}}");
    cr_assert_gt(hook->revision, revision);
    restart_server(&w.server);
    await_answers(&w);
    hook = ask(&w.admin, "Settings/GetErrorWebhook", "{}");
    cr_assert(hook->has_secret);
    cr_assert_str_eq(hook->secret, "");
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "FIELD_INVALID", "Settings/SetErrorWebhook",
                   "{'webhook':{},'update_mask':['secret']}");
    hook = ask(&w.admin, "Settings/SetErrorWebhook", "{'webhook':{},'update_mask':['enabled','secret']}");
    cr_assert_not(hook->enabled);
    cr_assert_not(hook->has_secret);
    Ez__V1__ListDeliveriesResponse *sent = ask(&w.admin, "Settings/ListDeliveries", "{}");
    cr_assert_eq(sent->n_items, 0);
    expect_refused(&w.admin, EZ_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "Settings/ListDeliveries",
                   "{'page_token':'nonsense'}");
}

Test(settings, a_webhook_leads_outside_or_where_the_machine_lets_it) {
    static const char *const refused[] = {
        "http://example.com/h",        "https://127.0.0.1/h", "https://169.254.169.254/latest", "https://0x7f.1/h",
        "https://[::ffff:127.0.0.1]/", "https://localhost/h", "http://192.168.1.1/h",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_refused(&w.admin, EZ_INVALID_ARGUMENT, NULL, "Settings/SetErrorWebhook", "{'webhook':{'url':'%s'}}",
                       refused[i]);
    ask(&w.admin, "Settings/SetErrorWebhook", "{'webhook':{'url':'http://10.1.2.3:8080/h'}}");
    ask(&w.admin, "Settings/SetErrorWebhook", "{'webhook':{'url':'http://hooks.test/h'}}");
}

Test(settings, nothing_of_them_reaches_a_data_plane) {
    ez_listener push;
    given_listener(&push, w.server.config_url);
    ez_plane plane;
    given_follower(&plane, &w, given_plane(&w.admin, "edge")->token, NULL);
    given_master(&w.admin, "acme");
    expect_agreement(&plane, &w);
    char before[65], after[65];
    int64_t rows_before, rows_after;
    digest_of(&w, before, &rows_before, NULL);
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'flag-of-this-test':true}}}");
    ask(&w.admin, "Settings/SetErrorWebhook",
        "{'webhook':{'enabled':true,'url':'https://example.com/path-of-this-test','secret':'" SECRET "'}}");
    ask(&w.admin, "Logs/Delete", "{'before':'2020-01-01T00:00:00Z'}");
    uint64_t head = revision_of(&w);
    expect_soon(listener_reached(&push, head));
    digest_of(&w, after, &rows_after, NULL);
    cr_assert_str_eq(before, after, "settings are no part of what a data plane holds");
    cr_assert_eq(rows_before, rows_after);
    expect_agreement(&plane, &w);
    cr_assert(plane_reached(&plane, head), "the revision moves on all the same");
    cr_assert_not(listener_has(&push, "flag-of-this-test", strlen("flag-of-this-test")));
    cr_assert_not(listener_has(&push, "path-of-this-test", strlen("path-of-this-test")));
    cr_assert_not(listener_has(&push, SECRET, strlen(SECRET)));
    end_follower(&plane);
    end_listener(&push);
    // A snapshot has none either: a new data plane begins with one.
    ez_plane late;
    given_follower(&late, &w, given_plane(&w.admin, "late")->token, NULL);
    expect_agreement(&late, &w);
    end_follower(&late);
}

Test(settings, each_change_is_audited_without_the_secret) {
    ask(&w.admin, "Settings/UpdateFeatures", "{'features':{'flags':{'beta':true}}}");
    ask(&w.admin, "Settings/SetErrorWebhook",
        "{'webhook':{'enabled':true,'url':'https://example.com/h','secret':'" SECRET "'}}");
    ez_trail trail = given_trail(&w, 0, 0);
    expect_chain(&trail, NULL);
    cr_assert_str_eq(trail.entries[0]->method, "ez.v1.Settings/SetErrorWebhook");
    cr_assert_eq(strncmp(trail.entries[0]->resource, "setting:", 8), 0);
    cr_assert_not_null(strstr(trail.entries[0]->request, "https://example.com/h"));
    cr_assert_null(strstr(trail.entries[0]->request, "has_secret"), "what nobody sent: %s", trail.entries[0]->request);
    cr_assert_not_null(strstr(trail.entries[1]->request, "\"beta\":true"));
    expect_not_in_trail(&trail, SECRET);
    end_trail(&trail);
}
