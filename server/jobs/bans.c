// SPDX-License-Identifier: Apache-2.0
//
// Looking is cheap and done here; changing is the writer's. A change that fails (a full queue, a full disk) is tried
// again at the next tick, because its bans are still due then.
#include "server/jobs/bans.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "ez/v1/common.pb-c.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"

#define TIMEOUT_NS 60000000000ull

struct ez_bans {
    ez_writer *writer;
    ez_routing *routing;
    ez_holder holder;
    atomic_bool is_out; // the writer has it
    ez_write write;
    ez_call *call;
    Ez__V1__Empty request;
};

ez_status ez_bans_create(ez_writer *writer, ez_routing *routing, ez_holder holder, ez_bans **out, ez_error *error) {
    ez_bans *bans = calloc(1, sizeof *bans);
    if (bans == NULL) {
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
    }
    bans->writer = writer;
    bans->routing = routing;
    bans->holder = holder;
    ez__v1__empty__init(&bans->request);
    *out = bans;
    return EZ_OK;
}

void ez_bans_destroy(ez_bans *bans) {
    if (bans != NULL) {
        ez_call_destroy_system(bans->call);
        free(bans);
    }
}

static void on_written(ez_write *write) {
    ez_bans *bans = (ez_bans *)(void *)((char *)write - offsetof(ez_bans, write));
    if (write->status != EZ_OK) {
        ez_log_warn("bans that have passed could not be ended; trying again", "reason", bans->call->error.reason,
                    "message", bans->call->error.message);
    }
    atomic_store(&bans->is_out, false);
}

void ez_bans_tick(ez_bans *bans) {
    uint64_t fence;
    if (!ez_holder_may(&bans->holder, &fence) || atomic_load(&bans->is_out) ||
        ez_routing_passed_bans(bans->routing, ez_clock_wall_ns()) == 0) {
        return;
    }
    ez_call_destroy_system(bans->call);
    bans->call = NULL;
    if (ez_call_create_system("bans", &bans->call) != EZ_OK) {
        bans->call = NULL;
        return;
    }
    bans->call->deadline_ns = ez_clock_mono_ns() + TIMEOUT_NS;
    bans->write = (ez_write){.call = bans->call,
                             .run = ez_routing_lift_bans,
                             .self = bans->routing,
                             .request = &bans->request.base,
                             .done = on_written,
                             .fence = fence,
                             .started_ns = ez_clock_mono_ns()};
    atomic_store(&bans->is_out, true);
    if (ez_writer_submit(bans->writer, &bans->write, NULL) != EZ_OK) {
        atomic_store(&bans->is_out, false);
    }
}
