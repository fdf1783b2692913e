// SPDX-License-Identifier: Apache-2.0
//
// The words of HTTP: media types, codings, entity tags, durations; problem documents; CORS.
#include "gateway/http.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>
#include <zlib.h>

#include "gateway/cors.h"
#include "gateway/gzip.h"
#include "gateway/problem.h"

Test(http, knows_json) {
    cr_expect(ez_http_is_json("application/json"));
    cr_expect(ez_http_is_json("Application/JSON ; charset=UTF-8"));
    cr_expect(ez_http_is_json("application/merge-patch+json"));
    cr_expect(ez_http_is_json("application/json; charset=\"utf-8\""));
    cr_expect_not(ez_http_is_json("application/json; charset=latin1"));
    cr_expect_not(ez_http_is_json("text/json"));
    cr_expect(ez_http_is_json("application/x-www-form-urlencoded"), "what curl -d says");
    cr_expect_not(ez_http_is_json("application/jsonp"));
    cr_expect_not(ez_http_is_json(""));
    cr_expect_not(ez_http_is_json(NULL));
}

Test(http, knows_who_takes_gzip) {
    cr_expect(ez_http_takes_gzip("gzip, deflate, br"));
    cr_expect(ez_http_takes_gzip("br;q=1.0, GZIP;q=0.5"));
    cr_expect_not(ez_http_takes_gzip("gzip;q=0"));
    cr_expect_not(ez_http_takes_gzip("gzip; q=0.000"));
    cr_expect_not(ez_http_takes_gzip("deflate"));
    cr_expect_not(ez_http_takes_gzip("gzipped"));
    cr_expect_not(ez_http_takes_gzip(""));
    cr_expect_not(ez_http_takes_gzip(NULL));
}

Test(http, compares_entity_tags) {
    cr_expect(ez_http_none_match_has("\"42\"", "42"));
    cr_expect(ez_http_none_match_has("\"1\", W/\"42\"", "42"));
    cr_expect(ez_http_none_match_has("*", "42"));
    cr_expect_not(ez_http_none_match_has("\"421\"", "42"));
    cr_expect_not(ez_http_none_match_has("42", "42"));
    cr_expect_not(ez_http_none_match_has(NULL, "42"));
}

Test(http, reads_if_match) {
    static const struct {
        const char *text;
        ez_status status;
        uint64_t revision;
    } cases[] = {
        {NULL, EZ_OK, 0},
        {"*", EZ_OK, 0},
        {"\"42\"", EZ_OK, 42},
        {"W/\"42\"", EZ_OK, 42},
        {" \"42\" ", EZ_OK, 42},
        {"\"18446744073709551600\"", EZ_OK, 18446744073709551600u},
        {"42", EZ_INVALID_ARGUMENT, 0},
        {"\"0\"", EZ_INVALID_ARGUMENT, 0},
        {"\"\"", EZ_INVALID_ARGUMENT, 0},
        {"\"-1\"", EZ_INVALID_ARGUMENT, 0},
        {"\"1\", \"2\"", EZ_INVALID_ARGUMENT, 0},
        {"\"99999999999999999999\"", EZ_INVALID_ARGUMENT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t revision = 0;
        ez_error error = EZ_ERROR_INIT;
        cr_expect_eq(ez_http_if_match(cases[i].text, &revision, &error), cases[i].status, "%s", cases[i].text);
        cr_expect_eq(revision, cases[i].revision, "%s", cases[i].text);
    }
}

Test(http, reads_durations) {
    static const struct {
        const char *text;
        uint32_t ms;
    } cases[] = {{"500ms", 500}, {"5s", 5000}, {"1m", 60000}, {"60s", 60000}, {"1ms", 1},     {"0s", 0},   {"5", 0},
                 {"", 0},        {"61s", 0},   {"-1s", 0},    {"1h", 0},      {"5 s", 0},     {"5sec", 0}, {"1.5s", 0},
                 {"s", 0},       {"2m", 0},    {"5S", 0},     {"0x5s", 0},    {"9999999s", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t ms = 0;
        ez_error error = EZ_ERROR_INIT;
        ez_status status = ez_http_duration(cases[i].text, &ms, &error);
        cr_expect_eq(status, cases[i].ms ? EZ_OK : EZ_INVALID_ARGUMENT, "%s", cases[i].text);
        cr_expect_eq(ms, cases[i].ms, "%s", cases[i].text);
    }
}

static const char *header(const ez_http_response *response, const char *name) {
    for (unsigned i = 0; i < response->header_count; i++) {
        if (strcmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    }
    return NULL;
}

Test(problem, is_a_document) {
    ez_error error = EZ_ERROR_INIT;
    ez_http_response response = {0};
    ez_buf body;
    ez_arena arena;
    ez_buf_init(&body, 1 << 16);
    ez_arena_init(&arena, 1 << 16);
    (void)ez_error_violation(&error, "key.name", "is \"too\" long\n");
    ez_problem_write(&error, 0, 1001, "req-1", &arena, &body, &response);
    json_t *document = json_loadb(response.body.data, response.body.len, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(document);
    cr_expect_eq(response.status, 400);
    cr_expect_str_eq(response.content_type, "application/problem+json");
    cr_expect_str_eq(json_string_value(json_object_get(document, "type")), "urn:ezplane:problem:field_invalid");
    cr_expect_str_eq(json_string_value(json_object_get(document, "title")), "Bad Request");
    cr_expect_eq(json_integer_value(json_object_get(document, "status")), 400);
    cr_expect_str_eq(json_string_value(json_object_get(document, "reason")), "FIELD_INVALID");
    cr_expect_str_eq(json_string_value(json_object_get(document, "request_id")), "req-1");
    json_t *one = json_array_get(json_object_get(document, "violations"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(one, "field")), "key.name");
    cr_expect_str_eq(json_string_value(json_object_get(one, "description")), "is \"too\" long\n");
    cr_expect_str_eq(header(&response, "Retry-After"), "2");
    json_decref(document);
    ez_arena_fini(&arena);
    ez_buf_fini(&body);
}

Test(problem, asks_for_a_credential) {
    ez_error error = EZ_ERROR_INIT;
    ez_http_response response = {0};
    ez_buf body;
    ez_arena arena;
    ez_buf_init(&body, 1 << 16);
    ez_arena_init(&arena, 1 << 16);
    (void)ez_error_set(&error, EZ_UNAUTHENTICATED, "TOKEN_MISSING", "send a token");
    ez_problem_write(&error, 0, 0, "", &arena, &body, &response);
    cr_expect_eq(response.status, 401);
    cr_expect_str_eq(header(&response, "WWW-Authenticate"), "Bearer realm=\"ezplane\"");
    cr_expect_null(header(&response, "Retry-After"));
    ez_arena_fini(&arena);
    ez_buf_fini(&body);
}

Test(gzip, round_trip_twice_with_one_state) {
    ez_error error = EZ_ERROR_INIT;
    ez_gzip *gzip;
    char text[5000];
    memset(text, 'x', sizeof text);
    cr_assert_eq(ez_gzip_create(1, &gzip, &error), EZ_OK);
    for (int round = 0; round < 2; round++) {
        ez_buf out;
        char back[sizeof text + 1];
        z_stream stream = {0};
        ez_buf_init(&out, 1 << 20);
        cr_assert_eq(ez_gzip_write(gzip, (ez_text){text, sizeof text}, &out), EZ_OK);
        cr_assert_lt(out.len, 200);
        cr_assert_eq(inflateInit2(&stream, 15 + 16), Z_OK);
        stream.next_in = out.data;
        stream.avail_in = (uInt)out.len;
        stream.next_out = (Bytef *)back;
        stream.avail_out = sizeof back;
        cr_assert_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
        cr_assert_eq(stream.total_out, sizeof text);
        cr_assert_arr_eq(back, text, sizeof text);
        (void)inflateEnd(&stream);
        ez_buf_fini(&out);
    }
    ez_buf small;
    ez_buf_init(&small, 8);
    cr_assert_eq(ez_gzip_write(gzip, (ez_text){text, sizeof text}, &small), EZ_RESOURCE_EXHAUSTED);
    ez_buf_fini(&small);
    ez_gzip_destroy(gzip);
}

static const char *allowed(const char *origins, const char *origin, bool is_preflight, ez_http_response *response) {
    ez_http_request in = {
        .origin = origin, .is_options = is_preflight, .requested_method = is_preflight ? "GET" : NULL};
    *response = (ez_http_response){0};
    ez_cors_apply(origins, &in, response);
    return header(response, "Access-Control-Allow-Origin");
}

Test(cors, allows_what_is_listed) {
    ez_http_response response;
    cr_expect_null(allowed(NULL, "https://a.example", false, &response));
    cr_expect_null(header(&response, "Vary"));
    cr_expect_null(allowed("https://a.example", "https://b.example", false, &response));
    cr_expect_str_eq(header(&response, "Vary"), "Origin");
    cr_expect_null(allowed("https://a.example", "https://a.example.evil", false, &response));
    cr_expect_str_eq(allowed("https://a.example, https://b.example:1", "https://b.example:1", true, &response),
                     "https://b.example:1");
    cr_expect_not_null(header(&response, "Access-Control-Allow-Headers"));
    cr_expect_str_eq(allowed("*", "https://b.example", false, &response), "https://b.example");
    cr_expect_null(allowed("*", NULL, false, &response));
}

Test(cors, checks_the_setting) {
    ez_error error = EZ_ERROR_INIT;
    cr_expect_eq(ez_cors_check(NULL, &error), EZ_OK);
    cr_expect_eq(ez_cors_check("", &error), EZ_OK);
    cr_expect_eq(ez_cors_check("https://a.example, http://b:1, *", &error), EZ_OK);
    cr_expect_eq(ez_cors_check("a.example", &error), EZ_INVALID_ARGUMENT);
    cr_expect_eq(ez_cors_check("https://a.example/", &error), EZ_INVALID_ARGUMENT);
}
