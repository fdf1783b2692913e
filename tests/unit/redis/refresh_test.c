// SPDX-License-Identifier: Apache-2.0
//
// The refresh queue: taken once somebody listens, kept until he said yes, and what is no request is set aside.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "server/domain/redis/refresh.h"
#include "tests/unit/redis/support/edge.h"

static edge e;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char heard[1024];  // guarded: "id/hash/reason;"
static atomic_int answer; // an ez_status

static ez_status listen_to(void *user, const ez_refresh_request *request, ez_error *error) {
    (void)user, (void)error;
    pthread_mutex_lock(&lock);
    size_t len = strlen(heard);
    snprintf(heard + len, sizeof heard - len, "%lld/%.4s/%s;", (long long)request->api_key_id, request->observed_sha256,
             request->reason);
    pthread_mutex_unlock(&lock);
    return (ez_status)answer;
}

static bool has_heard(const char *want) {
    pthread_mutex_lock(&lock);
    bool has = strcmp(heard, want) == 0;
    pthread_mutex_unlock(&lock);
    return has;
}

static void end(void) {
    end_edge(&e);
}

TestSuite(redis_refresh, .fini = end);

#define says(...) redis_says(&e.server, __VA_ARGS__)
#define HASH      "abcd000000000000000000000000000000000000000000000000000000000000"

static void given_listener(void) {
    close_edge(&e);
    e.refresh = listen_to;
    open_edge(&e);
}

Test(redis_refresh, nobody_takes_what_nobody_hears) {
    given_edge(&e, NULL);
    says("RPUSH t:token:refresh:queue %s", "{\"api_key_id\":42,\"reason\":\"401\"}");
    expect_soon(metric_of(&e, "refresh_waiting") == 1);
    cr_assert_str_eq(says("LLEN t:token:refresh:queue"), "1");
    given_listener();
    expect_soon(has_heard("42//401;"));
    expect_soon(strcmp(says("EXISTS t:token:refresh:queue t:token:refresh:processing"), "0") == 0);
    cr_assert_eq(metric_of(&e, "refresh_taken_total"), 1);
}

Test(redis_refresh, kept_until_it_is_taken) {
    given_edge(&e, NULL);
    answer = EZ_UNAVAILABLE;
    given_listener();
    says("RPUSH t:token:refresh:queue %s",
         "{\"api_key_id\":1,\"observed_access_token_sha256\":\"" HASH "\",\"reason\":\"expired\"}");
    expect_soon(metric_of(&e, "refresh_retried_total") >= 1);
    cr_assert_str_eq(says("LLEN t:token:refresh:processing"), "1");
    close_edge(&e); // as in a crash: it stays where it is
    pthread_mutex_lock(&lock);
    heard[0] = 0;
    pthread_mutex_unlock(&lock);
    answer = EZ_OK;
    open_edge(&e);
    expect_soon(has_heard("1/abcd/expired;"));
    expect_soon(strcmp(says("EXISTS t:token:refresh:processing"), "0") == 0);
}

Test(redis_refresh, what_is_no_request_is_set_aside) {
    given_edge(&e, NULL);
    given_listener();
    says("RPUSH t:token:refresh:queue %s %s %s", "not json", "{\"api_key_id\":\"x\"}",
         "{\"api_key_id\":1,\"observed_access_token_sha256\":\"short\"}");
    says("RPUSH t:token:refresh:queue %s", "{\"api_key_id\":5}");
    expect_soon(has_heard("5//;"));
    expect_soon(strcmp(says("LLEN t:token:refresh:dead"), "3") == 0);
    expect_soon(metric_of(&e, "refresh_dead_total") == 3);
    answer = EZ_NOT_FOUND;
    says("RPUSH t:token:refresh:queue %s", "{\"api_key_id\":6}");
    expect_soon(strcmp(says("LLEN t:token:refresh:dead"), "4") == 0);
    cr_assert_str_eq(says("EXISTS t:token:refresh:processing"), "0");
}

Test(redis_refresh, the_stream_beside_it) {
    given_edge(&e, NULL);
    says("XADD t:token:refresh:queue:stream * api_key_id 7 reason 401");
    says("XADD t:token:refresh:queue:stream * payload %s", "{\"api_key_id\":8,\"reason\":\"x\"}");
    says("XADD t:token:refresh:queue:stream * nonsense 1");
    given_listener();
    expect_soon(has_heard("7//401;8//x;"));
    expect_soon(strcmp(says("LLEN t:token:refresh:dead"), "1") == 0);
    expect_soon(strncmp(says("XPENDING t:token:refresh:queue:stream ezplane"), "0", 1) == 0);
}

Test(redis_request, is_read_strictly) {
    ez_refresh_request request;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"api_key_id\":0}",
                                      "{\"api_key_id\":-1}",
                                      "{\"api_key_id\":1.5}",
                                      "{\"api_key_id\":1,\"api_key_id\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(ez_refresh_request_read(bad[i], strlen(bad[i]), &request), "%s", bad[i]);
    static const char good[] = "{\"api_key_id\":\"12\",\"reason\":401,\"more\":[1]}";
    cr_assert(ez_refresh_request_read(good, sizeof good - 1, &request));
    cr_assert_eq(request.api_key_id, 12);
    cr_assert_str_eq(request.reason, "401");
}
