// SPDX-License-Identifier: Apache-2.0
//
// Reads the few fields by hand: this runs for each of a million keys when a server starts.
#include "server/domain/oauth/facts.h"

#include "proto/runtime/wire.h"
#include "server/domain/oauth/pace.h"
#include "server/state/directory/stamp.h"

#define S        1000000000ll
#define LEAST_NS (60 * S) // from a refresh to the next

enum {
    F_GROUP = 2,
    F_EXPIRES = 8,
    F_PROJECT = 10,
    F_STATUS = 13,
    F_LAST_REFRESH = 22,
    F_LAST_ERROR = 23,
    F_HAS_ACCESS = 24,
    F_HAS_REFRESH = 25,
    F_UPDATED = 28,
    F_ENDED = 33,
};

ez_oauth_facts ez_oauth_read_facts(ez_slice packed) {
    ez_oauth_facts facts = {.group_id = 0};
    size_t at = 0;
    ez_wire_field field;
    while (ez_wire_next(packed.data, packed.len, &at, &field)) {
        switch (field.number) {
        case F_GROUP:
            facts.group_id = (int64_t)field.varint;
            break;
        case F_EXPIRES:
            facts.expires_ns = ez_stamp_read(field.bytes);
            break;
        case F_PROJECT:
            facts.has_project = field.bytes.len > 0;
            break;
        case F_STATUS:
            facts.status = (int)field.varint;
            break;
        case F_LAST_REFRESH:
            facts.last_refresh_ns = ez_stamp_read(field.bytes);
            break;
        case F_LAST_ERROR:
            facts.has_error = field.bytes.len > 0;
            break;
        case F_HAS_ACCESS:
            facts.has_access = field.varint != 0;
            break;
        case F_HAS_REFRESH:
            facts.has_refresh = field.varint != 0;
            break;
        case F_UPDATED:
            facts.updated_ns = ez_stamp_read(field.bytes);
            break;
        case F_ENDED:
            facts.ended_ns = ez_stamp_read(field.bytes);
            break;
        default:
            break;
        }
    }
    return facts;
}

static int64_t before_ns(const ez_oauth_facts *facts, int64_t id, int64_t before_s) {
    int64_t before = before_s * S;
    int64_t life = facts->last_refresh_ns ? facts->expires_ns - facts->last_refresh_ns : 0;
    if (life > 0 && before < life / 10)
        before = life / 10;
    before += before / 10 * (int64_t)((uint64_t)id * 0x9e3779b97f4a7c15ull >> 54) / 1024;
    return life > 0 && before > life / 2 ? life / 2 : before;
}

int64_t ez_oauth_not_before_ns(const ez_oauth_facts *facts, int64_t due_ns, uint32_t interval_ms, int64_t now_ns) {
    int64_t last_ns = facts->last_refresh_ns < now_ns ? facts->last_refresh_ns : now_ns;
    int64_t pause_ns = interval_ms * INT64_C(1000000);
    if (!facts->last_refresh_ns || due_ns >= last_ns + LEAST_NS)
        return due_ns;
    return last_ns + (pause_ns > LEAST_NS ? pause_ns : LEAST_NS);
}

int64_t ez_oauth_retry_ns(int64_t due_ns, uint32_t interval_ms, int64_t now_ns) {
    int64_t pause_ms = interval_ms > EZ_OAUTH_BACKOFF_MAX_MS ? interval_ms : EZ_OAUTH_BACKOFF_MAX_MS;
    int64_t most_ns = now_ns + (pause_ms + pause_ms / 10 + 1) * 1000000;
    return due_ns < most_ns ? due_ns : most_ns;
}

int64_t ez_oauth_due_ns(const ez_oauth_facts *facts, int64_t id, int64_t before_s) {
    bool is_active = facts->status == EZ__V1__API_KEY_STATUS__API_KEY_STATUS_ACTIVE;
    if (facts->ended_ns)
        return is_active && facts->expires_ns ? facts->expires_ns : EZ_OAUTH_NEVER;
    if (!facts->has_refresh)
        return facts->has_access && facts->expires_ns ? facts->expires_ns - before_ns(facts, id, before_s)
                                                      : EZ_OAUTH_NEVER;
    if (!facts->has_access || !facts->expires_ns)
        return 0;
    return facts->expires_ns - before_ns(facts, id, before_s);
}
