// SPDX-License-Identifier: Apache-2.0
//
// Files that mean harm, or were damaged (traps 13 and 14): a plan is refused or made, and never takes more than a few
// times the file. Large files stand here at a fraction of their size; EZ_TEST_LARGE=1 runs them whole.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "tests/unit/import/support/loader.h"

static const char small[] =
    "{\"version\":\"1.0.0\",\"source\":{\"type\":\"newapi\",\"version\":\"unknown\"},\"data\":{\"providers\":["
    "{\"original_id\":1,\"name\":\"p\",\"type\":\"ollama\",\"api_key\":\"k\",\"models\":[\"m\",\"n\"],\"all_groups\":["
    "\"g.1\"],"
    "\"weight\":2,\"is_multi_key\":true,\"original_name\":\"o\"}],\"masters\":[{\"name\":\"a\",\"namespaces\":[\"\","
    "\"g.1\"],"
    "\"max_child_keys\":1}],\"keys\":[{\"master_ref\":\"a\",\"original_token\":\"t\",\"allow_ips\":[\" 10.0.0.1\\n\"],"
    "\"expires_at\":\"2030-01-01T00:00:00Z\",\"quota_limit\":-5,\"quota_used\":7,\"namespaces\":[\"v/"
    "2\"]},{\"master_ref\":"
    "\"a\",\"original_token\":\"sk-u\\u00e9\"}],\"bindings\":[{\"namespace\":\"g.1\",\"route_group\":\"g.1\",\"model\":"
    "\"m\","
    "\"status\":\"active\"}]},\"warnings\":[\"w\"]}";

// A file that can't be is refused in one line, which is valid UTF-8 or not, but is there.
static void expect_verdict(ez_loader *l, ez_status status) {
    if (status == EZ_OK)
        return;
    cr_assert_eq(status, EZ_INVALID_ARGUMENT, "%s: %s", ez_status_name(status), l->error.message);
    cr_assert(l->error.message[0] && l->error.reason[0]);
}

Test(import_hostile, cut_short_at_every_byte) {
    ez_loader *l = given_planner();
    l->include_bindings = true;
    for (size_t len = 0; len < sizeof small - 1; len++) {
        ez_status status = load_bytes(l, small, len);
        cr_assert_eq(status, EZ_INVALID_ARGUMENT, "%zu bytes of it were taken", len);
        cr_assert_eq(l->batches, 0);
    }
    cr_assert_eq(load_bytes(l, small, sizeof small - 1), EZ_OK, "%s", l->error.message);
    cr_assert_eq(l->counts[EZ_PLAN_MASTERS][1], 1);
    end_loader(l);
}

static uint32_t next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

Test(import_hostile, changed_at_random, .timeout = 100) {
    static const char bytes[] = "\"\\{}[],:0-.eE \n\xff\x80tnf";
    ez_loader *l = given_planner();
    l->include_bindings = true;
    uint32_t state = 20260101;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof small];
        memcpy(text, small, sizeof small);
        for (uint32_t changes = next(&state) % 4 + 1; changes > 0; changes--)
            text[next(&state) % (sizeof small - 1)] = bytes[next(&state) % (sizeof bytes - 1)];
        l->dry_run = round % 2;
        expect_verdict(l, load_bytes(l, text, sizeof small - 1));
    }
    end_loader(l);
}

Test(import_hostile, depth_is_refused_at_once) {
    ez_loader *l = given_planner();
    size_t len = 8u << 20;
    ez_autofree char *text = malloc(len);
    int head = sprintf(text, "{\"version\":\"1.0.0\",\"x\":");
    memset(text + head, '[', len - (size_t)head);
    cr_assert_eq(load_bytes(l, text, len), EZ_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(l->error.message, "nested deeper than 64 at byte"), "%s", l->error.message);
    memset(text, '[', len);
    cr_assert_eq(load_bytes(l, text, len), EZ_INVALID_ARGUMENT);
    end_loader(l);
}

// A gigabyte, most of which is a hole in the file.
Test(import_hostile, a_gigabyte_of_nothing) {
    ez_loader *l = given_planner();
    ez_export *export = NULL;
    cr_assert_eq(truncate(l->path, 1 << 30), 0);
    cr_assert_eq(ez_export_open(l->path, &export, &l->error), EZ_INVALID_ARGUMENT);
    int fd = open(l->path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "[[[[[[[[", 8, 0), 8);
    close(fd);
    cr_assert_eq(ez_export_open(l->path, &export, &l->error), EZ_INVALID_ARGUMENT);
    cr_assert_null(export);
    end_loader(l);
}

// One element of 3 MiB once made a batch no call could carry, and with it ended the import.
Test(import_hostile, one_huge_element_fails_alone) {
    ez_loader *l = given_planner();
    size_t room = 6u << 20;
    ez_autofree char *text = malloc(room);
    char *at =
        text + sprintf(text, "'providers':[{'original_id':1,'name':'p','type':'openai','api_key':'k','models':[");
    for (int i = 0; at < text + (3u << 20); i++)
        at += sprintf(at, "%s'model-%d'", i ? "," : "", i);
    at += sprintf(at, "]},{'original_id':2,'name':'q','type':'openai','api_key':'k'},{'original_id':3,'name':'");
    memset(at, 'x', 2u << 20);
    sprintf(at + (2u << 20), "','type':'openai','api_key':'k'}],'masters':[{'name':'a','x':'%*s'},{'name':'b'}]",
            1 << 10, "");
    load(l, "%s", text);
    expect_counts(l, EZ_PLAN_PROVIDERS, 2, 0, 0, 1);
    expect_failure(l, "provider groups[0]", "models");
    expect_counts(l, EZ_PLAN_MASTERS, 2, 0, 0, 0);
    end_loader(l);
}

Test(import_hostile, what_is_too_large_to_decode_fails_alone) {
    ez_loader *l = given_planner();
    size_t size = (4u << 20) + 100;
    ez_autofree char *text = malloc(size + 200);
    int head = sprintf(text, "'keys':[{'x':[");
    memset(text + head, ' ', size);
    sprintf(text + (size_t)head + size, "]}],'masters':[{'name':'a'}]");
    load(l, "%s", text);
    expect_counts(l, EZ_PLAN_MASTERS, 1, 0, 0, 0);
    expect_failure(l, "keys[0]", "it is too large");
    end_loader(l);
}

// Large rows one after the other: each batch must still fit a call, in a dry run with what it brings along too.
static void large_rows(bool dry_run) {
    ez_loader *l = given_planner();
    l->dry_run = dry_run;
    l->include_bindings = true;
    ez_autofree char *models = malloc(10000 * 112);
    ez_autofree char *text = malloc(12u << 20);
    char *at = models;
    for (int i = 0; i < 10000; i++)
        at += sprintf(at, "%s'%0100d'", i ? "," : "", i);
    at = text + sprintf(text, "'providers':[");
    for (int i = 0; i < 8; i++)
        at += sprintf(at, "%s{'original_id':%d,'name':'p%d','type':'openai','api_key':'k','models':[%s]}", i ? "," : "",
                      i + 1, i, models);
    sprintf(at,
            "],'bindings':[{'namespace':'x','route_group':'default','model':'%0100d'},"
            "{'namespace':'y','route_group':'default','model':'%0100d'}]",
            7, 8);
    load(l, "%s", text);
    expect_counts(l, EZ_PLAN_PROVIDERS, 8, 0, 0, 0);
    expect_counts(l, EZ_PLAN_BINDINGS, 16, 0, 0, 0);
    cr_assert_lt(l->largest, 3500000);
    cr_assert_gt(l->largest, 1000000);
    end_loader(l);
}

Test(import_hostile, large_rows_fit_their_calls) {
    large_rows(false);
}

Test(import_hostile, large_rows_fit_their_calls_in_a_dry_run) {
    large_rows(true);
}

// Each list of a key was once searched for each of its elements.
Test(import_hostile, a_list_of_three_hundred_thousand, .timeout = 60) {
    ez_loader *l = given_planner();
    ez_autofree char *text = malloc(8u << 20);
    char *at = text + sprintf(text, "'keys':[{'master_ref':'a','original_token':'t','model_limits':[");
    for (int i = 0; i < 300000; i++)
        at += sprintf(at, "%s'%d'", i ? "," : "", i);
    sprintf(at, "]}]");
    load(l, "%s", text);
    expect_failure(l, "keys[0]", "model_limits");
    end_loader(l);
}

// Every row of a batch fails: the next batch is looked for without end of memory or of time.
Test(import_hostile, nothing_but_rows_that_fail) {
    ez_loader *l = given_planner();
    ez_autofree char *text = malloc(4u << 20);
    char *at = text + sprintf(text, "'keys':[");
    for (int i = 0; i < 50000; i++)
        at += sprintf(at, "%s{'master_ref':'a','x':'%030d'}", i ? "," : "", i);
    sprintf(at, "]");
    load(l, "%s", text);
    expect_counts(l, EZ_PLAN_KEYS, 0, 0, 0, 50000);
    cr_assert_eq(l->batches, 1, "only that of the namespace default");
    end_loader(l);
}

// Two thousand channels with as many models each, all in one group: four million bindings from one line per model.
Test(import_hostile, bindings_that_multiply_are_refused, .timeout = 60) {
    ez_loader *l = given_planner();
    l->include_bindings = true;
    ez_autofree char *models = malloc(1500 * 8);
    ez_autofree char *text = malloc(24u << 20);
    char *at = models;
    for (int i = 0; i < 1500; i++)
        at += sprintf(at, "%s'%04d'", i ? "," : "", i);
    at = text + sprintf(text, "{\"version\":\"1.0.0\",\"data\":{'providers':[");
    for (int i = 0; i < 1500; i++)
        at += sprintf(at, "%s{'original_id':%d,'name':'p%d','type':'openai','models':[%s]}", i ? "," : "", i + 1, i,
                      models);
    at += sprintf(at, "],'bindings':[");
    for (int i = 0; i < 1500; i++)
        at += sprintf(at, "%s{'namespace':'x','route_group':'default','model':'%04d'}", i ? "," : "", i);
    at += sprintf(at, "]}}");
    for (char *c = text; c < at; c++)
        if (*c == '\'')
            *c = '"';
    cr_assert_eq(load_bytes(l, text, (size_t)(at - text)), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(l->error.reason, "EXPORT_TOO_LARGE");
    cr_assert_eq(l->batches, 0);
    end_loader(l);
}

// ---- Memory

static size_t write_keys(const char *path, size_t bytes) {
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    size_t len = (size_t)fprintf(
        file, "{\"version\":\"1.0.0\",\"data\":{\"masters\":[{\"name\":\"a\",\"max_child_keys\":5}],\"keys\":[");
    for (unsigned i = 0; len < bytes; i++)
        len += (size_t)fprintf(file,
                               "%s{\"master_ref\":\"a\",\"name\":\"key "
                               "%u\",\"original_token\":\"%048u\",\"group\":\"default\",\"status\":\"active\","
                               "\"scopes\":[\"chat\"],\"namespaces\":[\"default\"],\"quota_limit\":500000,\"quota_"
                               "used\":%u,\"_original_id\":%u}",
                               i ? "," : "", i, i, i, i);
    len += (size_t)fprintf(file, "]}}");
    cr_assert_eq(fclose(file), 0);
    return len;
}

static ez_status drop(size_t *rows, ez_plan *plan) {
    for (;;) {
        ez_auto(ez_arena) arena;
        ez_arena_init(&arena, 256u << 20);
        Ez__V1__ApplyImportRequest *request;
        ez_plan_kind kind;
        ez_error error = EZ_ERROR_INIT;
        ez_status status = ez_plan_next(plan, &arena, &kind, &request, &error);
        if (status != EZ_OK || !request)
            return status;
        *rows += request->n_rows;
    }
}

static void ignore_failed(void *user, ez_plan_kind kind, int64_t index, const char *reason) {
    (void)user, (void)kind;
    cr_assert_fail("row %lld: %s", (long long)index, reason);
}

static void ignore_warned(void *user, const char *text) {
    (void)user, (void)text;
}

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#define IS_SANITIZED __has_feature(address_sanitizer)
#else
#define IS_SANITIZED 0
#endif

// The most memory this process had, in bytes.
static size_t peak(void) {
    struct rusage usage;
    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

Test(import_hostile, memory_is_a_few_times_the_file, .timeout = 110) {
    ez_loader *l = given_planner();
    size_t wanted = IS_SANITIZED ? 2u << 20 : 20u << 20;
    size_t len = write_keys(l->path, getenv("EZ_TEST_LARGE") ? 200u << 20 : wanted);
    size_t before = peak(), rows = 0;
    ez_export *export = NULL;
    ez_plan *plan = NULL;
    ez_plan_options options = {.failed = ignore_failed, .warned = ignore_warned};
    cr_assert_eq(ez_export_open(l->path, &export, &l->error), EZ_OK, "%s", l->error.message);
    cr_assert_eq(ez_plan_make(export, &options, &plan, &l->error), EZ_OK, "%s", l->error.message);
    cr_assert_eq(drop(&rows, plan), EZ_OK);
    cr_assert_gt(rows, len / 400);
    size_t used = peak() - before; // a sanitizer keeps what was freed
    cr_assert(IS_SANITIZED || used < 3 * len, "%zu bytes for a file of %zu", used, len);
    ez_plan_free(plan);
    ez_export_close(export);
    end_loader(l);
}
