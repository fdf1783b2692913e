// SPDX-License-Identifier: Apache-2.0
//
// The table. A topic that is not in here is passed over when it comes. The names are those that WatchEventsRequest
// takes; a test compares them.
#include "gateway/topic.h"

#include <string.h>

#include "ez/v1/alert.pb-c.h"
#include "ez/v1/data_plane.pb-c.h"
#include "ez/v1/log.pb-c.h"
#include "ez/v1/realtime.pb-c.h"
#include "ez/v1/usage.pb-c.h"

const ez_topic ez_topics[EZ_TOPIC_COUNT] = {
    {"stats.realtime", 'r', &ez__v1__realtime_report__descriptor},
    {"stats.flush", 'f', &ez__v1__usage_flushed__descriptor},
    {"alerts", 'a', &ez__v1__alert_event__descriptor},
    {"dataplanes", 'd', &ez__v1__data_plane_event__descriptor},
    {"logs", 'l', &ez__v1__ingest_logs_request__descriptor},
};

int ez_topic_find(const char *name) {
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (strcmp(ez_topics[i].name, name) == 0)
            return i;
    }
    return -1;
}

int ez_topic_of_letter(char letter) {
    for (int i = 0; i < EZ_TOPIC_COUNT; i++) {
        if (ez_topics[i].letter == letter)
            return i;
    }
    return -1;
}
