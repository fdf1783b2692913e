// SPDX-License-Identifier: Apache-2.0
//
// Replies that say something was not done: ezctl ended with 0 there, and scripts went on.
#include "clients/ctl/outcome.h"

#include <criterion/criterion.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/alert_notification.pb-c.h"
#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/binding.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/log.pb-c.h"

static void expect(const ProtobufCMessage *reply, size_t failed, size_t of) {
    size_t all = 99;
    cr_assert_eq(ez_ctl_outcome_failed(ez_message_rule_find(reply->descriptor), reply, &all), failed);
    cr_assert_eq(all, of);
}

Test(ctl_outcome, batches) {
    Ez__V1__BatchAlertsResponse alerts = EZ__V1__BATCH_ALERTS_RESPONSE__INIT;
    Ez__V1__BatchApiKeysResponse api_keys = EZ__V1__BATCH_API_KEYS_RESPONSE__INIT;
    Ez__V1__BatchBindingsResponse bindings = EZ__V1__BATCH_BINDINGS_RESPONSE__INIT;
    alerts.succeeded = api_keys.succeeded = bindings.succeeded = 2;
    expect(&alerts.base, 0, 2);
    alerts.failed = api_keys.failed = bindings.failed = 1;
    expect(&alerts.base, 1, 3);
    expect(&api_keys.base, 1, 3);
    expect(&bindings.base, 1, 3);
}

Test(ctl_outcome, tests_of_channels) {
    Ez__V1__NotificationTest a = EZ__V1__NOTIFICATION_TEST__INIT, b = a, *items[] = {&a, &b};
    Ez__V1__TestAlertNotificationsResponse reply = EZ__V1__TEST_ALERT_NOTIFICATIONS_RESPONSE__INIT;
    reply.items = items;
    reply.n_items = 2;
    expect(&reply.base, 2, 2);
    a.delivered = true;
    expect(&reply.base, 1, 2);
    b.delivered = true;
    expect(&reply.base, 0, 2);
}

Test(ctl_outcome, others_tell_of_none) {
    Ez__V1__Key key = EZ__V1__KEY__INIT;
    Ez__V1__ListKeysResponse keys = EZ__V1__LIST_KEYS_RESPONSE__INIT;
    Ez__V1__ListAlertDeliveriesResponse deliveries = EZ__V1__LIST_ALERT_DELIVERIES_RESPONSE__INIT;
    expect(&key.base, 0, 0);
    expect(&keys.base, 0, 0);
    expect(&deliveries.base, 0, 0);
}

// Failed requests are what a dashboard is for.
Test(ctl_outcome, statistics_are_no_outcome) {
    Ez__V1__DashboardRequests requests = EZ__V1__DASHBOARD_REQUESTS__INIT;
    requests.total = requests.failed = 5;
    expect(&requests.base, 0, 0);
}
