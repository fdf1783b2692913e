// SPDX-License-Identifier: Apache-2.0
//
// Calls the server makes by itself: at first start, for an import. They have no method and no caller but "system:…",
// which is what the audit shows as both; no deadline, since nobody waits who could give up.
#include <stdio.h>
#include <stdlib.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/runtime/clock.h"
#include "server/state/directory/writer.h"

#define ARENA_MAX (256u << 20) // an import's messages, up to EZ_TXN_CHANGES_MAX of them

ez_status ez_call_create_system(const char *what, ez_call **out) {
    uint8_t id[12];
    ez_call *call = calloc(1, sizeof *call);
    if (!call)
        return EZ_RESOURCE_EXHAUSTED;
    if (ez_random(id, sizeof id) != EZ_OK) {
        free(call);
        return EZ_INTERNAL;
    }
    ez_hex(id, sizeof id, call->request_id);
    call->principal.scope = EZ_SCOPE_ADMIN;
    snprintf(call->principal.actor, sizeof call->principal.actor, "system:%s", what);
    call->time_ns = ez_clock_wall_ns();
    ez_arena_init(&call->arena, ARENA_MAX);
    ez_buf_init(&call->reply, EZ_CALL_MAX);
    *out = call;
    return EZ_OK;
}

void ez_call_destroy_system(ez_call *call) {
    if (!call)
        return;
    ez_buf_fini(&call->reply);
    ez_arena_fini(&call->arena);
    free(call);
}
