// SPDX-License-Identifier: Apache-2.0
//
// Syncs of a catalogue from files and URLs, good and bad: what becomes of the models, of models_meta and of the copy in
// EZ_HOME, and what whoever asked is told. The servers are real ones on loopback.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/clock.h"
#include "server/domain/routing/models/catalogue_json.h"
#include "tests/support/folder.h"
#include "tests/support/receiver.h"
#include "tests/support/wait.h"
#include "tests/unit/access/support/world.h"

#define SMALL     "{\"openai\":{\"models\":{\"o3\":{\"limit\":{\"context\":1000}}}}}"
#define SMALL_TWO "{\"openai\":{\"models\":{\"o3\":{\"limit\":{\"context\":2000}}}}}"
#define HEAD(status, more, body_len)                                                                                   \
    "HTTP/1.1 " status "\r\n" more "Content-Length: " body_len "\r\nConnection: close\r\n\r\n"
#define FRESH(etag, body) "HTTP/1.1 200 OK\r\n" etag "Connection: close\r\n\r\n" body

static world *w;
static char home[EZ_TEST_PATH_MAX], file[EZ_TEST_PATH_MAX + 32];
static ez_outbound *outbound;
static ez_model_sync *sync_;
static ez_error error;
static atomic_bool leads;
static atomic_ullong token;

static void must(ez_status got, const ez_error *why) {
    cr_assert_eq(got, EZ_OK, "%s: %s", why->reason, why->message);
}

static void must_fail(ez_status code, const char *reason, ez_status got, const ez_error *why) {
    cr_assert(got == code && strcmp(why->reason, reason) == 0, "wanted %s %s, got %s %s: %s", ez_status_name(code),
              reason, ez_status_name(got), got ? why->reason : "", got ? why->message : "");
}

static bool is_leading(void *user, uint64_t *fence) {
    *fence = atomic_load(&token);
    (void)user;
    return atomic_load(&leads);
}

static uint64_t take_lease(const char *holder) {
    ez_store_lease lease;
    must(ez_store_take_lease(w->store, holder, 60000, 10000, &lease, &error), &error);
    cr_assert_str_eq(lease.holder, holder);
    return lease.token;
}

static void begin(void) {
    w = given_world();
    atomic_store(&token, take_lease("this one"));
    given_folder(home);
    snprintf(file, sizeof file, "%s/models.json", home);
    atomic_store(&leads, false);
    ez_error_clear(&error);
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'o3'");
    given_api_key(w, group->id, "main");
    given_binding(w, "o3", group->id);
}

static void end_sync(void) {
    ez_model_sync_stop(sync_);
    if (outbound)
        ez_outbound_stop(outbound);
    ez_model_sync_destroy(sync_);
    ez_outbound_destroy(outbound);
    sync_ = NULL;
    outbound = NULL;
}

static void end(void) {
    end_sync();
    end_world(w);
    remove_folder(home);
}

TestSuite(model_sync, .init = begin, .fini = end, .timeout = 120);

static ez_status try_sync(const char *file_or_null, const char *url, const ez_outbound_options *out) {
    must(ez_outbound_create(out, &outbound, &error), &error);
    ez_model_sync_options options = {.directory = w->directory,
                                     .writer = w->writer,
                                     .deriver = w->deriver,
                                     .outbound = outbound,
                                     .file = file_or_null,
                                     .url = url,
                                     .home = home,
                                     .interval_ms = 3600000,
                                     .holder = {.is_holder = is_leading}};
    return ez_model_sync_create(&options, &sync_, &error);
}

// Nothing runs by itself: the server does not lead.
static void given_sync(const char *file_or_null, const char *url) {
    ez_outbound_options out = {.allow = "127.0.0.1"};
    must(try_sync(file_or_null, url, &out), &error);
    give_sync(w, sync_);
}

static void given_file(const char *text) {
    write_file(file, text, strlen(text));
}

static Ez__V1__SyncModelsResponse *sync_ok(void) {
    return expect_ok(w, "Models/Sync", "{}");
}

static Ez__V1__ModelsMeta *meta(void) {
    return expect_ok(w, "Models/GetMeta", "{}");
}

static int64_t window(void) {
    return ((Ez__V1__Model *)expect_ok(w, "Models/Get", "{'name':'default.o3'}"))->context_window;
}

// Fails, says so in models_meta, and the models stay.
static void expect_failed(ez_status code, const char *reason, const char *part, int64_t kept_window) {
    ez_status status = call(w, "Models/Sync", NULL, "{}");
    must_fail(code, reason, status, &w->error);
    cr_assert_not_null(strstr(w->error.message, part), "\"%s\" does not say \"%s\"", w->error.message, part);
    char message[EZ_ERROR_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", w->error.message);
    const Ez__V1__ModelsMeta *now = meta();
    cr_assert_str_eq(now->last_error, message);
    cr_assert_str_eq(now->last_error_reason, reason);
    cr_assert_not_null(now->last_error_at);
    cr_assert_eq(window(), kept_window, "the last good catalogue stays");
}

// ---- Files

Test(model_sync, a_file_is_taken_and_a_second_time_changes_nothing) {
    given_file(SMALL);
    given_sync(file, NULL);
    const Ez__V1__SyncModelsResponse *did = sync_ok();
    cr_assert(did->catalogue_changed);
    cr_assert_eq(did->models_changed, 1);
    cr_assert_eq(window(), 1000);
    const Ez__V1__ModelsMeta *first = meta();
    cr_assert_str_eq(first->source, "file");
    cr_assert_str_eq(first->upstream_url, "file:models.json");
    cr_assert_eq(strncmp(first->upstream_ref, "sha256:", 7), 0);
    cr_assert(first->models == 1 && first->catalogue_models == 1);
    cr_assert_not_null(first->checked_at);
    cr_assert_eq(strtoll(first->version, NULL, 10) / 1000000000, first->updated_at->seconds);
    uint64_t before = head_of(w);
    did = sync_ok();
    cr_assert_not(did->catalogue_changed);
    cr_assert_eq(did->models_changed, 0);
    cr_assert_eq(head_of(w), before, "what changes nothing writes nothing");
    cr_assert_str_eq(meta()->version, first->version);
    // Another catalogue: another version.
    given_file(SMALL_TWO);
    cr_assert_eq(sync_ok()->models_changed, 1);
    cr_assert_eq(window(), 2000);
    cr_assert_str_neq(meta()->checksum, first->checksum);
    cr_assert_gt(strtoll(meta()->version, NULL, 10), strtoll(first->version, NULL, 10));
}

Test(model_sync, a_bad_file_leaves_the_last_good_catalogue) {
    given_file(SMALL);
    given_sync(file, NULL);
    sync_ok();
    const Ez__V1__ModelsMeta *good = meta();
    given_file("{\"openai\":");
    expect_failed(EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "byte 10", 1000);
    cr_assert_str_eq(meta()->version, good->version, "an error is no other catalogue");
    Google__Protobuf__Timestamp since = *meta()->last_error_at;
    uint64_t before = head_of(w);
    expect_failed(EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "byte 10", 1000);
    cr_assert_eq(head_of(w), before, "the same error again is nothing new");
    cr_assert_eq(meta()->last_error_at->nanos, since.nanos);
    given_file("{\"openai\":{\"id\":\"openai\"}}");
    expect_failed(EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "no models", 1000);
    unlink(file);
    expect_failed(EZ_FAILED_PRECONDITION, "MODELS_FILE_UNREADABLE", "No such file", 1000);
    cr_assert_eq(mkdir(file, 0700), 0);
    expect_failed(EZ_FAILED_PRECONDITION, "MODELS_FILE_UNREADABLE", "no regular file", 1000);
    cr_assert_eq(rmdir(file), 0);
    cr_assert_eq(mkfifo(file, 0600), 0);
    expect_failed(EZ_FAILED_PRECONDITION, "MODELS_FILE_UNREADABLE", "no regular file", 1000);
    unlink(file);
    given_file("");
    cr_assert_eq(truncate(file, 200 << 20), 0);
    expect_failed(EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE", "209715200 bytes", 1000);
    given_file(SMALL);
    sync_ok();
    cr_assert_str_eq(meta()->last_error, "");
    cr_assert_null(meta()->last_error_at);
    cr_assert_str_eq(meta()->version, good->version);
    given_file(" {\n}");
    sync_ok();
    cr_assert_eq(meta()->catalogue_models, 0, "that is how a catalogue is cleared");
}

// ---- URLs

Test(model_sync, a_url_is_asked_for_what_is_new) {
    const ez_test_answer answers[] = {{.data = FRESH("ETag: \"one\"\r\n", SMALL)},
                                      {.data = HEAD("304 Not Modified", "ETag: \"one\"\r\n", "0")},
                                      {.data = FRESH("ETag: \"one\"\r\n", SMALL_TWO)},
                                      {.data = FRESH("ETag: \"two\"\r\n", SMALL)}};
    ez_test_receiver *receiver = given_receiver(answers, 4);
    given_sync(NULL, receiver_url(receiver, "/api.json?token=hidden"));
    cr_assert(sync_ok()->catalogue_changed);
    cr_assert_null(receiver_header(receiver, 0, "If-None-Match"));
    const Ez__V1__ModelsMeta *first = meta();
    cr_assert_str_eq(first->source, "url");
    cr_assert_str_eq(first->upstream_ref, "one");
    cr_assert_null(strstr(first->upstream_url, "hidden"), "%s", first->upstream_url);
    cr_assert_not_null(strstr(first->upstream_url, "/api.json"));
    uint64_t before = head_of(w);
    cr_assert_not(sync_ok()->catalogue_changed);
    cr_assert_str_eq(receiver_header(receiver, 1, "If-None-Match"), "\"one\"");
    cr_assert_eq(head_of(w), before);
    // An ETag that lies: it is the same, what came is not. What came counts.
    cr_assert(sync_ok()->catalogue_changed);
    cr_assert_eq(window(), 2000);
    // Whoever does not believe it may ask for all of it.
    expect_ok(w, "Models/Sync", "{'force':true}");
    cr_assert_null(receiver_header(receiver, 3, "If-None-Match"));
    cr_assert_eq(window(), 1000);
    cr_assert_str_eq(meta()->upstream_ref, "two");
    end_sync();
    end_receiver(receiver);
}

Test(model_sync, a_copy_that_was_damaged_or_is_of_another_url_is_not_used) {
    const ez_test_answer answers[] = {{.data = FRESH("ETag: \"one\"\r\n", SMALL)}};
    ez_test_receiver *receiver = given_receiver(answers, 1);
    char url[256], copy[EZ_TEST_PATH_MAX + 32];
    snprintf(url, sizeof url, "%s", receiver_url(receiver, "/api.json"));
    snprintf(copy, sizeof copy, "%s/models.copy", home);
    given_sync(NULL, url);
    sync_ok();
    struct stat info;
    cr_assert_eq(stat(copy, &info), 0);
    cr_assert_eq(info.st_mode & 0777, 0600);
    ez_autofree char *text = read_file(copy);
    text[strlen(text) - 5] ^= 1;
    write_file(copy, text, strlen(text));
    sync_ok();
    cr_assert_null(receiver_header(receiver, 1, "If-None-Match"), "its hash is wrong");
    sync_ok();
    cr_assert_not_null(receiver_header(receiver, 2, "If-None-Match"), "it was written anew");
    end_sync();
    given_sync(NULL, receiver_url(receiver, "/other.json"));
    sync_ok();
    cr_assert_null(receiver_header(receiver, 3, "If-None-Match"), "it is of another URL");
    end_sync();
    end_receiver(receiver);
}

Test(model_sync, replies_that_are_of_no_use_are_told) {
    static const char endless[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1";
    const ez_test_answer answers[] = {
        {.data = FRESH("", SMALL)},
        {.data = HEAD("304 Not Modified", "", "0")},
        {.data = HEAD("503 Service Unavailable", "", "0")},
        {.data = HEAD("302 Found", "Location: http://169.254.169.254/latest/meta-data\r\n", "0")},
        {.data = FRESH("Content-Encoding: gzip\r\n", "\x1f\x8b\x08")},
        {.data = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" SMALL},
        {.data = FRESH("", "<html>")},
        {.data = FRESH("", "{}")},
        {.data = endless, .again = 64},
        {.data = NULL},
    };
    ez_test_receiver *receiver = given_receiver(answers, sizeof answers / sizeof answers[0]);
    given_sync(NULL, receiver_url(receiver, "/"));
    sync_ok();
    expect_failed(EZ_UNAVAILABLE, "CATALOGUE_REFUSED", "answered 304", 1000); // nothing was known to be the same
    expect_failed(EZ_UNAVAILABLE, "CATALOGUE_REFUSED", "answered 503", 1000);
    expect_failed(EZ_UNAVAILABLE, "CATALOGUE_REFUSED", "redirects are not followed", 1000);
    expect_failed(EZ_UNAVAILABLE, "CATALOGUE_REFUSED", "compressed (gzip)", 1000);
    expect_failed(EZ_UNAVAILABLE, "REPLY_BROKEN", "did not come whole", 1000);
    expect_failed(EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "byte 0", 1000);
    expect_failed(EZ_INVALID_ARGUMENT, "CATALOGUE_INVALID", "no models", 1000);
    expect_failed(EZ_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", "16777216 bytes", 1000);
    expect_failed(EZ_UNAVAILABLE, "REPLY_BROKEN", "did not come whole", 1000);
    cr_assert_eq(receiver_connections(receiver), 10, "one each, and none where the redirect leads");
    end_sync();
    end_receiver(receiver);
}

Test(model_sync, a_url_that_leads_inside_is_refused) {
    ez_outbound_options out = {.allow = NULL};
    must_fail(EZ_INVALID_ARGUMENT, "URL_NOT_HTTPS", try_sync(NULL, "http://models.example/", &out), &error);
    end_sync();
    must_fail(EZ_INVALID_ARGUMENT, "URL_NOT_ALLOWED", try_sync(NULL, "https://127.0.0.1/", &out), &error);
    cr_assert_not_null(strstr(error.message, "EZ_MODELS_URL"));
    end_sync();
    must_fail(EZ_INVALID_ARGUMENT, "MODELS_SET_TWICE", try_sync("a", "https://models.example/", &out), &error);
    end_sync();
    const char *const resolve[] = {"models.example:443:10.0.0.1", NULL};
    out.resolve = resolve;
    must(try_sync(NULL, "https://models.example/api.json", &out), &error);
    give_sync(w, sync_);
    expect_failed(EZ_PERMISSION_DENIED, "ADDRESS_REFUSED", "10.0.0.1", 0);
}

Test(model_sync, the_copy_serves_a_new_store_while_the_url_is_away) {
    const ez_test_answer answers[] = {{.data = FRESH("ETag: \"one\"\r\n", SMALL)}, {.data = HEAD("500 Oops", "", "0")}};
    ez_test_receiver *receiver = given_receiver(answers, 2);
    given_sync(NULL, receiver_url(receiver, "/"));
    sync_ok();
    end_sync();
    end_world(w);
    w = given_world();
    Ez__V1__ProviderGroup *group = given_group(w, "main", "'o3'");
    given_api_key(w, group->id, "main");
    given_binding(w, "o3", group->id);
    given_sync(NULL, receiver_url(receiver, "/"));
    expect_failed(EZ_UNAVAILABLE, "CATALOGUE_REFUSED", "answered 500", 1000);
    cr_assert_str_eq(meta()->source, "cache");
    cr_assert_str_eq(meta()->upstream_ref, "one");
    end_sync();
    end_receiver(receiver);
}

// ---- Who is told, and when

typedef struct asked {
    ez_hold hold; // first
    atomic_int answers;
    ez_status status;
} asked;

static void on_answer(ez_hold *hold, ez_status status) {
    asked *one = (asked *)hold;
    one->status = status;
    atomic_fetch_add(&one->answers, 1);
}

static void ask_for(asked *one, uint64_t deadline_ms) {
    memset(one, 0, sizeof *one);
    cr_assert_eq(ez_call_create_system("test", &one->hold.call), EZ_OK);
    one->hold.call->deadline_ns = ez_clock_mono_ns() + deadline_ms * 1000000u;
    one->hold.done = on_answer;
}

static void expect_answer(asked *one, ez_status code, const char *reason) {
    expect_soon((ez_model_sync_tick(sync_), atomic_load(&one->answers) > 0));
    must_fail(code, reason, one->status, &one->hold.call->error);
}

static void forget(asked *all, size_t count) {
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(atomic_load(&all[i].answers), 1, "exactly once");
        ez_call_destroy_system(all[i].hold.call);
    }
}

Test(model_sync, calls_that_wait_share_a_sync_or_are_told_that_it_takes_too_long) {
    static asked all[EZ_MODEL_SYNC_CALLS + 1];
    const ez_test_answer answers[] = {{.data = "HTTP/1.1 200 OK\r\n", .hangs = true}};
    ez_test_receiver *receiver = given_receiver(answers, 1);
    given_sync(NULL, receiver_url(receiver, "/"));
    for (int i = 0; i < EZ_MODEL_SYNC_CALLS; i++) {
        ask_for(&all[i], i == 0 ? 50 : 3600000);
        must(ez_model_sync_ask(sync_, &all[i].hold, false, &error), &error);
    }
    ask_for(&all[EZ_MODEL_SYNC_CALLS], 1000);
    must_fail(EZ_RESOURCE_EXHAUSTED, "SYNC_QUEUE_FULL",
              ez_model_sync_ask(sync_, &all[EZ_MODEL_SYNC_CALLS].hold, false, &error), &error);
    ez_call_destroy_system(all[EZ_MODEL_SYNC_CALLS].hold.call);
    expect_soon(receiver_count(receiver) > 0);
    expect_answer(&all[0], EZ_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    cr_assert(meta()->syncing, "it goes on");
    // A stop answers the others at once, and does not wait for the peer.
    ez_model_sync_stop(sync_);
    for (int i = 1; i < EZ_MODEL_SYNC_CALLS; i++)
        expect_answer(&all[i], EZ_UNAVAILABLE, "STOPPING");
    cr_assert(receiver_connections(receiver) <= 2, "%zu", receiver_connections(receiver));
    end_sync();
    forget(all, EZ_MODEL_SYNC_CALLS);
    end_receiver(receiver);
}

Test(model_sync, nothing_to_sync_is_told) {
    given_sync(NULL, NULL);
    expect_error(w, EZ_FAILED_PRECONDITION, "MODELS_NOT_SET", "EZ_MODELS_FILE", "Models/Sync", "{}");
    cr_assert_str_eq(meta()->source, "none");
}

Test(model_sync, the_leader_syncs_by_itself_and_keeps_the_meta_in_step) {
    given_file(SMALL);
    given_sync(file, NULL);
    cr_assert_eq(window(), 0, "this server does not lead");
    atomic_store(&leads, true);
    expect_soon(window() == 1000);
    expect_soon(meta()->models == 1);
    char before[EZ_TEST_PATH_MAX];
    snprintf(before, sizeof before, "%s", meta()->checksum);
    given_binding(w, "other", 1);
    expect_soon(meta()->models == 2);
    cr_assert_str_neq(meta()->checksum, before);
    expect_ok(w, "Bindings/Delete", "{'id':2}");
    expect_soon(meta()->models == 1);
    cr_assert_str_eq(meta()->checksum, before);
}

Test(model_sync, a_leader_that_was_overtaken_writes_nothing) {
    given_file(SMALL);
    given_sync(file, NULL);
    uint64_t newer = take_lease("another one"), before = head_of(w);
    cr_assert_gt(newer, atomic_load(&token));
    atomic_store(&leads, true); // it does not know yet
    int64_t checked_ns = 0;
    bool is_busy;
    expect_soon((ez_model_sync_state(sync_, &checked_ns, &is_busy), checked_ns != 0));
    cr_assert_eq(head_of(w), before, "neither catalogue nor meta");
    // An admin's word counts whoever leads.
    cr_assert_eq(sync_ok()->models_changed, 1);
    cr_assert_eq(window(), 1000);
}

Test(model_sync, a_lease_that_comes_back_finds_the_sync_due) {
    given_file(SMALL);
    given_sync(file, NULL);
    uint64_t newer = take_lease("another one");
    atomic_store(&leads, true);
    int64_t checked_ns = 0;
    bool is_busy;
    expect_soon((ez_model_sync_state(sync_, &checked_ns, &is_busy), checked_ns != 0));
    cr_assert_eq(window(), 0);
    atomic_store(&token, newer);
    expect_soon(window() == 1000 && meta()->models == 1);
}
