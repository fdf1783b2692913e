// SPDX-License-Identifier: Apache-2.0
//
// The router, over the schema's real routes: what it finds, what it says instead, and what escapes do.
#include "gateway/router.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct found {
    ez_status status;
    ez_router_match match;
    char params[4][64];
    ez_error error;
} found;

static found find(ez_verb verb, const char *path) {
    found out = {0};
    ez_router *router;
    ez_arena arena;
    ez_arena_init(&arena, 1 << 20);
    cr_assert_eq(ez_router_create(ez_routes, ez_route_count, &router, &out.error), EZ_OK, "%s", out.error.message);
    out.status = ez_router_find(router, verb, (ez_text){path, strlen(path)}, &arena, &out.match, &out.error);
    for (unsigned i = 0; out.status == EZ_OK && i < out.match.param_count && i < 4; i++)
        memcpy(out.params[i], out.match.params[i].text.data, out.match.params[i].text.len);
    ez_arena_fini(&arena);
    ez_router_destroy(router);
    return out;
}

static void expect_method(ez_verb verb, const char *path, const char *method) {
    found f = find(verb, path);
    cr_assert_eq(f.status, EZ_OK, "%s: %s", path, f.error.message);
    cr_assert_str_eq(f.match.route->method->name, method);
}

static void expect_status(ez_verb verb, const char *path, ez_status status) {
    found f = find(verb, path);
    cr_assert_eq(f.status, status, "%s: %s, wanted %s", path, ez_status_name(f.status), ez_status_name(status));
}

Test(router, finds_every_route_of_the_schema) {
    ez_router *router;
    ez_error error = EZ_ERROR_INIT;
    ez_arena arena;
    ez_arena_init(&arena, 1 << 20);
    cr_assert_eq(ez_router_create(ez_routes, ez_route_count, &router, &error), EZ_OK, "%s", error.message);
    for (unsigned i = 0; i < ez_route_count; i++) {
        ez_router_match match;
        char path[256] = "";
        for (unsigned s = 0; s < ez_routes[i].segment_count; s++) {
            const ez_route_segment *segment = &ez_routes[i].segments[s];
            strcat(path, "/");
            strcat(path, segment->literal ? segment->literal : "7");
            if (segment->verb)
                strcat(strcat(path, ":"), segment->verb);
        }
        ez_text text = {path, strlen(path)};
        cr_assert_eq(ez_router_find(router, ez_routes[i].verb, text, &arena, &match, &error), EZ_OK, "%s", path);
        cr_expect_eq(match.route, &ez_routes[i], "%s", path);
    }
    ez_arena_fini(&arena);
    ez_router_destroy(router);
}

Test(router, fills_parameters) {
    found f = find(EZ_VERB_POST, "/admin/masters/42/keys");
    cr_assert_eq(f.match.param_count, 1);
    cr_assert_str_eq(f.match.params[0].field->name, "master_id");
    cr_assert_str_eq(f.params[0], "42");
}

Test(router, tells_custom_verbs_from_parameters) {
    expect_method(EZ_VERB_POST, "/admin/keys/5:rotate", "ez.v1.Keys/Rotate");
    cr_assert_str_eq(find(EZ_VERB_POST, "/admin/keys/5:rotate").params[0], "5");
    expect_method(EZ_VERB_GET, "/admin/keys/5", "ez.v1.Keys/Get");
    expect_method(EZ_VERB_GET, "/admin/routes:explain", "ez.v1.Routes/Explain");
    cr_assert_str_eq(find(EZ_VERB_GET, "/admin/keys/5:nope").params[0], "5:nope");
    cr_assert_str_eq(find(EZ_VERB_GET, "/admin/keys/5%3Arotate").params[0], "5:rotate");
    expect_status(EZ_VERB_POST, "/admin/keys/:rotate", EZ_UNIMPLEMENTED); // no id: not the custom verb
}

// "POST is not possible on this path", of which the Allow header then said GET, PATCH and DELETE.
Test(router, says_which_actions_there_are) {
    found f = find(EZ_VERB_POST, "/admin/alerts/7:nope");
    cr_assert_eq(f.status, EZ_NOT_FOUND);
    cr_assert_str_eq(f.error.reason, "ACTION_UNKNOWN");
    static const char *const actions[] = {"acknowledge", "resolve", "dismiss"};
    for (size_t i = 0; i < 3; i++)
        cr_assert(strstr(f.error.message, actions[i]), "%s", f.error.message);
    expect_status(EZ_VERB_POST, "/admin/alerts/7", EZ_UNIMPLEMENTED);
}

Test(router, says_which_verbs_a_path_has) {
    found f = find(EZ_VERB_POST, "/admin/keys/5");
    cr_assert_eq(f.status, EZ_UNIMPLEMENTED);
    cr_assert_eq(f.match.verbs, 1u << EZ_VERB_GET | 1u << EZ_VERB_PATCH | 1u << EZ_VERB_PUT | 1u << EZ_VERB_DELETE);
    cr_assert_eq(find(EZ_VERB_GET, "/admin/keys/5:rotate").match.verbs, 1u << EZ_VERB_POST);
}

Test(router, does_not_find_what_is_not_there) {
    static const char *const paths[] = {"",
                                        "*",
                                        "/",
                                        "/nope",
                                        "/admin",
                                        "/admin/",
                                        "/admin//keys",
                                        "/admin/keys/",
                                        "/admin/keys//access",
                                        "//admin/keys",
                                        "/ADMIN/keys",
                                        "/admin/keys/5/access/more",
                                        "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        expect_status(EZ_VERB_GET, paths[i], EZ_NOT_FOUND);
}

Test(router, decodes_after_it_splits) {
    expect_method(EZ_VERB_GET, "/%61dmin/k%65ys/5", "ez.v1.Keys/Get");
    cr_assert_str_eq(find(EZ_VERB_GET, "/admin/keys/%41").params[0], "A");
    cr_assert_str_eq(find(EZ_VERB_GET, "/admin/keys/a%2Fb").params[0], "a/b");
    cr_assert_str_eq(find(EZ_VERB_GET, "/admin/keys/a+b").params[0], "a+b");
}

Test(router, fault_24_percent_escapes) {
    static const char *const paths[] = {"/admin/keys/%",   "/admin/keys/%4",     "/admin/keys/%00", "/%",
                                        "/admin/keys/%zz", "/admin/keys/%4g",    "/admin/keys/%%",  "/nope/%4",
                                        "/admin/keys/%ff", "/admin/keys/%C3%28", "/admin/keys/\xff"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        expect_status(EZ_VERB_GET, paths[i], EZ_INVALID_ARGUMENT);
}

Test(router, refuses_a_table_that_contradicts_itself) {
    ez_route twice[2] = {ez_routes[0], ez_routes[0]};
    ez_router *router;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_router_create(twice, 2, &router, &error), EZ_INVALID_ARGUMENT);
    cr_assert_str_eq(error.reason, "ROUTE_TWICE");
}

Test(uri, splits_targets) {
    static const struct {
        const char *target, *path, *query;
    } cases[] = {{"/a/b?c=d#e", "/a/b", "c=d"},
                 {"/a", "/a", ""},
                 {"http://host:1/a?b", "/a", "b"},
                 {"*", "", ""},
                 {"host:443", "", ""},
                 {"//host/a", "//host/a", ""},
                 {"/a#b?c", "/a", ""},
                 {"", "", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ez_text path, query;
        ez_uri_split(cases[i].target, &path, &query);
        cr_expect(path.len == strlen(cases[i].path) && !memcmp(path.data, cases[i].path, path.len), "%s",
                  cases[i].target);
        cr_expect(query.len == strlen(cases[i].query) && !memcmp(query.data, cases[i].query, query.len), "%s",
                  cases[i].target);
    }
}
