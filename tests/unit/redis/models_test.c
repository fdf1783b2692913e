// SPDX-License-Identifier: Apache-2.0
//
// meta:models and meta:models_meta: exact texts, since data planes that exist read them; and a rebuild, after which
// they are what the store says and nothing else.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ez/v1/setting.pb-c.h"
#include "proto/crypto/hash.h"
#include "tests/support/folder.h"
#include "tests/unit/redis/support/edge.h"

#define META_FIELDS "version updated_at source checksum upstream_url upstream_ref"

static edge e;

static void begin(void) {
    given_edge(&e, NULL);
}

static void end(void) {
    end_edge(&e);
}

TestSuite(redis_models, .init = begin, .fini = end);

#define says(...) redis_says(&e.server, __VA_ARGS__)

static void expect_says(const char *want, const char *command) {
    const char *got = says(command);
    cr_assert_str_eq(got, want, "%s: %s, not %s", command, got, want);
}

static void rebuild(void) {
    long long before = metric_of(&e, "rebuilds_total");
    ask_edge(&e, true);
    expect_soon(metric_of(&e, "rebuilds_total") == before + 1 && is_even(&e) && strcmp(word_of_edge(&e), "ok") == 0);
}

static int64_t put_meta(int64_t id, const char *version, const char *url) {
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__ModelsMeta meta = EZ__V1__MODELS_META__INIT;
    Ez__V1__Setting setting = EZ__V1__SETTING__INIT;
    at.seconds = 1700000000;
    meta.version = (char *)(uintptr_t)version;
    meta.updated_at = &at;
    meta.source = (char *)"url";
    meta.checksum = (char *)"c0ffee";
    meta.upstream_url = (char *)(uintptr_t)url;
    meta.upstream_ref = (char *)"\"etag\"";
    meta.models = 3;
    meta.last_error = (char *)"not for readers";
    setting.id = id;
    setting.name = (char *)"models_meta";
    setting.models_meta = &meta;
    given_stored(e.w, EZ__V1__KIND__KIND_SETTING, &setting.base);
    ez_directory_enter();
    const ez_entry *entry = ez_directory_find(e.w->directory, EZ_INDEX_SETTING_NAME, ez_index_text("models_meta"));
    id = entry ? ez_entry_id(entry) : 0;
    ez_directory_leave();
    return id;
}

static int64_t id_of(const char *name) {
    return ((Ez__V1__Model *)expect_ok(e.w, "Models/Get", "{'name':'%s'}", name))->id;
}

Test(redis_models, a_models_field_comes_and_goes_with_its_bindings) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    given_api_key(e.w, group->id, "a");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    expect_says("{\"name\":\"default.m\"}", "HGET t:meta:models default.m");
    int64_t first = id_of("default.m");
    cr_assert_str_eq(says("HGET t:meta:ezplane:index o:%lld", (long long)first), "default.m");
    expect_ok(e.w, "Bindings/Delete", "{'id':1}");
    expect_soon(is_even(&e));
    expect_says("0", "EXISTS t:meta:models");
    cr_assert_str_eq(says("HEXISTS t:meta:ezplane:index o:%lld", (long long)first), "0");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    expect_says("default.m {\"name\":\"default.m\"}", "HGETALL t:meta:models");
    cr_assert_str_eq(says("HGET t:meta:ezplane:index o:%lld", (long long)id_of("default.m")), "default.m");
}

// One that is due for long is dropped when another has its name: the other's field stays.
Test(redis_models, a_late_drop_leaves_the_successor_alone) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    says("SET t:meta:models nonsense");
    expect_ok(e.w, "Bindings/Delete", "{'id':1}");
    expect_soon(metric_of(&e, "parked") == 1);
    says("DEL t:meta:models");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    expect_says("default.m", "HKEYS t:meta:models");
    ask_edge(&e, false);
    expect_soon(is_even(&e) && metric_of(&e, "parked") == 0 && strcmp(word_of_edge(&e), "ok") == 0);
    expect_says("default.m {\"name\":\"default.m\"}", "HGETALL t:meta:models");
}

Test(redis_models, all_members_in_their_order_and_none_that_is_cleared) {
    Ez__V1__Model model = EZ__V1__MODEL__INIT;
    model.name = (char *)"default.gpt \"x\"";
    model.namespace_ = (char *)"default";
    model.public_model = (char *)"gpt \"x\"";
    model.kind = EZ__V1__MODEL_KIND__MODEL_KIND_CHAT;
    model.context_window = 128000;
    model.max_output_tokens = 16384;
    model.cost_per_token = 0.00001;
    model.supports_vision = model.supports_functions = model.supports_tool_choice = true;
    model.supports_fim = model.supports_stream = true;
    model.candidates = 2;
    given_stored(e.w, EZ__V1__KIND__KIND_MODEL, &model.base);
    expect_soon(is_even(&e));
    expect_says(
        "{\"name\":\"default.gpt \\\"x\\\"\",\"kind\":\"chat\",\"context_window\":128000,\"cost_per_token\":1e-05,"
        "\"supports_vision\":true,\"supports_functions\":true,\"supports_tool_choice\":true,"
        "\"supports_fim\":true,\"supports_stream\":true,\"max_output_tokens\":16384}",
        "HVALS t:meta:models");
    Ez__V1__Model bare = EZ__V1__MODEL__INIT;
    bare.id = 1;
    bare.name = model.name;
    bare.namespace_ = model.namespace_;
    bare.public_model = model.public_model;
    bare.kind = EZ__V1__MODEL_KIND__MODEL_KIND_EMBEDDING;
    given_stored(e.w, EZ__V1__KIND__KIND_MODEL, &bare.base);
    expect_soon(is_even(&e));
    expect_says("{\"name\":\"default.gpt \\\"x\\\"\",\"kind\":\"embedding\"}", "HVALS t:meta:models");
}

Test(redis_models, the_meta_is_replaced_whole) {
    int64_t id = put_meta(0, "1700000000000000001", "https://models.example/api.json");
    expect_soon(is_even(&e));
    expect_says("1700000000000000001 1700000000 url c0ffee https://models.example/api.json \"etag\"",
                "HMGET t:meta:models_meta " META_FIELDS);
    says("HSET t:meta:models_meta stale yes");
    put_meta(id, "1700000000000000002", "");
    expect_soon(is_even(&e));
    expect_says("1700000000000000002 ", "HMGET t:meta:models_meta version upstream_url");
    expect_says("6", "HLEN t:meta:models_meta");
    says("SET t:meta:models_meta nonsense");
    put_meta(id, "1700000000000000003", "");
    expect_soon(is_even(&e));
    expect_says("1700000000000000003", "HGET t:meta:models_meta version");
    expect_says("6", "HLEN t:meta:models_meta");
}

Test(redis_models, a_rebuild_leaves_nothing_of_before) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    given_api_key(e.w, group->id, "a");
    given_binding(e.w, "m", group->id);
    expect_soon(is_even(&e));
    says("HSET t:meta:models default.gone {}");
    says("HSET t:meta:models_meta version 9 stale yes");
    rebuild();
    expect_says("default.m", "HKEYS t:meta:models");
    expect_says("0", "EXISTS t:meta:models_meta"); // this store says nothing of it
    put_meta(0, "17", "");
    expect_soon(is_even(&e));
    says("SET t:meta:models nonsense");
    says("SET t:meta:models_meta nonsense");
    rebuild();
    expect_says("default.m {\"name\":\"default.m\"}", "HGETALL t:meta:models");
    expect_says("17", "HGET t:meta:models_meta version");
    expect_says("6", "HLEN t:meta:models_meta");
    expect_says("", "KEYS t:*:new");
}

// Redis's slow log, the newest first, has every command.
Test(redis_models, a_rebuild_says_the_meta_after_the_models) {
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m'");
    given_binding(e.w, "m", group->id);
    put_meta(0, "17", "");
    expect_soon(is_even(&e));
    says("CONFIG SET slowlog-max-len 2000");
    says("CONFIG SET slowlog-log-slower-than 0");
    rebuild();
    const char *log = says("SLOWLOG GET 2000");
    const char *meta = strstr(log, "HSET t:meta:models_meta version 17");
    const char *models = strstr(log, "RENAME t:meta:models:new t:meta:models");
    cr_assert(meta && models && strstr(log, "HSET t:meta:models:new"));
    cr_assert_lt(meta, models, "the meta came first");
}

// ---- With a sync that keeps the meta

static bool is_leading(void *user, uint64_t *token) {
    (void)user;
    *token = EZ_NO_FENCE; // nobody took a lease of this store
    return true;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// As a reader computes it: "key \n payload \n" of each, sorted by the bytes of the keys.
static void checksum_of_redis(char out[2 * EZ_SHA256_LEN + 1]) {
    const char *names[8], *all = says("HKEYS t:meta:models");
    char list[512];
    size_t count = 0;
    snprintf(list, sizeof list, "%s", all);
    for (char *save = NULL, *at = strtok_r(list, " ", &save); at && count < 8; at = strtok_r(NULL, " ", &save))
        names[count++] = at;
    qsort(names, count, sizeof *names, by_bytes);
    ez_sha256_part parts[32];
    for (size_t i = 0; i < count; i++) {
        const char *value = says("HGET t:meta:models %s", names[i]);
        parts[4 * i] = (ez_sha256_part){names[i], strlen(names[i])};
        parts[4 * i + 1] = (ez_sha256_part){"\n", 1};
        parts[4 * i + 2] = (ez_sha256_part){value, strlen(value)};
        parts[4 * i + 3] = (ez_sha256_part){"\n", 1};
    }
    uint8_t digest[EZ_SHA256_LEN];
    ez_sha256_parts(parts, 4 * count, digest);
    ez_hex(digest, sizeof digest, out);
}

static bool is_checksum_true(const char *before) {
    char want[2 * EZ_SHA256_LEN + 1];
    checksum_of_redis(want);
    const char *got = says("HGET t:meta:models_meta checksum");
    return strcmp(got, want) == 0 && strcmp(got, before) != 0;
}

Test(redis_models, the_checksum_is_of_what_stands_in_redis) {
    static const char catalogue[] = "{\"openai\":{\"models\":{\"m\":{\"limit\":{\"context\":1000}}}}}";
    char folder[EZ_TEST_PATH_MAX], file[EZ_TEST_PATH_MAX + 32], before[80];
    given_folder(folder);
    snprintf(file, sizeof file, "%s/models.json", folder);
    write_file(file, catalogue, strlen(catalogue));
    Ez__V1__ProviderGroup *group = given_group(e.w, "main", "'m','Z','z'");
    given_api_key(e.w, group->id, "a");
    given_binding(e.w, "z", group->id);
    given_binding(e.w, "Z", group->id);
    ez_error error = EZ_ERROR_INIT;
    ez_outbound_options out = {.allow = "127.0.0.1"};
    ez_outbound *outbound;
    ez_model_sync *sync;
    cr_assert_eq(ez_outbound_create(&out, &outbound, &error), EZ_OK, "%s", error.message);
    ez_model_sync_options options = {.directory = e.w->directory,
                                     .writer = e.w->writer,
                                     .deriver = e.w->deriver,
                                     .outbound = outbound,
                                     .file = file,
                                     .home = folder,
                                     .interval_ms = 3600000,
                                     .keeps_meta = true,
                                     .holder = {.is_holder = is_leading}};
    cr_assert_eq(ez_model_sync_create(&options, &sync, &error), EZ_OK, "%s", error.message);
    give_sync(e.w, sync);
    expect_soon(is_checksum_true("(nil)"));
    snprintf(before, sizeof before, "%s", says("HGET t:meta:models_meta checksum"));
    given_binding(e.w, "m", group->id);
    expect_soon(is_checksum_true(before));
    cr_assert_not_null(strstr(says("HGET t:meta:models default.m"), "\"context_window\":1000"));
    expect_says("6", "HLEN t:meta:models_meta");
    expect_soon(is_even(&e));
    ez_model_sync_stop(sync);
    ez_outbound_stop(outbound);
    ez_model_sync_destroy(sync);
    ez_outbound_destroy(outbound);
    remove_folder(folder);
}
