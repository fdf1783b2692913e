// SPDX-License-Identifier: Apache-2.0
//
// URLs and the allow-list: texts alone, nothing is connected to.
#include "server/platform/outbound/guard.h"

#include <string.h>

#include "tests/support/expect.h"

static ez_outbound_allow *given_allow(const char *list) {
    ez_outbound_allow *allow = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_outbound_allow_create(list, &allow, &error), &error);
    return allow;
}

static const struct {
    const char *url, *reason; // NULL: it may be called
} urls[] = {
    {"https://hooks.example/x?y=1", NULL},
    {"https://hooks.example:8443", NULL},
    {"HTTPS://Hooks.Example./x", NULL},
    {"https://8.8.8.8/", NULL},
    {"https://[2606:4700::1]/", NULL},
    {"https://127.0.0.1.nip.example/", NULL}, // only its address tells
    {"http://hooks.example/", "URL_NOT_HTTPS"},
    {"http://8.8.8.8/", "URL_NOT_HTTPS"},
    {"http://127.0.0.1/", "URL_NOT_ALLOWED"},
    {"https://127.0.0.1/", "URL_NOT_ALLOWED"},
    {"https://127.0.0.1./", "URL_NOT_ALLOWED"},
    {"https://0x7f.1/", "URL_NOT_ALLOWED"},
    {"https://0X7F.1/", "URL_NOT_ALLOWED"},
    {"https://2130706433/", "URL_NOT_ALLOWED"},
    {"https://0177.0.0.1/", "URL_NOT_ALLOWED"},
    {"https://127.1:8443/", "URL_NOT_ALLOWED"},
    {"https://[::1]/", "URL_NOT_ALLOWED"},
    {"https://[::]/", "URL_NOT_ALLOWED"},
    {"https://[::ffff:127.0.0.1]/", "URL_NOT_ALLOWED"},
    {"https://[::ffff:7f00:1]/", "URL_NOT_ALLOWED"},
    {"https://[64:ff9b::a9fe:a9fe]/", "URL_NOT_ALLOWED"},
    {"https://[fd00:ec2::254]/", "URL_NOT_ALLOWED"},
    {"https://169.254.169.254/latest/meta-data", "URL_NOT_ALLOWED"},
    {"https://0.0.0.0/", "URL_NOT_ALLOWED"},
    {"https://0/", "URL_NOT_ALLOWED"},
    {"https://localhost/", "URL_NOT_ALLOWED"},
    {"https://LOCALHOST./", "URL_NOT_ALLOWED"},
    {"https://a.localhost:8443/", "URL_NOT_ALLOWED"},
    {"https://user:pw@hooks.example/", "URL_INVALID"},
    {"https://hooks.example@127.0.0.1/", "URL_INVALID"},
    {"https://hooks.example#@127.0.0.1/", "URL_INVALID"},
    {"https://hooks.example\\@127.0.0.1/", "URL_INVALID"},
    {"https://127.0.0.1%2f.example/", "URL_INVALID"},
    {"https://%31%32%37.0.0.1/", "URL_INVALID"},
    {"https://[fe80::1%25eth0]/", "URL_INVALID"},
    {"https://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "URL_INVALID"}, // full-width digits
    {"https://hooks.example:0/", "URL_INVALID"},
    {"https://hooks.example:65536/", "URL_INVALID"},
    {"https:///x", "URL_INVALID"},
    {"https://", "URL_INVALID"},
    {"//hooks.example/", "URL_INVALID"},
    {"ftp://hooks.example/", "URL_INVALID"},
    {"file:///etc/passwd", "URL_INVALID"},
    {"gopher://127.0.0.1:6379/_x", "URL_INVALID"},
    {"https://hooks.example/\r\nHost: x", "URL_INVALID"},
    {"", "URL_INVALID"},
};

Test(guard, fault_52_judges_the_text_of_a_url) {
    ez_outbound_allow *allow = given_allow(NULL);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        ez_error error = EZ_ERROR_INIT;
        ez_status status = ez_outbound_check_url(allow, urls[i].url, &error);
        if (urls[i].reason == NULL) {
            cr_expect_eq(status, EZ_OK, "%s: %s", urls[i].url, error.message);
        } else {
            cr_expect_eq(status, EZ_INVALID_ARGUMENT, "%s", urls[i].url);
            cr_expect_str_eq(error.reason, urls[i].reason, "%s: %s", urls[i].url, error.message);
        }
    }
    ez_outbound_allow_destroy(allow);
}

Test(guard, an_error_holds_no_credentials_and_no_query) {
    ez_outbound_allow *allow = given_allow("");
    static const char *const secret[] = {"http://hooks.example/p4th?token=s3cret", "https://me:secret@hooks.example/",
                                         "https://127.0.0.1/p4th?token=s3cret"};
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        ez_error error = EZ_ERROR_INIT;
        expect_code(EZ_INVALID_ARGUMENT, ez_outbound_check_url(allow, secret[i], &error), &error);
        cr_assert_null(strstr(error.message, "s3cret"));
        cr_assert_null(strstr(error.message, ":secret"));
        cr_assert_null(strstr(error.message, "p4th"));
    }
    ez_outbound_allow_destroy(allow);
}

static const struct {
    const char *list, *url;
    bool is_let;
} lists[] = {
    {"hooks.internal", "http://hooks.internal/", true},
    {"hooks.internal", "http://HOOKS.internal.:9/", true},
    {"hooks.internal", "http://a.hooks.internal/", false},
    {"hooks.internal", "http://xhooks.internal/", false},
    {"hooks.internal:80", "http://hooks.internal/", true},
    {"hooks.internal:80", "http://hooks.internal:81/", false},
    {"Hooks.Internal.", "http://hooks.internal/", true},
    {"localhost", "http://localhost:8080/", true},
    {"127.0.0.1", "http://127.0.0.1:8080/", true},
    {"127.0.0.1", "http://0x7f.1:8080/", true},
    {"127.0.0.1", "http://[::ffff:127.0.0.1]/", true},
    {"127.0.0.1", "http://127.0.0.2/", false},
    {"127.0.0.1:8080", "http://127.0.0.1:8080/", true},
    {"127.0.0.1:8080", "http://127.0.0.1:8081/", false},
    {"127.0.0.0/8", "http://127.1.2.3/", true},
    {"127.0.0.0/8", "http://hooks.example/", false}, // http wants the name
    {"10.0.0.0/8, 192.168.0.0/16 ,", "https://192.168.3.4/", true},
    {"10.0.0.0/8", "https://11.0.0.1/", true},
    {"10.0.0.0/8", "http://11.0.0.1/", false},
    {"[::1]:8080", "http://[::1]:8080/", true},
    {"[::1]:8080", "http://[::1]/", false},
    {"::1", "http://[::1]/", true},
    {"[::1]", "http://[::1]/", true},
    {"fd00::/8", "http://[fd12::1]/", true},
    {"fd00::/8", "http://[fc12::1]/", false},
    {"0.0.0.0/0", "http://169.254.169.254/", true},
    {"0.0.0.0/0", "http://[::1]/", false},
};

Test(guard, lets_through_what_the_list_says) {
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        ez_outbound_allow *allow = given_allow(lists[i].list);
        ez_error error = EZ_ERROR_INIT;
        bool is_let = ez_outbound_check_url(allow, lists[i].url, &error) == EZ_OK;
        cr_expect_eq(is_let, lists[i].is_let, "%s with %s: %s", lists[i].url, lists[i].list, error.message);
        ez_outbound_allow_destroy(allow);
    }
}

static const char *peer_fault(const char *list, const char *url, const char *peer) {
    ez_outbound_allow *allow = given_allow(list);
    ez_outbound_target target;
    ez_address address;
    ez_error error = EZ_ERROR_INIT;
    expect_ok(ez_outbound_read_url(url, &target, &error), &error);
    cr_assert(ez_address_from_text(peer, &address));
    const char *fault = ez_outbound_peer_fault(allow, &target, &address);
    ez_outbound_allow_destroy(allow);
    return fault;
}

Test(guard, fault_51_judges_the_address_not_the_name) {
    cr_assert_str_eq(peer_fault("", "https://hooks.example", "127.0.0.1"), "loopback");
    cr_assert_str_eq(peer_fault("", "https://hooks.example", "::ffff:169.254.169.254"), "link-local");
    cr_assert_null(peer_fault("", "https://hooks.example", "8.8.8.8"));
    cr_assert_null(peer_fault("hooks.example", "https://hooks.example", "10.0.0.1"));
    cr_assert_not_null(peer_fault("hooks.example", "https://other.example", "10.0.0.1"));
    cr_assert_null(peer_fault("10.0.0.0/8", "https://other.example", "10.0.0.1"));
    cr_assert_not_null(peer_fault("10.0.0.0/8", "https://other.example", "192.168.0.1"));
    // A literal is the address it stands for and nothing else.
    cr_assert_null(peer_fault("127.0.0.1", "https://127.0.0.1", "127.0.0.1"));
    cr_assert_not_null(peer_fault("127.0.0.1", "https://127.0.0.1", "127.0.0.2"));
}

Test(guard, refuses_a_list_it_can_not_read) {
    static const char *const bad[] = {"http://hooks.internal",
                                      "10.0.0.0/33",
                                      "hooks.internal:0",
                                      "hooks.internal:99999",
                                      "*.internal",
                                      "0x7f.1",
                                      "a b",
                                      "[::1",
                                      "[hooks.internal]",
                                      "10.0.0.0/8/8",
                                      "hooks.internal:",
                                      ".internal"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ez_outbound_allow *allow = NULL;
        ez_error error = EZ_ERROR_INIT;
        expect_reason(EZ_INVALID_ARGUMENT, "OUTBOUND_ALLOW_INVALID", ez_outbound_allow_create(bad[i], &allow, &error),
                      &error);
        cr_assert_not_null(strstr(error.message, bad[i]), "%s: %s", bad[i], error.message);
    }
    char many[EZ_OUTBOUND_ALLOW_ITEMS * 4 + 8] = "";
    for (int i = 0; i <= EZ_OUTBOUND_ALLOW_ITEMS; i++) {
        strcat(many, "a,");
    }
    ez_outbound_allow *allow = NULL;
    ez_error error = EZ_ERROR_INIT;
    expect_code(EZ_INVALID_ARGUMENT, ez_outbound_allow_create(many, &allow, &error), &error);
}

Test(guard, shows_a_url_without_what_may_be_secret) {
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"https://hooks.example/services/s3cret", "https://hooks.example/…"},
        {"https://hooks.example:8443/a/b?token=x", "https://hooks.example:8443/…"},
        {"http://[::1]:80/a", "http://[::1]:80/…"},
        {"https://me:pw@hooks.example/a", "https://hooks.example/…"},
        {"https://a@b:c@hooks.example", "https://hooks.example"},
        {"https://hooks.example/", "https://hooks.example/"},
        {"https://hooks.example?x=/y", "https://hooks.example/…"},
        {"https://hooks.example#b", "https://hooks.example/…"},
        {"https://hooks.example/a@b", "https://hooks.example/…"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char shown[EZ_OUTBOUND_URL_MAX];
        ez_outbound_show_url(cases[i].url, shown, sizeof shown);
        cr_assert_str_eq(shown, cases[i].shown);
    }
}
