// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees.
#pragma once

#include "ez/handlers.h"
#include "server/domain/usage/others.h"
#include "server/domain/usage/quotas.h"
#include "server/domain/usage/usage.h"
#include "server/state/directory/edit.h"
#include "server/state/metering/appender.h"

#define KIND_MASTER         EZ__V1__KIND__KIND_MASTER
#define KIND_KEY            EZ__V1__KIND__KIND_KEY
#define KIND_PROVIDER_GROUP EZ__V1__KIND__KIND_PROVIDER_GROUP
#define KIND_API_KEY        EZ__V1__KIND__KIND_API_KEY

#define LIVE_MASTERS_MAX 1000 // of one report

// The parts of a report that is published; the timer's thread.
typedef struct live_report {
    ez_realtime_view views[LIVE_MASTERS_MAX];
    Ez__V1__RealtimeStats stats[LIVE_MASTERS_MAX];
    Ez__V1__MasterRealtime rows[LIVE_MASTERS_MAX];
    Ez__V1__MasterRealtime *list[LIVE_MASTERS_MAX];
    ez_buf packed;
} live_report;

struct ez_usage {
    ez_usage_options options;
    ez_quotas *quotas;
    ez_others others;
    live_report report;
};

// Publishes a message on the events socket. What does not go out is logged: events are a courtesy.
void ez_usage_publish(ez_usage *usage, const char *topic, const ProtobufCMessage *message, ez_buf *room);
