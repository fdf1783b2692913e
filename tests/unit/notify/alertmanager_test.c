// SPDX-License-Identifier: Apache-2.0
//
// A real prometheus-alertmanager, from Debian, on a free port: it is sent alerts by the notifier and asked what it has.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/port.h"
#include "tests/support/process.h"
#include "tests/unit/notify/world.h"

#define PROGRAM  "/usr/bin/prometheus-alertmanager"
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL

static notify_world w;
static ez_test_process process;
static char folder[EZ_TEST_PATH_MAX];
static unsigned port;

// ---- Asking it

static struct answer {
    atomic_bool is_there;
    int status;
    char body[1 << 20];
} answer;

static void note_answer(void *user, const ez_outbound_reply *reply) {
    (void)user;
    answer.status = reply->status == EZ_OK ? reply->http_status : 0;
    size_t len = reply->body.len < sizeof answer.body ? reply->body.len : sizeof answer.body - 1;
    if (len > 0)
        memcpy(answer.body, reply->body.data, len);
    answer.body[len] = '\0';
    atomic_store(&answer.is_there, true);
}

// What it says of the alerts it has; "" where it does not answer.
static const char *alerts(void) {
    char url[128];
    ez_error error = EZ_ERROR_INIT;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v2/alerts", port);
    ez_outbound_request request = {
        .method = "GET", .url = url, .max_reply = sizeof answer.body - 1, .done = note_answer};
    atomic_store(&answer.is_there, false);
    expect_ok(ez_outbound_submit(w.outbound, &request, &error), &error);
    expect_soon(atomic_load(&answer.is_there));
    return answer.status == 200 ? answer.body : "";
}

static size_t parts(const char *part) {
    size_t found = 0;
    for (const char *at = alerts(); (at = strstr(at, part)) != NULL; at++)
        found++;
    return found;
}

static void start(void) {
    char config[EZ_TEST_PATH_MAX + 32], storage[EZ_TEST_PATH_MAX + 32], listen[64], log[EZ_TEST_PATH_MAX + 8];
    snprintf(config, sizeof config, "--config.file=%s/a.yml", folder);
    snprintf(storage, sizeof storage, "--storage.path=%s", folder);
    snprintf(listen, sizeof listen, "--web.listen-address=127.0.0.1:%u", port);
    snprintf(log, sizeof log, "%.240s/log", folder);
    const char *args[] = {config, storage, listen, "--cluster.listen-address=", NULL};
    start_process(&process, PROGRAM, args, NULL, log);
    expect_soon(alerts()[0] == '[');
}

static void begin(void) {
    static const char text[] = "route: {receiver: none}\nreceivers: [{name: none}]\n";
    char file[EZ_TEST_PATH_MAX + 8];
    given_notify_world(&w, "127.0.0.1");
    given_folder(folder);
    port = given_port();
    snprintf(file, sizeof file, "%s/a.yml", folder);
    write_file(file, text, strlen(text));
    start();
    given_channels(&w, "[{'name':'am','kind':'alertmanager','url':'http://127.0.0.1:%u/'}]", port);
}

static void end(void) {
    end_notify_world(&w);
    kill_process(&process);
    remove_folder(folder);
}

TestSuite(alertmanager, .init = begin, .fini = end, .timeout = 120);

// Lets a group's time pass, again and again, until it says what is expected.
#define expect_told(condition)                                                                                         \
    do {                                                                                                               \
        uint64_t deadline_ = ez_test_deadline();                                                                       \
        while (!(condition) && ez_test_before(deadline_))                                                              \
            pass_ms(&w, 60000);                                                                                        \
        cr_assert(condition, "%s", alerts());                                                                          \
    } while (0)

Test(alertmanager, has_alerts_until_they_are_over) {
    for (int64_t id = 1; id <= 500; id++)
        note(&w, "created", (alert){.id = id, .severity = id == 1 ? CRITICAL : 0, .title = "quota \"x\""});
    expect_told(parts("\"fingerprint\":\"f1\"") == 500);
    cr_assert_eq(parts("\"severity\":\"critical\""), 1);
    cr_assert_eq(parts("\"alertname\":\"custom\""), 500);
    note(&w, "resolved", (alert){.id = 1, .severity = CRITICAL});
    note(&w, "dismissed", (alert){.id = 2});
    expect_told(parts("\"fingerprint\":\"f1\"") == 498);
    cr_assert_eq(parts("\"severity\":\"critical\""), 0);
}

Test(alertmanager, has_an_alert_that_became_worse_once) {
    note(&w, "created", (alert){.id = 7});
    expect_told(parts("\"severity\":\"warning\"") == 1);
    note(&w, "repeated", (alert){.id = 7, .severity = CRITICAL});
    expect_told(parts("\"severity\":\"critical\"") == 1);
    cr_assert_eq(parts("\"severity\":\"warning\""), 0);
    note(&w, "resolved", (alert){.id = 7, .severity = CRITICAL});
    expect_told(strcmp(alerts(), "[]\n") == 0);
}

Test(alertmanager, that_was_away_learns_what_it_missed) {
    note(&w, "created", (alert){.id = 1});
    expect_told(parts("\"fingerprint\":\"f1\"") == 1);
    kill_process(&process);
    note(&w, "resolved", (alert){.id = 1});
    note(&w, "created", (alert){.id = 2});
    pass_ms(&w, 120000);
    start();
    note(&w, "open", (alert){.id = 3}); // what it forgot is told again
    uint64_t deadline = ez_test_deadline();
    while (parts("\"fingerprint\":\"f1\"") != 2 && ez_test_before(deadline)) {
        repeat_now(&w);
        pass_ms(&w, 60000);
    }
    cr_assert_eq(parts("\"related_id\":\"2\""), 1, "%s", alerts());
    cr_assert_eq(parts("\"related_id\":\"1\""), 0, "%s", alerts());
}
