// SPDX-License-Identifier: Apache-2.0
//
// Live numbers as they are asked for, and as they are published each second.
#include "proto/runtime/clock.h"
#include "server/domain/usage/inside.h"

#define MASTERS_DEFAULT 10

static uint64_t now_s(void) {
    return ez_clock_mono_ms() / 1000;
}

static Google__Protobuf__Timestamp stamp(int64_t ns) {
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = ns / 1000000000;
    time.nanos = (int32_t)(ns % 1000000000);
    return time;
}

static void fill_rows(const ez_realtime_view *views, size_t count, Google__Protobuf__Timestamp *time,
                      Ez__V1__RealtimeStats *stats, Ez__V1__MasterRealtime *rows, Ez__V1__MasterRealtime **list) {
    for (size_t i = 0; i < count; i++) {
        stats[i] = ez_realtime_stats(&views[i]);
        stats[i].time = time;
        ez__v1__master_realtime__init(&rows[i]);
        rows[i].master_id = views[i].master_id;
        rows[i].stats = &stats[i];
        list[i] = &rows[i];
    }
}

ez_status ez_handle_realtime_get(struct ez_usage *self, ez_call *call, Ez__V1__GetRealtimeRequest *request) {
    size_t room = request->masters ? (size_t)request->masters : MASTERS_DEFAULT;
    ez_realtime_view *views = ez_arena_alloc(&call->arena, room * sizeof *views), system;
    Ez__V1__RealtimeStats *stats = ez_arena_alloc(&call->arena, room * sizeof *stats);
    Ez__V1__MasterRealtime *rows = ez_arena_alloc(&call->arena, room * sizeof *rows);
    Ez__V1__MasterRealtime **list = ez_arena_alloc(&call->arena, room * sizeof *list);
    if (!views || !stats || !rows || !list)
        return ez_no_memory(&call->error);
    ez_realtime *realtime = self->options.realtime;
    uint64_t at = now_s();
    size_t busy = ez_realtime_masters(realtime, at);
    size_t count = ez_realtime_busiest(realtime, at, views, room);
    ez_realtime_system(realtime, at, &system);
    Google__Protobuf__Timestamp time = stamp(call->time_ns);
    Ez__V1__RealtimeStats all = ez_realtime_stats(&system);
    all.time = &time;
    fill_rows(views, count, &time, stats, rows, list);
    Ez__V1__RealtimeReport report = EZ__V1__REALTIME_REPORT__INIT;
    report.system = &all;
    report.n_masters = count;
    report.masters = list;
    report.active_masters = (int32_t)busy;
    return ez_call_reply(call, &report.base);
}

static ez_status reply_master(struct ez_usage *usage, ez_call *call, int64_t id) {
    ez_realtime_view view;
    ez_realtime_master(usage->options.realtime, id, now_s(), &view);
    Google__Protobuf__Timestamp time = stamp(call->time_ns);
    Ez__V1__RealtimeStats stats = ez_realtime_stats(&view);
    stats.time = &time;
    return ez_call_reply(call, &stats.base);
}

ez_status ez_handle_realtime_get_master(struct ez_usage *self, ez_call *call,
                                        Ez__V1__GetMasterRealtimeRequest *request) {
    ez_directory_enter();
    bool is_there = ez_directory_get(self->options.directory, KIND_MASTER, request->id) != NULL;
    ez_directory_leave();
    return is_there ? reply_master(self, call, request->id) : ez_kind_missing(KIND_MASTER, request->id, &call->error);
}

ez_status ez_handle_realtime_get_own(struct ez_usage *self, ez_call *call, Ez__V1__GetOwnRealtimeRequest *request) {
    (void)request;
    return reply_master(self, call, call->principal.id);
}

void ez_usage_tick(ez_usage *usage) {
    live_report *r = &usage->report;
    uint64_t at = now_s();
    ez_realtime_view system;
    ez_realtime_system(usage->options.realtime, at, &system);
    size_t busy = ez_realtime_masters(usage->options.realtime, at);
    size_t count = ez_realtime_changed(usage->options.realtime, at, r->views, LIVE_MASTERS_MAX);
    Google__Protobuf__Timestamp time = stamp(ez_clock_wall_ns());
    Ez__V1__RealtimeStats all = ez_realtime_stats(&system);
    all.time = &time;
    fill_rows(r->views, count, &time, r->stats, r->rows, r->list);
    Ez__V1__RealtimeReport report = EZ__V1__REALTIME_REPORT__INIT;
    report.system = &all;
    report.n_masters = count;
    report.masters = r->list;
    report.active_masters = (int32_t)busy;
    ez_usage_publish(usage, "stats.realtime", &report.base, &r->packed);
}
