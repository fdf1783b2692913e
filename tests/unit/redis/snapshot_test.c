// SPDX-License-Identifier: Apache-2.0
//
// Golden texts: data planes that exist read these. A change here breaks them.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/domain/redis/snapshot.h"
#include "tests/unit/access/support/world.h"

static ez_arena arena;
static ez_buf out;

static void begin(void) {
    ez_arena_init(&arena, 1u << 20);
    ez_buf_init(&out, 1u << 20);
}

static void end(void) {
    ez_arena_fini(&arena);
    ez_buf_fini(&out);
}

TestSuite(redis_snapshot, .init = begin, .fini = end);

static void expect_text(const char *want) {
    const char *text = ez_buf_cstr(&out);
    cr_assert_str_eq(text, want, "\n%s\nnot\n%s", text, want);
}

static const char *record_text(const ez_record *record) {
    ez_buf_clear(&out);
    for (size_t i = 0; i < record->count; i++)
        ez_buf_printf(&out, "%s=%s\n", record->fields[i].name, record->fields[i].value);
    return ez_buf_cstr(&out);
}

static Google__Protobuf__Timestamp at(int64_t seconds) {
    Google__Protobuf__Timestamp stamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    stamp.seconds = seconds;
    return stamp;
}

Test(redis_snapshot, provider_with_everything) {
    char *models[] = {(char *)"gemini-1.5-pro", (char *)"a\"b\\c"};
    Ez__V1__ProviderGroup__StaticHeadersEntry header = EZ__V1__PROVIDER_GROUP__STATIC_HEADERS_ENTRY__INIT;
    Ez__V1__ProviderGroup__StaticHeadersEntry *headers[] = {&header};
    Ez__V1__ProviderGroup__LabelsEntry label = EZ__V1__PROVIDER_GROUP__LABELS_ENTRY__INIT, *labels[] = {&label};
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    Ez__V1__ApiKeySecret secret = EZ__V1__API_KEY_SECRET__INIT;
    Google__Protobuf__Timestamp expires = at(1900000000);
    header.key = (char *)"X-Org";
    header.value = (char *)"42";
    label.key = (char *)"route_group";
    label.value = (char *)"vip";
    group.id = 7;
    group.name = (char *)"vertex \"eu\"";
    group.type = (char *)"vertex";
    group.base_url = (char *)"https://eu.example/v1";
    group.google_project = (char *)"proj";
    group.google_location = (char *)"global";
    group.models = models;
    group.n_models = 2;
    group.static_headers = headers;
    group.n_static_headers = 1;
    group.labels = labels;
    group.n_labels = 1;
    group.headers_profile = (char *)"browser";
    group.status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_ACTIVE;
    key.id = 42;
    key.group_id = 7;
    key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    key.auto_ban = true;
    key.weight = 3;
    key.expires_at = &expires;
    key.account_id = (char *)"acct";
    key.project_id = (char *)"pid";
    secret.api_key = (char *)"fake-api-key";
    secret.access_token = (char *)"fake-access";
    secret.refresh_token = (char *)"fake-refresh";
    cr_assert_eq(ez_snapshot_provider(&key, &secret, &group, 0, &out), EZ_OK);
    expect_text(
        "{\"id\":42,\"name\":\"vertex \\\"eu\\\"#42\",\"type\":\"vertex\",\"base_url\":\"https://eu.example/v1\","
        "\"api_key\":\"fake-api-key\",\"google_project\":\"proj\",\"google_location\":\"global\",\"group_id\":7,"
        "\"group\":\"vip\",\"models\":[\"gemini-1.5-pro\",\"a\\\"b\\\\c\"],\"status\":\"active\",\"auto_ban\":"
        "true,\"weight\":3,\"access_token\":\"fake-access\",\"refresh_token\":\"fake-refresh\",\"expires_at\":"
        "1900000000,\"account_id\":\"acct\",\"project_id\":\"pid\",\"static_headers\":{\"X-Org\":\"42\"},"
        "\"headers_profile\":\"browser\"}");
    ez_buf_clear(&out);
    cr_assert_eq(ez_snapshot_provider(&key, &secret, &group, INT64_C(1900000001000000000), &out), EZ_OK);
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "\"status\":\"expired\""), "it has no refresh token any more");
}

Test(redis_snapshot, provider_with_little) {
    Ez__V1__ProviderGroup group = EZ__V1__PROVIDER_GROUP__INIT;
    Ez__V1__ApiKey key = EZ__V1__API_KEY__INIT;
    group.name = (char *)"main";
    group.type = (char *)"openai";
    group.status = EZ__V1__PROVIDER_GROUP_STATUS__PROVIDER_GROUP_STATUS_DISABLED;
    key.id = 1;
    key.group_id = 2;
    key.status = EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    cr_assert_eq(ez_snapshot_provider(&key, NULL, &group, 0, &out), EZ_OK);
    expect_text("{\"id\":1,\"name\":\"main#1\",\"type\":\"openai\",\"base_url\":\"\",\"api_key\":\"\",\"group_id\":2,"
                "\"group\":\"default\",\"models\":[],\"status\":\"disabled\",\"auto_ban\":false}");
}

Test(redis_snapshot, key_with_its_own_and_its_masters) {
    char *spaces[] = {(char *)"default", (char *)"team"}, *own[] = {(char *)"team"}, *limits[] = {(char *)"gpt-4o"};
    char *allow[] = {(char *)"10.0.0.0/8"}, *scopes[] = {(char *)"chat"};
    Ez__V1__Master master = EZ__V1__MASTER__INIT;
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    ez_record record;
    Google__Protobuf__Timestamp updated = at(1700000000), expires = at(1900000000), reset = at(1800000000);
    master.id = 3;
    master.name = (char *)"acme";
    master.group = (char *)"vip";
    master.default_namespace = (char *)"default";
    master.namespaces = spaces;
    master.n_namespaces = 2;
    master.max_child_keys = 5;
    master.global_qps = 100;
    master.status = EZ__V1__MASTER_STATUS__MASTER_STATUS_ACTIVE;
    master.updated_at = &updated;
    key.id = 9;
    key.master_id = 3;
    key.name = (char *)"web";
    key.status = EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE;
    key.updated_at = &updated;
    cr_assert_eq(ez_record_key(&key, &master, 0, &arena, &record), EZ_OK);
    cr_assert_str_eq(record_text(&record),
                     "id=9\nmaster_id=3\nname=web\nstatus=active\ngroup=vip\nscopes=[]\ndefault_namespace=default\n"
                     "namespaces=[\"default\",\"team\"]\nmodel_limits_enabled=false\nmodel_limits=[]\nexpires_at=0\n"
                     "allow_ips=[]\ndeny_ips=[]\nquota_unit=units\nquota_limit=-1\nquota_period=none\n"
                     "quota_reset_at=0\nglobal_qps=100\nupdated_at=1700000000\n");
    key.group = (char *)"slow";
    key.namespaces = own;
    key.n_namespaces = 1;
    key.default_namespace = (char *)"team";
    key.model_limits_enabled = true;
    key.model_limits = limits;
    key.n_model_limits = 1;
    key.allow_ips = allow;
    key.n_allow_ips = 1;
    key.scopes = scopes;
    key.n_scopes = 1;
    key.expires_at = &expires;
    key.quota_reset_at = &reset;
    key.quota_unit = EZ__V1__QUOTA_UNIT__QUOTA_UNIT_TOKENS;
    key.quota_period = EZ__V1__QUOTA_PERIOD__QUOTA_PERIOD_MONTH;
    key.opt_quota_limit_case = EZ__V1__KEY__OPT_QUOTA_LIMIT_QUOTA_LIMIT;
    key.quota_limit = 0;
    master.status = EZ__V1__MASTER_STATUS__MASTER_STATUS_SUSPENDED;
    cr_assert_eq(ez_record_key(&key, &master, 0, &arena, &record), EZ_OK);
    cr_assert_str_eq(record_text(&record),
                     "id=9\nmaster_id=3\nname=web\nstatus=disabled\ngroup=slow\nscopes=[\"chat\"]\n"
                     "default_namespace=team\nnamespaces=[\"team\"]\nmodel_limits_enabled=true\n"
                     "model_limits=[\"gpt-4o\"]\nexpires_at=1900000000\nallow_ips=[\"10.0.0.0/8\"]\ndeny_ips=[]\n"
                     "quota_unit=tokens\nquota_limit=0\nquota_period=month\nquota_reset_at=1800000000\n"
                     "global_qps=100\nupdated_at=1700000000\n");
    cr_assert_eq(ez_record_key(&key, &master, INT64_C(1900000000000000000), &arena, &record), EZ_OK);
    cr_assert_not_null(strstr(record_text(&record), "status=expired"));
    cr_assert_eq(ez_record_master(&master, &arena, &record), EZ_OK);
    cr_assert_str_eq(record_text(&record),
                     "id=3\nname=acme\nstatus=suspended\ngroup=vip\ndefault_namespace=default\n"
                     "namespaces=[\"default\",\"team\"]\nmax_child_keys=5\nglobal_qps=100\nupdated_at=1700000000\n");
}

// updated_at is cut out: it is the clock's.
static const char *binding_text(world *w, const char *model) {
    bool found;
    ez_buf_clear(&out);
    ez_directory_enter();
    cr_assert_eq(ez_snapshot_binding(w->directory, "default", model, &arena, &out, &found), EZ_OK);
    ez_directory_leave();
    if (!found)
        return "(none)";
    char *text = (char *)(uintptr_t)ez_buf_cstr(&out), *begin = strstr(text, "\"updated_at\":");
    cr_assert_not_null(begin);
    char *end = strchr(begin, ',');
    memmove(begin, end + 1, strlen(end + 1) + 1);
    return text;
}

Test(redis_snapshot, bindings_of_a_model_are_one_document) {
    world *w = given_world();
    cr_assert_str_eq(binding_text(w, "m"), "(none)");
    Ez__V1__ProviderGroup *one = given_group(w, "one", "'up-m','other'");
    Ez__V1__ProviderGroup *two = given_group(w, "two", "'m'");
    given_api_key(w, one->id, "a");
    given_api_key(w, one->id, "b");
    expect_ok(w, "Bindings/Create",
              "{'binding':{'namespace':'default','public_model':'m','group_id':%lld,'selector_type':'regex',"
              "'selector_value':'^up','weight':4}}",
              (long long)one->id);
    given_binding(w, "m", two->id); // has no API key
    cr_assert_str_eq(
        binding_text(w, "m"),
        "{\"namespace\":\"default\",\"public_model\":\"m\",\"status\":\"active\",\"candidates\":[{\"group_id"
        "\":1,\"route_group\":\"default\",\"weight\":4,\"selector_type\":\"regex\",\"selector_value\":"
        "\"^up\",\"status\":\"active\",\"upstreams\":{\"1\":\"up-m\",\"2\":\"up-m\"}},{\"group_id\":2,"
        "\"route_group\":\"default\",\"weight\":1,\"selector_type\":\"exact\",\"selector_value\":\"m\","
        "\"status\":\"active\",\"error\":\"no_provider\",\"upstreams\":{}}]}");
    expect_ok(w, "ApiKeys/Ban", "{'id':1,'reason':'x'}");
    expect_ok(w, "Bindings/Update", "{'id':2,'binding':{'status':'disabled'},'update_mask':['status']}");
    cr_assert_not_null(strstr(binding_text(w, "m"), "\"upstreams\":{\"2\":\"up-m\"}"), "a banned one is no upstream");
    cr_assert_not_null(strstr(binding_text(w, "m"), "\"status\":\"disabled\",\"error\":\"no_provider\""));
    expect_ok(w, "Namespaces/Update", "{'id':1,'namespace':{'status':'disabled'},'update_mask':['status']}");
    cr_assert_eq(
        strncmp(binding_text(w, "m"), "{\"namespace\":\"default\",\"public_model\":\"m\",\"status\":\"disabled\",", 61),
        0);
    end_world(w);
}
