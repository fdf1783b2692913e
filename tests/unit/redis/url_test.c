// SPDX-License-Identifier: Apache-2.0
//
// What is a Redis URL, what is not, and that nothing of a password shows.
#include <criterion/criterion.h>
#include <string.h>

#include "server/domain/redis/url.h"

static ez_redis_url parse(const char *text) {
    ez_redis_url url;
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(ez_redis_url_parse(text, &url, &error), EZ_OK, "%s: %s", text, error.message);
    return url;
}

Test(redis_url, has_all_its_parts) {
    ez_redis_url url = parse("rediss://app:p%40ss%2fw@cache.example:7000/12");
    cr_assert(url.is_tls);
    cr_assert_str_eq(url.user, "app");
    cr_assert_str_eq(url.password, "p@ss/w");
    cr_assert_str_eq(url.host, "cache.example");
    cr_assert_str_eq(url.port, "7000");
    cr_assert_eq(url.database, 12);
    cr_assert_str_eq(url.shown, "rediss://cache.example:7000/12");
    url = parse("redis://localhost");
    cr_assert_not(url.is_tls);
    cr_assert_str_eq(url.port, "6379");
    cr_assert_eq(url.database, 0);
    cr_assert_str_eq(url.user, "");
    url = parse("redis://:only-a-password@[::1]:6380/");
    cr_assert_str_eq(url.user, "");
    cr_assert_str_eq(url.password, "only-a-password");
    cr_assert_str_eq(url.host, "::1");
    cr_assert_str_eq(url.shown, "redis://[::1]:6380/0");
}

Test(redis_url, what_is_none_is_refused_without_being_quoted) {
    static const char *const texts[] = {
        "",
        "localhost:6379",
        "http://fake-part@h",
        "redis://",
        "redis://u:fake-part@",
        "redis://u:fake-part@h:0",
        "redis://u:fake-part@h:65536",
        "redis://u:fake-part@h:12x",
        "redis://u:fake-part@h/x",
        "redis://u:fake-part@h/99999",
        "redis://u:fake-part%0@h",
        "redis://u:fake-part%00@h",
        "redis://u:fake-part@[::1",
        "redis://u:fake-part@h/0?x=1",
        "redis://u:fake-part@[::1]x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ez_redis_url url;
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(ez_redis_url_parse(texts[i], &url, &error), EZ_INVALID_ARGUMENT, "%s", texts[i]);
        cr_assert_str_eq(error.reason, "REDIS_URL");
        cr_assert_null(strstr(error.message, "fake-part"), "%s", error.message);
    }
}
