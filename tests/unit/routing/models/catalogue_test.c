// SPDX-License-Identifier: Apache-2.0
//
// Catalogues: what is taken of one, what is left out, what is refused, and which entry a candidate is found at.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "server/domain/routing/models/catalogue.h"
#include "server/domain/routing/models/catalogue_json.h"
#include "tests/support/expect.h"
#include "tests/support/folder.h"

static ez_arena arena;
static ez_error error;

static void begin(void) {
    ez_arena_init(&arena, EZ_CATALOGUE_ARENA);
    ez_error_clear(&error);
}

static void end(void) {
    ez_arena_fini(&arena);
}

TestSuite(catalogue, .init = begin, .fini = end);

static ez_status parse(const char *text, size_t len, Ez__V1__ModelCatalogue **out) {
    return ez_catalogue_parse(text, len, &arena, out, &error);
}

// The only model of a catalogue with one, made of its members, ' for "; NULL: it was left out.
static Ez__V1__CatalogueModel *one(const char *members) {
    char text[4096];
    snprintf(text, sizeof text, "{'p':{'models':{'kept':{},'m':{%s}}}}", members);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    Ez__V1__ModelCatalogue *made;
    expect_ok(parse(text, strlen(text), &made), &error);
    cr_assert_eq(made->n_providers, 1);
    cr_assert_eq(made->skipped, 2 - made->models, "%s", members);
    return made->providers[0]->n_models == 2 ? made->providers[0]->models[1] : NULL;
}

static ez_catalogue *open_made(const Ez__V1__ModelCatalogue *made) {
    size_t size = protobuf_c_message_get_packed_size(&made->base);
    uint8_t *packed = ez_arena_alloc(&arena, size);
    cr_assert_not_null(packed);
    protobuf_c_message_pack(&made->base, packed);
    ez_catalogue *catalogue;
    expect_ok(ez_catalogue_open((ez_slice){packed, size}, &catalogue, &error), &error);
    return catalogue;
}

static ez_catalogue *given_sample(void) {
    ez_autofree char *text = read_file(EZ_TEST_DATA "/models.json");
    cr_assert_not_null(text);
    Ez__V1__ModelCatalogue *made;
    expect_ok(parse(text, strlen(text), &made), &error);
    cr_assert_eq(made->models, 32);
    cr_assert_eq(made->skipped, 0);
    return open_made(made);
}

// ---- Taking

Test(catalogue, an_entry_says_what_it_can_do) {
    const Ez__V1__CatalogueModel *made =
        one("'id':'m','name':'M','tool_call':true,'attachment':true,'reasoning':true,'modalities':{'input':['text',"
            "'image'],'output':['text']},'cost':{'input':3,'output':15,'cache_write':3.75,'context_over_200k':{'input':"
            "6,'output':22.5}},'limit':{'context':200000,'output':64000},'unknown':{'a':[1,{'b':null}]}");
    cr_assert_not_null(made);
    cr_assert_eq(made->kind, EZ__V1__MODEL_KIND__MODEL_KIND_CHAT);
    cr_assert_eq(made->context_window, 200000);
    cr_assert_eq(made->max_output_tokens, 64000);
    cr_assert(made->vision && made->functions && !made->fim && !made->no_stream && !made->tool_choice);
    cr_assert(made->has_cost);
    cr_assert_eq(made->cost, 22500000000, "the dearest token there can be");
    made = one("'attachment':true");
    cr_assert(made->vision, "without modalities attachments are images");
    made = one("'attachment':true,'modalities':{'input':['text','pdf'],'output':['text']}");
    cr_assert_not(made->vision);
    made = one("'stream':false,'fim':true,'tool_choice':true,'cost':null,'limit':{}");
    cr_assert(made->no_stream && made->fim && made->tool_choice && !made->has_cost);
    made = one("'modalities':{'input':['text'],'output':['image']}");
    cr_assert_eq(made->kind, EZ__V1__MODEL_KIND__MODEL_KIND_OTHER);
    cr_assert_eq(one("'family':'text-embedding'")->kind, EZ__V1__MODEL_KIND__MODEL_KIND_EMBEDDING);
}

Test(catalogue, an_entry_that_is_wrong_is_left_out) {
    static const char *const wrong[] = {
        "'limit':{'context':-1}",
        "'limit':{'context':-128000,'output':4096}",
        "'limit':{'context':1.5}",
        "'limit':{'context':1e300}",
        "'limit':{'context':99999999999}",
        "'limit':{'context':'128000'}",
        "'limit':{'output':-0.1}",
        "'limit':[128000]",
        "'limit':128000",
        "'limit':{'context':1,'context':2}",
        "'limit':{'context':1},'limit':{'context':2}",
        "'cost':{'input':-1}",
        "'cost':{'input':1e9}",
        "'cost':{'input':'2.5'}",
        "'cost':{'tiers':{'input':{'deep':1}}}",
        "'cost':2.5",
        "'tool_call':'yes'",
        "'tool_call':1",
        "'attachment':{}",
        "'modalities':['text']",
        "'modalities':{'input':'image'}",
        "'modalities':{'input':[1]}",
        "'family':5",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_null(one(wrong[i]), "%s", wrong[i]);
}

Test(catalogue, names_that_are_there_twice_are_nobodys) {
    static const char text[] = "{\"p\":{\"models\":{\"a\":{},\"b\":{},\"a\":{},\"c\":{},\"d\":{}}},"
                               "\"q\":{\"models\":{\"x\":{}}},\"q\":{\"models\":{}}}";
    Ez__V1__ModelCatalogue *made;
    expect_ok(parse(text, sizeof text - 1, &made), &error);
    cr_assert_eq(made->models, 3);
    cr_assert_eq(made->skipped, 3);
    cr_assert_eq(made->n_providers, 1);
    cr_assert_str_eq(made->providers[0]->models[0]->id, "b");
}

Test(catalogue, odd_names_and_providers_are_left_out) {
    static const char text[] = "{\"p\":{\"api\":7,\"models\":{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"\":{},\"x y\":{},"
                               "\"\\u0000\":{},\"\\ud800\":{}}},\"list\":[],\"no\":null}";
    Ez__V1__ModelCatalogue *made;
    ez_status status = parse(text, sizeof text - 1, &made);
    expect_reason(EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", status, &error); // more left out than taken
    cr_assert_not_null(strstr(error.message, "6 of the catalogue's entries"), "%s", error.message);
}

Test(catalogue, the_same_catalogue_in_another_order_is_the_same) {
    static const char x[] = "{\"p\":{\"models\":{\"a\":{\"tool_call\":true},\"b\":{}}},\"q\":{\"models\":{\"c\":{}}}}";
    static const char y[] =
        "{ \"q\" : {\"name\":\"Q\",\"models\":{\"c\":{}}},\"p\":{\"models\":{\"b\":{},\"a\":{\"tool_call\":true}}}}";
    Ez__V1__ModelCatalogue *first, *second;
    expect_ok(parse(x, sizeof x - 1, &first), &error);
    expect_ok(parse(y, sizeof y - 1, &second), &error);
    cr_assert_eq(memcmp(first->checksum.data, second->checksum.data, 32), 0);
}

// ---- Refusing

static void expect_refused(const char *text, size_t len, ez_status code, const char *reason, const char *part) {
    Ez__V1__ModelCatalogue *made;
    expect_reason(code, reason, parse(text, len, &made), &error);
    cr_assert_not_null(strstr(error.message, part), "\"%s\" does not say \"%s\"", error.message, part);
}

Test(catalogue, what_is_no_catalogue_is_refused) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "it ends in the middle at byte 0"},
        {"<html>not found</html>", "an object is missing at byte 0"},
        {"[]", "an object is missing"},
        {"null", "an object is missing"},
        {"{\"p\":{\"models\":{\"a\":{}", "it ends in the middle at byte 22"},
        {"{\"p\":{\"models\":{\"a\":{}}}} trailing", "something stands behind its end"},
        {"{\"p\":{\"models\":{\"a\":{\"limit\":{\"context\":0x10}}}}}", "a comma is missing"},
        {"{\"p\":{\"models\":{\"\xff\":{}}}}", "not UTF-8 at byte 17"},
        {"\x1f\x8b\x08", "was it compressed?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(cases[i].text, strlen(cases[i].text), EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", cases[i].part);
}

Test(catalogue, depth_and_size_are_bounded) {
    size_t len = EZ_CATALOGUE_TEXT_MAX + 1;
    char *text = malloc(len);
    cr_assert_not_null(text);
    memset(text, '[', len);
    memcpy(text, "{\"p\":", 5);
    expect_refused(text, len, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE", "at most");
    expect_refused(text, len - 1, EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "nested deeper than 64");
    ez_arena_reset(&arena);
    // As many models as fit into the text, and as many providers.
    size_t at = (size_t)sprintf(text, "{\"p\":{\"models\":{\"m\":{}");
    for (int i = 0; i < EZ_CATALOGUE_MODELS; i++)
        at += (size_t)sprintf(text + at, ",\"m%d\":{}", i);
    memcpy(text + at, "}}}", 3);
    expect_refused(text, at + 3, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE", "20000 models");
    ez_arena_reset(&arena);
    at = (size_t)sprintf(text, "{\"p\":{}");
    for (int i = 0; i < EZ_CATALOGUE_PROVIDERS; i++)
        at += (size_t)sprintf(text + at, ",\"p%d\":{}", i);
    text[at] = '}';
    expect_refused(text, at + 1, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE", "1000 providers");
    ez_arena_reset(&arena);
    // Few enough, but with names that make the row too large.
    at = (size_t)sprintf(text, "{\"p\":{\"models\":{\"m\":{}");
    for (int i = 0; i < 12000; i++)
        at += (size_t)sprintf(text + at, ",\"%0240d\":{}", i);
    memcpy(text + at, "}}}", 3);
    expect_refused(text, at + 3, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE", "what is to be kept");
    free(text);
}

// Nothing but names that no model has, or empty lists: the memory is bounded too.
Test(catalogue, a_text_of_nothing_but_entries_takes_bounded_memory) {
    size_t len = EZ_CATALOGUE_TEXT_MAX, at;
    char *text = malloc(len);
    cr_assert_not_null(text);
    at = (size_t)sprintf(text, "{\"p\":{\"models\":{\"m\":0");
    while (at + 16 < len)
        at += (size_t)sprintf(text + at, ",\"m\":0");
    memcpy(text + at, "}}}", 3);
    Ez__V1__ModelCatalogue *made;
    cr_assert_neq(parse(text, at + 3, &made), EZ_OK);
    cr_assert(arena.used <= EZ_CATALOGUE_ARENA);
    free(text);
}

// ---- Finding

typedef struct candidate {
    const char *type, *base_url, *model, *found;
} candidate;

Test(catalogue, candidates_are_found_at_the_entry_that_is_theirs) {
    static const candidate cases[] = {
        // As it is, in its provider's catalogue.
        {"openai", "", "gpt-4o", "openai/gpt-4o"},
        {"openai", "", "gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"},
        {"codex", "", "gpt-5", "openai/gpt-5"},
        {"claude-code", "", "claude-haiku-4-5", "anthropic/claude-haiku-4-5"},
        {"vertex", "", "gemini-2.5-pro", "google-vertex/gemini-2.5-pro"},
        {"vertex", "", "claude-sonnet-4-5@20250929", "google-vertex-anthropic/claude-sonnet-4-5@20250929"},
        {"antigravity", "", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5-20250929"},
        // Letter case, and what stands before a slash.
        {"openai", "", "GPT-4o", "openai/gpt-4o"},
        {"gemini", "", "models/gemini-2.5-flash", "google/gemini-2.5-flash"},
        // Another issue of it.
        {"openai", "", "gpt-4.1-2025-04-14", "openai/gpt-4.1"},
        {"openai", "", "gpt-4o-2099-01-01", "openai/gpt-4o"}, // what both entries say
        {"claude", "", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5-20250929"},
        {"anthropic", "", "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"},
        {"vertex-express", "", "gemini-2.0-flash", "google/gemini-2.0-flash"},
        {"vertex", "", "gemini-2.0-flash-002", "google-vertex/gemini-2.0-flash-001"},
        // Not theirs.
        {"openai", "", "claude-haiku-4-5", ""},
        {"openai", "", "gpt-4o-audio", ""},
        {"anthropic", "", "", ""},
        // Anybody's: by the host of the base URL, else by all.
        {"compatible", "https://API.deepseek.com/v1", "deepseek-chat", "deepseek/deepseek-chat"},
        {"compatible", "https://openrouter.ai:443/api/v1", "meta-llama/llama-3.3-70b-instruct",
         "openrouter/meta-llama/llama-3.3-70b-instruct"},
        {"compatible", "http://10.0.0.7:8000", "deepseek-reasoner", "deepseek/deepseek-reasoner"},
        {"compatible", "http://10.0.0.7:8000", "Llama-3.3-70B-Instruct", "*/llama-3.3-70b-instruct"},
        {"compatible", "https://openrouter.ai/api/v1", "codestral-2501", ""},
        {"compatible", "", "something-else", ""},
    };
    ez_catalogue *catalogue = given_sample();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const candidate *c = &cases[i];
        ez_claim claim;
        char name[EZ_CATALOGUE_NAME_MAX];
        ez_slice url = {(const uint8_t *)c->base_url, strlen(c->base_url)};
        ez_slice model = {(const uint8_t *)c->model, strlen(c->model)};
        bool found = ez_catalogue_find(catalogue, c->type, url, model, &claim, name);

        cr_expect_eq(found, c->found[0] != 0, "%s %s", c->type, c->model);
        cr_expect_str_eq(name, c->found, "%s %s", c->type, c->model);
        cr_expect(found || (!claim.vision && !claim.functions && !claim.stream && claim.context_window == 0));
    }
    ez_catalogue_close(catalogue);
}

static ez_claim find(const ez_catalogue *catalogue, const char *type, const char *base_url, const char *model) {
    ez_claim claim;
    char name[EZ_CATALOGUE_NAME_MAX];
    ez_catalogue_find(catalogue, type, (ez_slice){(const uint8_t *)base_url, strlen(base_url)},
                      (ez_slice){(const uint8_t *)model, strlen(model)}, &claim, name);
    return claim;
}

Test(catalogue, what_several_entries_say_is_what_all_of_them_say) {
    ez_catalogue *catalogue = given_sample();
    ez_claim claim = find(catalogue, "openai", "", "gpt-4o-2099-01-01");
    cr_assert_eq(claim.max_output_tokens, 4096, "of 16384 and 4096");
    cr_assert_eq(claim.cost, 15000000000, "of 10 and 15");
    cr_assert(claim.vision && claim.functions && claim.tool_choice && claim.stream);
    claim = find(catalogue, "compatible", "http://10.0.0.7", "llama-3.3-70b-instruct");
    cr_assert_eq(claim.context_window, 128000);
    cr_assert_not(claim.functions, "one of two has none");
    claim = find(catalogue, "compatible", "https://api.deepseek.com", "deepseek-chat");
    cr_assert(claim.functions && claim.tool_choice, "the catalogue says so itself");
    claim = find(catalogue, "compatible", "https://api.deepseek.com", "deepseek-reasoner");
    cr_assert(claim.functions && !claim.tool_choice, "nothing is known of its protocol");
    claim = find(catalogue, "compatible", "", "my-own-embedder");
    cr_assert_eq(claim.kind, EZ__V1__MODEL_KIND__MODEL_KIND_EMBEDDING, "a name says that much");
    claim = find(catalogue, "compatible", "", "rerank-v3.5");
    cr_assert(claim.kind == EZ__V1__MODEL_KIND__MODEL_KIND_RERANK && !claim.stream && !claim.has_cost);
    ez_catalogue_close(catalogue);
}
