// SPDX-License-Identifier: Apache-2.0
//
// The connection: credentials, a database, TLS with a certificate that is trusted or not, a batch larger than what the
// socket holds.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/domain/redis/command.h"
#include "server/domain/redis/link.h"
#include "tests/support/certificate.h"
#include "tests/support/expect.h"
#include "tests/support/port.h"
#include "tests/support/redis.h"

#define PASSWORD "fake-password-of-a-test"

static ez_test_redis redis;

static ez_redis_url url_for(const char *scheme, const char *credentials, unsigned port, int database) {
    char text[256];
    ez_redis_url url;
    ez_error error = EZ_ERROR_INIT;
    snprintf(text, sizeof text, "%s://%s127.0.0.1:%u/%d", scheme, credentials, port, database);
    expect_ok(ez_redis_url_parse(text, &url, &error), &error);
    return url;
}

static ez_status try(const ez_redis_url *url, const char *ca_file, ez_redis_link **out, ez_error *error) {
    ez_redis_link_options options = {.url = url, .ca_file = ca_file, .wake_fd = -1};
    return ez_redis_link_create(&options, out, error);
}

Test(redis_link, credentials_and_database) {
    static const char *const args[] = {"--requirepass", PASSWORD, NULL};
    given_redis(&redis, args);
    ez_redis_link *link;
    ez_error error = EZ_ERROR_INIT;
    ez_redis_url url = url_for("redis", ":" PASSWORD "@", redis.port, 5);
    expect_ok(try(&url, NULL, &link, &error), &error);
    ez_buf out;
    ez_buf_init(&out, 64u << 20);
    ez_command_put(&out, "SET", "here", "5", NULL);
    expect_ok(ez_redis_link_ask(link, &out, 1, NULL, &error), &error);
    cr_assert_str_eq(redis_says(&redis, "SELECT 5"), "OK");
    cr_assert_str_eq(redis_says(&redis, "GET here"), "5");
    ez_redis_link_destroy(link);
    url = url_for("redis", ":fake-but-wrong@", redis.port, 0);
    expect_reason(EZ_UNAVAILABLE, "REDIS_LOGIN", try(&url, NULL, &link, &error), &error);
    cr_assert_null(strstr(error.message, "wrong@"));
    cr_assert_null(strstr(error.message, "but-wrong"));
    url = url_for("redis", "", redis.port, 0);
    expect_reason(EZ_UNAVAILABLE, "REDIS_LOGIN", try(&url, NULL, &link, &error), &error);
    ez_buf_fini(&out);
    end_redis(&redis);
}

// Replies come while commands are still being sent; neither side may wait for the other.
Test(redis_link, a_batch_may_be_larger_than_the_socket) {
    given_redis(&redis, NULL);
    ez_redis_link *link;
    ez_error error = EZ_ERROR_INIT;
    ez_redis_url url = url_for("redis", "", redis.port, 0);
    expect_ok(try(&url, NULL, &link, &error), &error);
    ez_buf out;
    ez_buf_init(&out, 64u << 20);
    static char value[100000];
    memset(value, 'v', sizeof value);
    ez_command_begin(&out, 3);
    ez_command_text(&out, "SET");
    ez_command_text(&out, "big");
    ez_command_bytes(&out, value, sizeof value);
    for (int i = 0; i < 200; i++)
        ez_command_put(&out, "GET", "big", NULL);
    ez_redis_autofree redisReply *reply = NULL;
    expect_ok(ez_redis_link_ask(link, &out, 201, &reply, &error), &error);
    cr_assert_eq(reply->len, sizeof value);
    ez_buf_clear(&out);
    ez_command_put(&out, "NO-SUCH-COMMAND", "fake-secret-argument", NULL);
    expect_reason(EZ_UNAVAILABLE, "REDIS_REFUSED", ez_redis_link_ask(link, &out, 1, NULL, &error), &error);
    cr_assert_null(strstr(error.message, "fake-secret-argument"), "%s", error.message);
    ez_buf_fini(&out);
    ez_redis_link_destroy(link);
    kill_redis(&redis);
    expect_reason(EZ_UNAVAILABLE, "REDIS_AWAY", try(&url, NULL, &link, &error), &error);
    end_redis(&redis);
}

Test(redis_link, tls_wants_a_certificate_that_is_trusted) {
    char folder[EZ_TEST_PATH_MAX], certificate[300], key[300], other[300], other_key[300], port[16];
    given_folder(folder);
    snprintf(certificate, sizeof certificate, "%s/certificate.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(other, sizeof other, "%s/other.pem", folder);
    snprintf(other_key, sizeof other_key, "%s/other-key.pem", folder);
    given_certificate("IP:127.0.0.1", certificate, key);
    given_certificate("IP:127.0.0.1", other, other_key);
    unsigned tls_port = given_port();
    snprintf(port, sizeof port, "%u", tls_port);
    const char *const args[] = {"--tls-port",
                                port,
                                "--tls-cert-file",
                                certificate,
                                "--tls-key-file",
                                key,
                                "--tls-ca-cert-file",
                                other,
                                "--tls-auth-clients",
                                "no",
                                NULL};
    given_redis(&redis, args);
    ez_redis_link *link;
    ez_error error = EZ_ERROR_INIT;
    ez_redis_url url = url_for("rediss", "", tls_port, 0);
    expect_ok(try(&url, certificate, &link, &error), &error);
    ez_buf out;
    ez_buf_init(&out, 1u << 20);
    ez_command_put(&out, "PING", NULL);
    expect_ok(ez_redis_link_ask(link, &out, 1, NULL, &error), &error);
    ez_buf_fini(&out);
    ez_redis_link_destroy(link);
    expect_reason(EZ_UNAVAILABLE, "REDIS_TLS", try(&url, other, &link, &error), &error);
    snprintf(url.host, sizeof url.host, "localhost");
    expect_reason(EZ_UNAVAILABLE, "REDIS_TLS", try(&url, certificate, &link, &error), &error);
    end_redis(&redis);
    remove_folder(folder);
}
