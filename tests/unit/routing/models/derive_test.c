// SPDX-License-Identifier: Apache-2.0
//
// Models follow bindings and provider groups in the same revision, whatever changed them, and are written only where
// they differ.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/cleanup.h"
#include "server/domain/routing/models/catalogue_json.h"
#include "server/domain/routing/models/inside.h"
#include "server/state/directory/model.h"
#include "tests/support/folder.h"
#include "tests/unit/access/support/world.h"

static world *w;

static void run(ez_handler *handler, void *self) {
    ez_call *c;
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    cr_assert_eq(ez_writer_run(w->writer, c, handler, self, &nothing.base, &w->error), EZ_OK, "%s", w->error.message);
    ez_call_destroy_system(c);
}

// Puts a catalogue and derives all models; returns how many were written.
static size_t give_catalogue(const char *text) {
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, EZ_CATALOGUE_ARENA);
    ez_model_catalogue_put put = {.catalogue = NULL};
    cr_assert_eq(ez_catalogue_parse(text, strlen(text), &arena, &put.catalogue, &w->error), EZ_OK, "%s",
                 w->error.message);
    run(ez_model_put_catalogue, &put);
    size_t written = 0;
    for (ez_model_step step = {.deriver = w->deriver}; !step.is_done;) {
        run(ez_model_run_step, &step);
        step.is_second = step.next_is_second;
        step.after = step.next_after;
        written += step.changed;
    }
    return written;
}

static void begin(void) {
    w = given_world();
    ez_autofree char *sample = read_file(EZ_TEST_DATA "/models.json");
    cr_assert_not_null(sample);
    give_catalogue(sample);
}

static void end(void) {
    end_world(w);
}

TestSuite(derive, .init = begin, .fini = end);

static Ez__V1__ProviderGroup *given_usable(const char *name, const char *type, const char *models) {
    Ez__V1__ProviderGroup *group =
        expect_ok(w, "ProviderGroups/Create",
                  "{'provider_group':{'name':'%s','type':'%s','base_url':'https://%s.example','models':[%s]}}", name,
                  type, name, models);
    given_api_key(w, group->id, name);
    return group;
}

static Ez__V1__Binding *given_bound(const char *model, int64_t group_id, const char *upstream) {
    return expect_ok(w, "Bindings/Create",
                     "{'binding':{'namespace':'default','public_model':'%s','group_id':%lld,'selector_value':'%s'}}",
                     model, (long long)group_id, upstream);
}

static Ez__V1__Model *model(const char *name) {
    return expect_ok(w, "Models/Get", "{'name':'%s'}", name);
}

static bool has_model(const char *name) {
    return call(w, "Models/Get", NULL, "{'name':'%s'}", name) == EZ_OK;
}

Test(derive, a_model_comes_and_goes_with_its_bindings) {
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o','other'");
    uint64_t before = head_of(w);
    Ez__V1__Binding *binding = given_bound("chat.v1", group->id, "gpt-4o");
    cr_assert_eq(head_of(w), before + 1, "in the same revision");
    Ez__V1__Model *made = model("default.chat.v1");
    cr_assert_eq(made->revision, head_of(w));
    cr_assert_str_eq(made->namespace_, "default");
    cr_assert_str_eq(made->public_model, "chat.v1");
    cr_assert_eq(made->kind, EZ__V1__MODEL_KIND__MODEL_KIND_CHAT);
    cr_assert_eq(made->context_window, 128000);
    cr_assert_eq(made->max_output_tokens, 16384);
    cr_assert(made->supports_vision && made->supports_functions && made->supports_tool_choice && made->supports_stream);
    cr_assert_not(made->supports_fim);
    cr_assert_float_eq(made->cost_per_token, 1e-5, 1e-18);
    cr_assert_eq(made->n_catalogue_entries, 1);
    cr_assert_str_eq(made->catalogue_entries[0], "openai/gpt-4o");
    // What does not concern it leaves it alone.
    expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{'weight':7}}", (long long)binding->id);
    cr_assert_eq(model("default.chat.v1")->revision, made->revision);
    int64_t id = made->id;
    expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{'selector_value':'other'}}", (long long)binding->id);
    made = model("default.chat.v1");
    cr_assert_eq(made->id, id, "it is the same model");
    cr_assert_eq(made->unknown_candidates, 1);
    cr_assert(made->context_window == 0 && !made->supports_stream && made->cost_per_token == 0);
    expect_ok(w, "Bindings/Delete", "{'id':%lld}", (long long)binding->id);
    cr_assert_not(has_model("default.chat.v1"));
}

Test(derive, what_all_candidates_have_is_claimed) {
    Ez__V1__ProviderGroup *openai = given_usable("openai", "openai", "'gpt-4o'");
    Ez__V1__ProviderGroup *claude = given_usable("claude", "claude", "'claude-sonnet-4-5'");
    Ez__V1__ProviderGroup *own = given_usable("own", "compatible", "'my-model'");
    given_bound("m", openai->id, "gpt-4o");
    Ez__V1__Binding *second = given_bound("m", claude->id, "claude-sonnet-4-5");
    Ez__V1__Model *made = model("default.m");
    cr_assert_eq(made->candidates, 2);
    cr_assert_eq(made->context_window, 128000, "of 128000 and 200000");
    cr_assert_eq(made->max_output_tokens, 16384, "of 16384 and 64000");
    cr_assert_float_eq(made->cost_per_token, 22.5e-6, 1e-18);
    cr_assert(made->supports_vision);
    cr_assert_eq(made->n_catalogue_entries, 2);
    // One that nothing is known of: nothing is claimed.
    Ez__V1__Binding *third = given_bound("m", own->id, "my-model");
    made = model("default.m");
    cr_assert(made->candidates == 3 && made->unknown_candidates == 1);
    cr_assert(!made->supports_vision && !made->supports_functions && made->context_window == 0);
    cr_assert_eq(made->kind, EZ__V1__MODEL_KIND__MODEL_KIND_UNSPECIFIED);
    // One that can't be chosen does not count.
    expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{'status':'disabled'}}", (long long)third->id);
    cr_assert(model("default.m")->supports_vision);
    expect_ok(w, "Bindings/Update", "{'id':%lld,'binding':{'selector_value':'nothing'}}", (long long)second->id);
    made = model("default.m");
    cr_assert(made->candidates == 1 && made->context_window == 128000 && made->cost_per_token == 1e-5);
}

Test(derive, groups_and_their_keys_change_models_too) {
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o','claude-haiku-4-5'");
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        given_bound(name, group->id, i == 2 ? "claude-haiku-4-5" : "gpt-4o");
    }
    long long id = (long long)group->id;
    cr_assert_eq(model("default.m2")->unknown_candidates, 1, "it is none of OpenAI's");
    uint64_t before = head_of(w);
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'type':'anthropic'}}", id);
    cr_assert_eq(head_of(w), before + 1);
    cr_assert_eq(model("default.m0")->unknown_candidates, 1);
    cr_assert_eq(model("default.m2")->context_window, 200000);
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'labels':{'a':'b'}}}", id);
    cr_assert_eq(model("default.m2")->revision, before + 1, "labels say nothing of models");
    expect_ok(w, "ProviderGroups/Update", "{'id':%lld,'provider_group':{'models':['gpt-4o']}}", id);
    cr_assert_eq(model("default.m2")->candidates, 0);
    // The last API key out of service: no candidate is left.
    expect_ok(w, "ApiKeys/Update", "{'id':1,'api_key':{'status':'disabled'}}");
    cr_assert_eq(model("default.m0")->candidates, 0);
    expect_ok(w, "ProviderGroups/Delete", "{'id':%lld,'cascade':true}", id);
    cr_assert_not(has_model("default.m0"));
    cr_assert_eq(ez_directory_count(w->directory, EZ__V1__KIND__KIND_MODEL), 0);
}

Test(derive, a_batch_derives_each_model_once) {
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o','o3'");
    long long id = (long long)group->id;
    uint64_t before = head_of(w);
    expect_ok(w, "Bindings/Batch",
              "{'items':[{'create':{'namespace':'default','public_model':'a','group_id':%lld,'selector_value':'o3'}},"
              "{'create':{'namespace':'default','public_model':'a','group_id':999}},"
              "{'create':{'namespace':'default','public_model':'b','group_id':%lld,'selector_value':'gpt-4o'}},"
              "{'create':{'namespace':'nowhere','public_model':'c','group_id':%lld}}]}",
              id, id, id);
    cr_assert_eq(head_of(w), before + 1);
    cr_assert_eq(model("default.a")->context_window, 200000);
    cr_assert(has_model("default.b") && !has_model("nowhere.c"), "what was undone leaves nothing");
    Ez__V1__ListChangesResponse *changes = expect_ok(w, "Changes/List", "{'since':%llu}", (unsigned long long)before);
    cr_assert_eq(changes->n_items, 4, "two bindings and two models");
    // Only asked what would happen.
    w->validate_only = true;
    given_bound("d", group->id, "o3");
    cr_assert_not(has_model("default.d"));
}

Test(derive, another_catalogue_rewrites_what_differs) {
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o','o3'");
    given_bound("a", group->id, "gpt-4o");
    given_bound("b", group->id, "o3");
    ez_autofree char *sample = read_file(EZ_TEST_DATA "/models.json");
    uint64_t before = head_of(w);
    cr_assert_eq(give_catalogue(sample), 0, "the same again");
    cr_assert_eq(head_of(w), before, "writes nothing");
    cr_assert_eq(
        give_catalogue("{\"openai\":{\"models\":{\"o3\":{\"limit\":{\"context\":5}},\"gpt-4o\":{\"attachment\":"
                       "true,\"tool_call\":true,\"cost\":{\"input\":10},\"limit\":{\"context\":128000,"
                       "\"output\":16384}}}}}"),
        1);
    cr_assert_eq(head_of(w), before + 2, "the catalogue, and the one model it changes");
    cr_assert_eq(model("default.b")->context_window, 5);
    cr_assert_eq(model("default.a")->context_window, 128000);
    // A change of a binding is derived with the new one, though the deriver had kept the old.
    given_bound("c", group->id, "o3");
    cr_assert_eq(model("default.c")->context_window, 5);
}

// A catalogue in a transaction that was given up must not stay in use: the next one has the same revision.
static ez_status put_and_fail(void *self, ez_call *c, void *txn, ProtobufCMessage *request) {
    ez_model_catalogue_put *put = self;
    cr_assert_eq(ez_model_put_catalogue(put, c, txn, request), EZ_OK);
    cr_assert_eq(ez_model_use_catalogue(w->deriver, txn, &c->error), EZ_OK);
    return ez_call_fail(c, EZ_ABORTED, "GIVEN_UP", "given up");
}

Test(derive, a_catalogue_that_was_given_up_is_not_used) {
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'o3'");
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, EZ_CATALOGUE_ARENA);
    static const char text[] = "{\"openai\":{\"models\":{\"o3\":{\"limit\":{\"context\":5}}}}}";
    ez_model_catalogue_put put = {.catalogue = NULL};
    cr_assert_eq(ez_catalogue_parse(text, sizeof text - 1, &arena, &put.catalogue, &w->error), EZ_OK);
    ez_call *c;
    Ez__V1__Empty nothing = EZ__V1__EMPTY__INIT;
    cr_assert_eq(ez_call_create_system("test", &c), EZ_OK);
    cr_assert_eq(ez_writer_run(w->writer, c, put_and_fail, &put, &nothing.base, &w->error), EZ_ABORTED);
    ez_call_destroy_system(c);
    given_bound("a", group->id, "o3");
    cr_assert_eq(model("default.a")->context_window, 200000);
}

Test(derive, lists_are_filtered) {
    given_namespace(w, "team");
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o','text-embedding-3-small'");
    given_bound("chat", group->id, "gpt-4o");
    given_bound("embed", group->id, "text-embedding-3-small");
    expect_ok(w, "Bindings/Create",
              "{'binding':{'namespace':'team','public_model':'chat','group_id':%lld,'selector_value':'gpt-4o'}}",
              (long long)group->id);
    Ez__V1__ListModelsResponse *list = expect_ok(w, "Models/List", "{'with_total':true}");
    cr_assert(list->n_items == 3 && list->total == 3);
    list = expect_ok(w, "Models/List", "{'kind':'embedding'}");
    cr_assert(list->n_items == 1 && strcmp(list->items[0]->name, "default.embed") == 0);
    list = expect_ok(w, "Models/List", "{'namespace':'team'}");
    cr_assert(list->n_items == 1 && strcmp(list->items[0]->name, "team.chat") == 0);
    list = expect_ok(w, "Models/List", "{'q':'CHAT','page_size':1}");
    cr_assert(list->n_items == 1 && list->next_page_token[0]);
    list = expect_ok(w, "Models/List", "{'q':'CHAT','page_size':1,'page_token':'%s'}", list->next_page_token);
    cr_assert(list->n_items == 1 && strcmp(list->items[0]->name, "team.chat") == 0);
    expect_error(w, EZ_NOT_FOUND, "NOT_FOUND", "\"chat\"", "Models/Get", "{'name':'chat'}");
}

// ---- The payload of Redis, and the checksum over all

static char *json_of(const Ez__V1__Model *of) {
    ez_buf out;
    ez_buf_init(&out, 4096);
    cr_assert_eq(ez_model_json(of, &out), EZ_OK);
    size_t len;
    char *text = ez_arena_strndup(&w->arena, (const char *)out.data, out.len);
    free(ez_buf_take(&out, &len));
    return text;
}

Test(derive, the_json_of_a_model_leaves_out_what_is_empty) {
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o','x'");
    given_bound("plain", group->id, "x");
    cr_assert_str_eq(json_of(model("default.plain")), "{\"name\":\"default.plain\"}");
    given_bound("chat", group->id, "gpt-4o");
    cr_assert_str_eq(json_of(model("default.chat")),
                     "{\"name\":\"default.chat\",\"kind\":\"chat\",\"context_window\":128000,\"cost_per_token\":1e-05,"
                     "\"supports_vision\":true,\"supports_functions\":true,\"supports_tool_choice\":true,"
                     "\"supports_stream\":true,\"max_output_tokens\":16384}");
}

Test(derive, the_checksum_is_over_the_models_in_the_order_of_their_names) {
    char checksum[EZ_MODEL_CHECKSUM_TEXT], expected[EZ_MODEL_CHECKSUM_TEXT];
    int64_t count;
    Ez__V1__ProviderGroup *group = given_usable("main", "openai", "'gpt-4o'");
    static const char *const names[] = {"b", "a", "a.c", "B"}, *const sorted[] = {"B", "a", "a.c", "b"};
    ez_buf text;
    ez_buf_init(&text, 65536);
    for (int i = 0; i < 4; i++)
        given_bound(names[i], group->id, "gpt-4o");
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "default.%s", sorted[i]);
        cr_assert_eq(ez_buf_printf(&text, "%s\n%s\n", name, json_of(model(name))), EZ_OK);
    }
    uint8_t hash[EZ_SHA256_LEN];
    ez_sha256(text.data, text.len, hash);
    ez_hex(hash, sizeof hash, expected);
    cr_assert_eq(ez_model_checksum(w->directory, checksum, &count, &w->error), EZ_OK);
    cr_assert_str_eq(checksum, expected);
    cr_assert_eq(count, 4);
    ez_buf_fini(&text);
}
