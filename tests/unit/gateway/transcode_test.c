// SPDX-License-Identifier: Apache-2.0
//
// Requests become calls, replies become responses: over the schema's real routes, without sockets.
#include "gateway/transcode.h"

#include <criterion/criterion.h>
#include <string.h>

#include "ez/v1/common.pb-c.h"
#include "ez/v1/event.pb-c.h"
#include "ez/v1/key.pb-c.h"

typedef struct scene {
    ez_arena arena;
    ez_router *router;
    ez_router_match match;
    ez_http_request in;
    ez_transcoded call;
    ez_error error;
    ez_status status;
} scene;

static scene s;

static void set_up(void) {
    s = (scene){0};
    ez_arena_init(&s.arena, 64u << 20);
    cr_assert_eq(ez_router_create(ez_routes, ez_route_count, &s.router, &s.error), EZ_OK, "%s", s.error.message);
}

static void tear_down(void) {
    ez_arena_fini(&s.arena);
    ez_router_destroy(s.router);
}

TestSuite(transcode, .init = set_up, .fini = tear_down);

static ez_status when(ez_verb verb, const char *target, const char *body) {
    s.in.verb = verb;
    ez_uri_split(target, &s.in.path, &s.in.query);
    s.in.body = (ez_text){body, body ? strlen(body) : 0};
    ez_error_clear(&s.error);
    cr_assert_eq(ez_router_find(s.router, verb, s.in.path, &s.arena, &s.match, &s.error), EZ_OK, "%s", s.error.message);
    s.status = ez_transcode_request(&s.match, &s.in, "rid", &s.arena, &s.call, &s.error);
    return s.status;
}

static void expect_ok(ez_verb verb, const char *target, const char *body) {
    cr_assert_eq(when(verb, target, body), EZ_OK, "%s: %s", target, s.error.message);
}

static void expect_refused(ez_verb verb, const char *target, const char *body, const char *named) {
    cr_assert_eq(when(verb, target, body), EZ_INVALID_ARGUMENT, "%s %s", target, body ? body : "");
    cr_assert_not_null(strstr(s.error.message, named), "\"%s\" is not in: %s", named, s.error.message);
}

Test(transcode, path_to_field) {
    expect_ok(EZ_VERB_GET, "/admin/keys/9007199254740993", NULL);
    cr_assert_str_eq(s.call.method->name, "ez.v1.Keys/Get");
    cr_assert_eq(((Ez__V1__GetKeyRequest *)s.call.request)->id, 9007199254740993);
    cr_assert(s.call.is_safe);
    cr_assert_eq(s.call.timeout_ms, s.call.method->timeout_ms);
    cr_assert_eq(s.call.header.timeout_ms, 0);
}

Test(transcode, path_that_is_no_number) {
    expect_refused(EZ_VERB_GET, "/admin/keys/abc", NULL, "id");
    expect_refused(EZ_VERB_GET, "/admin/keys/99999999999999999999", NULL, "id");
    expect_refused(EZ_VERB_GET, "/admin/keys/5:nope", NULL, "id");
}

Test(transcode, query_to_fields) {
    expect_ok(EZ_VERB_GET, "/admin/keys?page_size=7&q=a+b%26c&with_total=true&status=active&&", NULL);
    const Ez__V1__ListKeysRequest *request = (Ez__V1__ListKeysRequest *)s.call.request;
    cr_assert_eq(request->page_size, 7);
    cr_assert_str_eq(request->q, "a b&c");
    cr_assert(request->with_total);
    cr_assert_eq(request->status, EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE);
}

Test(transcode, query_faults) {
    expect_refused(EZ_VERB_GET, "/admin/keys?page_sise=7", NULL, "page_sise");
    expect_refused(EZ_VERB_GET, "/admin/keys?page_size=x", NULL, "page_size");
    expect_refused(EZ_VERB_GET, "/admin/keys?q=1&q=2", NULL, "twice");
    expect_refused(EZ_VERB_GET, "/admin/masters/5/keys?master_id=6", NULL, "master_id");
    expect_refused(EZ_VERB_GET, "/admin/keys?validate_only=true", NULL, "validate_only"); // no change
    expect_refused(EZ_VERB_PATCH, "/admin/keys/5?key=x", "{}", "key");
    expect_refused(EZ_VERB_PATCH, "/admin/keys/5?validate_only=maybe", "{}", "validate_only");
    expect_refused(EZ_VERB_PATCH, "/admin/keys/5?wait=forever", "{}", "wait");
    expect_refused(EZ_VERB_GET, "/admin/keys?timeout=5", NULL, "timeout");
}

Test(transcode, fault_30_percent_search) {
    expect_refused(EZ_VERB_GET, "/admin/keys?q=%%%%", NULL, "%");
    expect_refused(EZ_VERB_GET, "/admin/keys?q=%00", NULL, "NUL");
    expect_ok(EZ_VERB_GET, "/admin/keys?q=%25%25%25%25", NULL);
    cr_assert_str_eq(((Ez__V1__ListKeysRequest *)s.call.request)->q, "%%%%");
}

Test(transcode, switches_of_a_change) {
    s.in.if_match = "\"42\"";
    s.in.idempotency_key = "once";
    s.in.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    s.in.user_agent = "test/1";
    s.in.authorization = "Bearer eza_x";
    s.in.remote = "127.0.0.1";
    expect_ok(EZ_VERB_PATCH, "/admin/keys/5?validate_only=true&wait=applied&timeout=1500ms", "{\"name\":\"n\"}");
    const Ez__V1__CallHeader *header = &s.call.header;
    cr_assert(header->validate_only);
    cr_assert_eq(header->wait, EZ__V1__WAIT__WAIT_APPLIED);
    cr_assert_eq(header->timeout_ms, 1500);
    cr_assert_eq(s.call.timeout_ms, 1500);
    cr_assert_eq(header->if_match, 42);
    cr_assert_str_eq(header->idempotency_key, "once");
    cr_assert_str_eq(header->traceparent, s.in.traceparent);
    cr_assert_str_eq(header->client, "test/1");
    cr_assert_str_eq(header->authorization, "Bearer eza_x");
    cr_assert_str_eq(header->remote, "127.0.0.1");
    cr_assert_str_eq(header->request_id, "rid");
}

Test(transcode, headers_that_are_left_out_or_cut) {
    char agent[300];
    memset(agent, 'a', sizeof agent);
    memcpy(agent + 127, "\xc3\xa9", 2); // a character across the cut
    agent[299] = '\0';
    s.in.traceparent = "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    s.in.user_agent = agent;
    s.in.if_match = "\"42\""; // says nothing about a read
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL);
    cr_assert_str_eq(s.call.header.traceparent, "");
    cr_assert_eq(strlen(s.call.header.client), 127);
    cr_assert_eq(s.call.header.if_match, 0);
    s.in.user_agent = "\xff\xff";
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL);
    cr_assert_str_eq(s.call.header.client, "");
}

Test(transcode, fault_29_authorization_that_is_no_credential) {
    char big[600];
    s.in.authorization = "' OR 1=1; DROP TABLE key; --";
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL); // the core says what it thinks of it
    cr_assert_str_eq(s.call.header.authorization, s.in.authorization);
    memset(big, 'a', sizeof big);
    big[599] = '\0';
    s.in.authorization = big;
    cr_assert_eq(when(EZ_VERB_GET, "/admin/keys/5", NULL), EZ_UNAUTHENTICATED);
    cr_assert_null(strstr(s.error.message, "aaaa"));
    s.in.authorization = "Bearer \x01";
    cr_assert_eq(when(EZ_VERB_GET, "/admin/keys/5", NULL), EZ_UNAUTHENTICATED);
}

Test(transcode, idempotency_key_bounds) {
    char key[66];
    memset(key, 'k', sizeof key);
    key[65] = '\0';
    s.in.idempotency_key = key;
    expect_refused(EZ_VERB_DELETE, "/admin/keys/5", NULL, "Idempotency-Key");
    key[64] = '\0';
    expect_ok(EZ_VERB_DELETE, "/admin/keys/5", NULL);
    cr_assert(s.call.is_safe);
    s.in.idempotency_key = "";
    expect_refused(EZ_VERB_DELETE, "/admin/keys/5", NULL, "Idempotency-Key");
    s.in.idempotency_key = NULL;
    expect_ok(EZ_VERB_DELETE, "/admin/keys/5", NULL);
    cr_assert_not(s.call.is_safe);
}

static const Ez__V1__UpdateKeyRequest *update(void) {
    return (const Ez__V1__UpdateKeyRequest *)s.call.request;
}

// Sent again after its answer got lost it would be refused, though it was made.
Test(transcode, a_change_with_if_match_is_not_sent_twice) {
    expect_ok(EZ_VERB_PATCH, "/admin/keys/7", "{\"name\":\"a\"}");
    cr_assert(s.call.is_safe);
    s.in.if_match = "\"42\"";
    expect_ok(EZ_VERB_PATCH, "/admin/keys/7", "{\"name\":\"a\"}");
    cr_assert_not(s.call.is_safe);
    s.in.idempotency_key = "k";
    expect_ok(EZ_VERB_PATCH, "/admin/keys/7", "{\"name\":\"a\"}");
    cr_assert(s.call.is_safe);
}

Test(transcode, mask_is_what_the_body_names) {
    expect_ok(EZ_VERB_PATCH, "/admin/keys/5", "{\"name\":\"\",\"labels\":{\"a\":\"b\"}}");
    cr_assert_eq(update()->id, 5);
    cr_assert_eq(update()->n_update_mask, 2);
    cr_assert_str_eq(update()->update_mask[0], "name");
    cr_assert_str_eq(update()->update_mask[1], "labels");
    cr_assert_str_eq(update()->key->labels[0]->value, "b");
}

Test(transcode, mask_of_the_query_wins) {
    expect_ok(EZ_VERB_PATCH, "/admin/keys/5?update_mask=name,group", "{\"name\":\"x\",\"labels\":{}}");
    cr_assert_eq(update()->n_update_mask, 2);
    cr_assert_str_eq(update()->update_mask[1], "group");
}

Test(transcode, a_list_of_words_may_be_joined) {
    expect_ok(EZ_VERB_GET, "/admin/events?topics=alerts,logs&topics=dataplanes", NULL);
    const Ez__V1__WatchEventsRequest *request = (const Ez__V1__WatchEventsRequest *)s.call.request;
    cr_assert_eq(request->n_topics, 3);
    cr_assert_str_eq(request->topics[1], "logs");
    cr_assert_str_eq(request->topics[2], "dataplanes");
}

Test(transcode, body_beside_the_path) {
    expect_ok(EZ_VERB_PATCH, "/admin/keys/5", "{\"id\":5,\"name\":\"x\"}");
    expect_refused(EZ_VERB_PATCH, "/admin/keys/5", "{\"id\":6,\"name\":\"x\"}", "id");
    expect_refused(EZ_VERB_POST, "/admin/masters/5/keys", "{\"master_id\":6}", "master_id");
    expect_ok(EZ_VERB_POST, "/admin/masters/5/keys", NULL); // an empty body is {}
    cr_assert_eq(((Ez__V1__CreateKeyRequest *)s.call.request)->master_id, 5);
    cr_assert_not_null(((Ez__V1__CreateKeyRequest *)s.call.request)->key);
}

Test(transcode, body_where_none_belongs) {
    expect_ok(EZ_VERB_POST, "/admin/keys/5:rotate", " {} \r\n");
    expect_refused(EZ_VERB_POST, "/admin/keys/5:rotate", "{\"a\":1}", "body");
    expect_refused(EZ_VERB_GET, "/admin/keys/5", "x", "body");
}

Test(transcode, fault_28_bodies) {
    static char deep[20002];
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    cr_assert_eq(when(EZ_VERB_PATCH, "/admin/keys/5", deep), EZ_INVALID_ARGUMENT);
    expect_refused(EZ_VERB_PATCH, "/admin/keys/5", "{\"name\":\"a\",\"name\":\"b\"}", "twice");
    expect_refused(EZ_VERB_PATCH, "/admin/keys/5", "{\"nome\":\"a\"}", "nome");
    cr_assert_eq(when(EZ_VERB_PATCH, "/admin/keys/5", "{\"name\":\"\xff\"}"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(when(EZ_VERB_PATCH, "/admin/keys/5", "{\"name\":\"a\"} x"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(when(EZ_VERB_PATCH, "/admin/keys/5", "[]"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(when(EZ_VERB_PATCH, "/admin/keys/5", "{"), EZ_INVALID_ARGUMENT);
}

Test(transcode, frame_reads_back) {
    ez_buf frame;
    ez_call_header header;
    ez_slice message;
    ez_buf_init(&frame, EZ_CALL_MAX);
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL);
    cr_assert_eq(ez_transcode_frame(&s.call, &frame, &s.error), EZ_OK);
    cr_assert_eq(ez_frame_read_call(frame.data, frame.len, &header, &message, &s.error), EZ_OK, "%s", s.error.message);
    cr_assert_eq(header.method.len, strlen("ez.v1.Keys/Get"));
    cr_assert_arr_eq(header.method.data, "ez.v1.Keys/Get", header.method.len);
    ez_buf_fini(&frame);
}

Test(transcode, frame_that_does_not_fit) {
    ez_buf frame;
    ez_buf_init(&frame, 64);
    expect_ok(EZ_VERB_GET, "/admin/keys?q=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              NULL);
    cr_assert_eq(ez_transcode_frame(&s.call, &frame, &s.error), EZ_RESOURCE_EXHAUSTED);
    ez_buf_fini(&frame);
}

static const char *header(const ez_http_response *response, const char *name) {
    for (unsigned i = 0; i < response->header_count; i++) {
        if (strcmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    }
    return NULL;
}

// A reply of this key to the call in s.
static ez_status reply(const Ez__V1__Key *key, ez_buf *body, ez_http_response *out) {
    Ez__V1__ReplyHeader head = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__Revision revision = EZ__V1__REVISION__INIT;
    Ez__V1__Applied applied = EZ__V1__APPLIED__INIT;
    revision.n = 77;
    applied.planes = 1;
    applied.of = 2;
    head.revision = &revision;
    head.applied = &applied;
    uint8_t *packed = ez_arena_alloc(&s.arena, ez__v1__key__get_packed_size(key) + 1);
    size_t len = ez__v1__key__pack(key, packed);
    *out = (ez_http_response){0};
    ez_buf_init(body, 1 << 20);
    return ez_transcode_reply(&s.call, &s.in, &head, (ez_slice){packed, len}, &s.arena, body, out, &s.error);
}

static Ez__V1__Key some_key(void) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    key.id = 5;
    key.revision = 42;
    key.token = (char *)"sk-shown-once";
    return key;
}

Test(transcode, reply_headers) {
    Ez__V1__Key key = some_key();
    ez_buf body;
    ez_http_response out;
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL);
    cr_assert_eq(reply(&key, &body, &out), EZ_OK, "%s", s.error.message);
    cr_assert_eq(out.status, 200);
    cr_assert_str_eq(header(&out, "ETag"), "\"42\"");
    cr_assert_str_eq(header(&out, "X-EZ-Revision"), "77");
    cr_assert_str_eq(header(&out, "X-EZ-Applied"), "1/2");
    cr_assert_null(header(&out, "Location"));
    cr_assert_not_null(memmem(out.body.data, out.body.len, "\"revision\":42", 13));
    cr_assert_null(memmem(out.body.data, out.body.len, "sk-shown-once", 13)); // Get reveals nothing
    ez_buf_fini(&body);
}

Test(transcode, reply_of_what_was_made) {
    Ez__V1__Key key = some_key();
    ez_buf body;
    ez_http_response out;
    expect_ok(EZ_VERB_POST, "/admin/masters/1/keys", "{}");
    cr_assert_eq(reply(&key, &body, &out), EZ_OK);
    cr_assert_eq(out.status, 201);
    cr_assert_str_eq(header(&out, "Location"), "/admin/keys/5");
    cr_assert_not_null(memmem(out.body.data, out.body.len, "sk-shown-once", 13));
    ez_buf_fini(&body);
    expect_ok(EZ_VERB_POST, "/v1/keys", "{}");
    cr_assert_eq(reply(&key, &body, &out), EZ_OK);
    cr_assert_str_eq(header(&out, "Location"), "/v1/keys/5");
    ez_buf_fini(&body);
}

Test(transcode, reply_not_modified) {
    Ez__V1__Key key = some_key();
    ez_buf body;
    ez_http_response out;
    s.in.if_none_match = "\"41\", \"42\"";
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL);
    cr_assert_eq(reply(&key, &body, &out), EZ_OK);
    cr_assert_eq(out.status, 304);
    cr_assert_null(out.content_type);
    cr_assert_str_eq(header(&out, "ETag"), "\"42\"");
    ez_buf_fini(&body);
    expect_ok(EZ_VERB_PATCH, "/admin/keys/5", "{}"); // only reads may be unmodified
    cr_assert_eq(reply(&key, &body, &out), EZ_OK);
    cr_assert_eq(out.status, 200);
    ez_buf_fini(&body);
}

Test(transcode, reply_without_a_body) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    ez_buf body;
    ez_http_response out;
    expect_ok(EZ_VERB_DELETE, "/admin/keys/5", NULL);
    cr_assert_eq(reply(&key, &body, &out), EZ_OK);
    cr_assert_eq(out.status, 204);
    cr_assert_null(out.content_type);
    cr_assert_eq(body.len, 0);
    ez_buf_fini(&body);
}

Test(transcode, reply_that_is_garbage) {
    Ez__V1__ReplyHeader head = EZ__V1__REPLY_HEADER__INIT;
    ez_http_response out = {0};
    ez_buf body;
    ez_buf_init(&body, 1 << 20);
    expect_ok(EZ_VERB_GET, "/admin/keys/5", NULL);
    ez_slice garbage = {(const uint8_t *)"\xff\xff\xff", 3};
    cr_assert_eq(ez_transcode_reply(&s.call, &s.in, &head, garbage, &s.arena, &body, &out, &s.error), EZ_INTERNAL);
    ez_buf_fini(&body);
}

Test(transcode, reply_error) {
    Ez__V1__ReplyHeader head = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__FieldViolation one = EZ__V1__FIELD_VIOLATION__INIT, *all[20];
    one.field = (char *)"key.name";
    one.description = (char *)"is too long";
    for (int i = 0; i < 20; i++)
        all[i] = &one;
    head.code = EZ__V1__CODE__CODE_NOT_FOUND;
    head.reason = (char *)"KEY_NOT_FOUND";
    head.message = (char *)"no %s key %n"; // a text, not a format
    head.violations = all;
    head.n_violations = 20;
    ez_transcode_reply_error(&(ez_transcoded){.route = NULL}, &head, &s.error);
    cr_assert_eq(s.error.code, EZ_NOT_FOUND);
    cr_assert_str_eq(s.error.message, "no %s key %n");
    cr_assert_eq(s.error.violation_count, EZ_ERROR_VIOLATIONS_MAX);
    cr_assert_str_eq(s.error.violations[7].description, "is too long");
    cr_assert_str_eq(s.error.violations[7].field, "key.name");
}

// Whoever sent {"name": …} has never heard of a "key".
Test(transcode, a_field_of_the_body_is_named_as_the_body_has_it) {
    Ez__V1__ReplyHeader head = EZ__V1__REPLY_HEADER__INIT;
    Ez__V1__FieldViolation one = EZ__V1__FIELD_VIOLATION__INIT, other = EZ__V1__FIELD_VIOLATION__INIT;
    Ez__V1__FieldViolation *all[] = {&one, &other};
    ez_transcoded call = {.route = NULL};
    for (unsigned i = 0; i < ez_route_count; i++)
        if (ez_routes[i].body && strcmp(ez_routes[i].body->name, "features") == 0)
            call.route = &ez_routes[i];
    cr_assert_not_null(call.route);
    one.field = (char *)"features.log_retention_days";
    one.description = other.description = (char *)"is wrong";
    other.field = (char *)"features_of_another";
    head.code = EZ__V1__CODE__CODE_INVALID_ARGUMENT;
    head.reason = (char *)"FIELD_INVALID";
    head.message = (char *)"features.log_retention_days: is wrong";
    head.violations = all;
    head.n_violations = 2;
    ez_transcode_reply_error(&call, &head, &s.error);
    cr_assert_str_eq(s.error.violations[0].field, "log_retention_days");
    cr_assert_str_eq(s.error.violations[1].field, "features_of_another");
    cr_assert_str_eq(s.error.message, "log_retention_days: is wrong");
}
