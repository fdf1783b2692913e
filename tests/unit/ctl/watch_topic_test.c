// SPDX-License-Identifier: Apache-2.0
//
// Events of the events socket as lines and as objects, and what is told of those that did not come.
#include <criterion/criterion.h>
#include <string.h>

#include "clients/ctl/text.h"
#include "clients/ctl/watch.h"
#include "ez/v1/alert.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "ez/v1/log.pb-c.h"

static ez_buf event, out, notes;
static ez_ctl_followed followed;
static ez_ctl_live live;
static ez_ctl_watch_form form = {.live = &live};

static void begin(void) {
    ez_ctl_text_init();
    ez_buf_init(&event, EZ_EVENT_MAX);
    ez_buf_init(&out, 1 << 20);
    ez_buf_init(&notes, 4096);
}

static void end(void) {
    ez_buf_fini(&event);
    ez_buf_fini(&out);
    ez_buf_fini(&notes);
}

TestSuite(watch_topic, .init = begin, .fini = end);

static void read_event(const char *word, const char *server_id, uint64_t sequence, const ProtobufCMessage *message) {
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Ez__V1__EventHeader header = EZ__V1__EVENT_HEADER__INIT;
    const ez_ctl_watch_topic *topic = ez_ctl_watch_topic_find(word);
    ez_error error = EZ_ERROR_INIT;
    cr_assert_not_null(topic);
    time.seconds = 1700000000;
    header.server_id = (char *)server_id;
    header.sequence = sequence;
    header.time = &time;
    ez_buf_clear(&event);
    ez_buf_clear(&out);
    ez_buf_clear(&notes);
    cr_assert_eq(ez_frame_write_event(&event, topic->topic, &header), EZ_OK);
    if (message)
        cr_assert_eq(ez_buf_pack(&event, message), EZ_OK);
    cr_assert_eq(
        ez_ctl_watch_topic_event(&followed, topic, (ez_slice){event.data, event.len}, &form, &out, &notes, &error),
        EZ_OK, "%s", error.message);
}

static void expect_out(const char *text) {
    cr_assert_str_eq(ez_buf_cstr(&out), text);
}

Test(watch_topic, a_data_plane_is_a_line) {
    Ez__V1__Revision applied = EZ__V1__REVISION__INIT;
    Ez__V1__DataPlaneEvent message = EZ__V1__DATA_PLANE_EVENT__INIT;
    message.type = EZ__V1__DATA_PLANE_EVENT_TYPE__DATA_PLANE_EVENT_TYPE_JOINED;
    message.id = 7;
    message.applied = &applied;
    applied.n = 12;
    read_event("data-planes", "s1", 1, &message.base);
    expect_out("2023-11-14T22:13:20Z           7  joined          12       0         0\n");
    form.is_json = true;
    read_event("data-planes", "s1", 2, &message.base);
    cr_assert_eq(strncmp(ez_buf_cstr(&out), "{\"time\":\"2023-11-14T22:13:20Z\",\"type\":\"joined\",\"id\":7,", 53), 0,
                 "%s", ez_buf_cstr(&out));
    cr_assert_eq(out.data[out.len - 2], '}');
}

Test(watch_topic, each_log_is_a_line) {
    Ez__V1__LogRecord one = EZ__V1__LOG_RECORD__INIT, two = EZ__V1__LOG_RECORD__INIT, *records[] = {&one, &two};
    Ez__V1__IngestLogsRequest message = EZ__V1__INGEST_LOGS_REQUEST__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 1700000001;
    time.nanos = 5000000;
    one.time = two.time = &time;
    one.status_code = 200;
    one.model = (char *)"gpt-4o";
    two.status_code = 500;
    two.error_message = (char *)"upstream\033[2J\nfailed";
    message.records = records;
    message.n_records = 2;
    read_event("logs", "s1", 1, &message.base);
    char *second = strchr((char *)ez_buf_cstr(&out), '\n') + 1;
    cr_assert_eq(strncmp(ez_buf_cstr(&out), "2023-11-14T22:13:21.005Z     200 ", 33), 0, "%s", ez_buf_cstr(&out));
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "  gpt-4o  "));
    cr_assert_null(strchr(second, '\033'), "a log moved the cursor");
    cr_assert_eq(strchr(second, '\n')[1], '\0', "a log made a line of its own");
    form.is_json = true;
    read_event("logs", "s1", 2, &message.base);
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "\"status_code\":200"));
    second = strchr((char *)ez_buf_cstr(&out), '\n') + 1;
    cr_assert_not_null(strstr(second, "\"status_code\":500"));
    cr_assert_eq(*second, '{');
}

Test(watch_topic, a_report_takes_the_place_of_the_one_before) {
    Ez__V1__RealtimeStats stats = EZ__V1__REALTIME_STATS__INIT;
    Ez__V1__MasterRealtime master = EZ__V1__MASTER_REALTIME__INIT, *masters[] = {&master};
    Ez__V1__RealtimeReport message = EZ__V1__REALTIME_REPORT__INIT;
    stats.requests = 4711;
    master.master_id = 815;
    master.stats = &stats;
    message.system = &stats;
    message.masters = masters;
    message.n_masters = 1;
    read_event("stats", "s1", 1, &message.base);
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "4711"));
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "815"));
    cr_assert_null(strchr(ez_buf_cstr(&out), '\033'));
    form.is_screen = true;
    read_event("stats", "s1", 2, &message.base);
    cr_assert_eq(out.data[0], '\033');
    form = (ez_ctl_watch_form){.is_json = true, .live = &live};
    read_event("stats", "s1", 3, &message.base);
    cr_assert_eq(strncmp(ez_buf_cstr(&out), "{\"time\":\"2023-11-14T22:13:20Z\",\"system\":{\"requests\":4711", 55), 0,
                 "%s", ez_buf_cstr(&out));
}

Test(watch_topic, masters_stay_until_they_are_idle) {
    Ez__V1__RealtimeStats all = EZ__V1__REALTIME_STATS__INIT, one = EZ__V1__REALTIME_STATS__INIT,
                          two = EZ__V1__REALTIME_STATS__INIT;
    Ez__V1__MasterRealtime first = EZ__V1__MASTER_REALTIME__INIT, second = EZ__V1__MASTER_REALTIME__INIT,
                           *masters[] = {&first, &second};
    Ez__V1__RealtimeReport message = EZ__V1__REALTIME_REPORT__INIT;
    message.system = &all;
    message.masters = masters;
    message.n_masters = 2;
    first.master_id = 111;
    first.stats = &one;
    one.requests = 5;
    second.master_id = 222;
    second.stats = &two;
    two.requests = 9;
    read_event("stats", "s1", 1, &message.base);
    cr_assert_lt(strstr(ez_buf_cstr(&out), "222"), strstr(ez_buf_cstr(&out), "111"), "the busiest is first");
    message.n_masters = 0; // nothing changed
    read_event("stats", "s1", 2, &message.base);
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "111"));
    message.n_masters = 1;
    one.requests = 0;
    read_event("stats", "s1", 3, &message.base);
    cr_assert_null(strstr(ez_buf_cstr(&out), "111"));
    cr_assert_not_null(strstr(ez_buf_cstr(&out), "222"));
    message.n_masters = 0;
    read_event("stats", "s1", 5, &message.base);
    cr_assert_null(strstr(ez_buf_cstr(&out), "222"), "after a loss nobody knows");
}

Test(watch_topic, an_alert_is_a_line) {
    static const char line[] =
        "2023-11-14T22:13:20Z      created              7  critical  quota_exceeded               3  Quota";
    static const char object[] =
        "{\"time\":\"2023-11-14T22:13:20Z\",\"event\":\"created\",\"alert\":{\"id\":7,\"type\":\"quota_exceeded\",";
    Ez__V1__Alert alert = EZ__V1__ALERT__INIT;
    Ez__V1__AlertEvent message = EZ__V1__ALERT_EVENT__INIT;
    message.event = (char *)"created";
    message.alert = &alert;
    alert.id = 7;
    alert.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_QUOTA_EXCEEDED;
    alert.severity = EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL;
    alert.count = 3;
    alert.title = (char *)"Quota\033[2J\nused up";
    read_event("alerts", "s1", 3, &message.base);
    cr_assert_eq(strncmp(ez_buf_cstr(&out), line, strlen(line)), 0, "%s", ez_buf_cstr(&out));
    cr_assert_null(strchr(ez_buf_cstr(&out), '\033'), "an alert moved the cursor");
    form.is_json = true;
    read_event("alerts", "s1", 4, &message.base);
    cr_assert_eq(strncmp(ez_buf_cstr(&out), object, strlen(object)), 0, "%s", ez_buf_cstr(&out));
}

Test(watch_topic, what_did_not_come_is_told) {
    read_event("alerts", "s1", 3, NULL);
    cr_assert_eq(notes.len, 0, "the first tells nothing");
    read_event("alerts", "s1", 4, NULL);
    cr_assert_eq(notes.len, 0);
    read_event("alerts", "s1", 8, NULL);
    cr_assert_str_eq(ez_buf_cstr(&notes), "missed events: 3\n");
    read_event("alerts", "s2", 1, NULL);
    cr_assert_not_null(strstr(ez_buf_cstr(&notes), "another server"));
    read_event("alerts", "s2", 2, NULL);
    cr_assert_eq(notes.len, 0);
}

Test(watch_topic, bytes_that_are_no_event_are_an_error) {
    static const uint8_t bad[] = "dataplanes\0\1\0\xff\xff";
    ez_error error = EZ_ERROR_INIT;
    cr_assert_neq(ez_ctl_watch_topic_event(&followed, ez_ctl_watch_topic_find("data-planes"),
                                           (ez_slice){bad, sizeof bad - 1}, &form, &out, &notes, &error),
                  EZ_OK);
    cr_assert_eq(out.len, 0);
    cr_assert_not(followed.has_begun);
}

Test(watch_topic, config_and_others_are_none) {
    cr_assert_null(ez_ctl_watch_topic_find("config"));
    cr_assert_null(ez_ctl_watch_topic_find("dataplanes"));
}
