// SPDX-License-Identifier: Apache-2.0
#include "server/domain/alerts/notify_queue.h"

#include "tests/support/wait.h"

static ez_notify_queue queue;
static atomic_size_t held;

static void end(void) {
    ez_notify_queue_clear(&queue);
    cr_assert_eq(atomic_load(&held), 0, "what a notice took is given back");
}

TestSuite(notify_queue, .fini = end);

static bool add(ez_notify_queue *to, ez_notice_event event, int64_t id, Ez__V1__AlertSeverity severity) {
    Ez__V1__Alert alert = EZ__V1__ALERT__INIT;
    alert.id = id;
    alert.severity = severity;
    ez_notice *notice = ez_notice_create(event, &alert, &held);
    cr_assert_not_null(notice);
    bool is_whole = ez_notify_queue_add(to, notice);
    ez_notice_release(notice);
    return is_whole;
}

#define INFO     EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_INFO
#define WARNING  EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_WARNING
#define CRITICAL EZ__V1__ALERT_SEVERITY__ALERT_SEVERITY_CRITICAL

Test(notify_queue, an_alert_stands_once_as_it_is_now) {
    cr_assert(add(&queue, EZ_NOTICE_CREATED, 1, WARNING));
    cr_assert(add(&queue, EZ_NOTICE_CREATED, 2, WARNING));
    cr_assert(add(&queue, EZ_NOTICE_RESOLVED, 1, WARNING));
    cr_assert_eq(queue.count, 2);
    cr_assert_eq(queue.items[0]->event, EZ_NOTICE_RESOLVED);
}

Test(notify_queue, an_end_is_not_taken_back_by_what_was_read_before) {
    add(&queue, EZ_NOTICE_RESOLVED, 1, WARNING);
    cr_assert(add(&queue, EZ_NOTICE_OPEN, 1, WARNING));
    cr_assert(ez_notify_queue_has_end(&queue, 1));
    add(&queue, EZ_NOTICE_OPEN, 2, WARNING);
    add(&queue, EZ_NOTICE_DISMISSED, 2, WARNING);
    cr_assert(ez_notify_queue_has_end(&queue, 2));
    cr_assert_not(ez_notify_queue_has_end(&queue, 3));
}

// A webhook was told "open" of a new alert, within ten seconds of a start.
Test(notify_queue, what_is_new_stays_so_where_it_is_read_as_open) {
    add(&queue, EZ_NOTICE_CREATED, 1, WARNING);
    cr_assert(add(&queue, EZ_NOTICE_OPEN, 1, WARNING));
    cr_assert_eq(queue.items[0]->event, EZ_NOTICE_CREATED);
    add(&queue, EZ_NOTICE_OPEN, 2, WARNING);
    cr_assert(add(&queue, EZ_NOTICE_CREATED, 2, WARNING));
    cr_assert_eq(queue.items[1]->event, EZ_NOTICE_CREATED);
}

Test(notify_queue, the_worst_come_first) {
    add(&queue, EZ_NOTICE_CREATED, 1, INFO);
    add(&queue, EZ_NOTICE_RESOLVED, 2, CRITICAL);
    add(&queue, EZ_NOTICE_CREATED, 4, CRITICAL);
    add(&queue, EZ_NOTICE_CREATED, 3, CRITICAL);
    ez_notify_queue_sort(&queue);
    static const int64_t order[] = {3, 4, 2, 1};
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(queue.items[i]->alert_id, order[i]);
}

Test(notify_queue, what_is_too_much_is_counted_and_the_worst_stay) {
    for (int64_t id = 1; id <= EZ_NOTIFY_QUEUE_MAX; id++)
        cr_assert(add(&queue, EZ_NOTICE_CREATED, id, WARNING));
    cr_assert_not(add(&queue, EZ_NOTICE_CREATED, 5000, INFO));
    cr_assert_not(ez_notify_queue_has(&queue, 5000));
    cr_assert_not(add(&queue, EZ_NOTICE_CREATED, 5001, CRITICAL));
    cr_assert(ez_notify_queue_has(&queue, 5001));
    cr_assert_eq(queue.count, EZ_NOTIFY_QUEUE_MAX);
    cr_assert_eq(queue.dropped, 2);
    cr_assert(add(&queue, EZ_NOTICE_RESOLVED, 5001, CRITICAL), "one that is there wants no room");
}

Test(notify_queue, what_an_earlier_message_was_about_goes_under_the_later) {
    ez_notify_queue earlier = {.dropped = 3};
    add(&earlier, EZ_NOTICE_CREATED, 1, WARNING);
    add(&earlier, EZ_NOTICE_CREATED, 2, WARNING);
    add(&queue, EZ_NOTICE_RESOLVED, 2, WARNING);
    ez_notify_queue_take_earlier(&queue, &earlier);
    cr_assert_eq(queue.count, 2);
    cr_assert_eq(queue.items[0]->event, EZ_NOTICE_RESOLVED);
    cr_assert_eq(queue.dropped, 3);
    cr_assert_eq(earlier.count, 0);
}

Test(notify_queue, the_memory_of_a_server_is_bounded) {
    Ez__V1__Alert alert = EZ__V1__ALERT__INIT;
    char text[60000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i + 1 < sizeof text ? 'x' : 0;
    alert.message = text;
    size_t made = 0;
    ez_notice *notices[1024];
    while (made < 1024 && (notices[made] = ez_notice_create(EZ_NOTICE_CREATED, &alert, &held)))
        made++;
    cr_assert_eq(made, EZ_NOTICE_BYTES_MAX / (sizeof text + 3));
    while (made > 0)
        ez_notice_release(notices[--made]);
    cr_assert_eq(atomic_load(&held), 0);
}
