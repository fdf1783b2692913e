// SPDX-License-Identifier: Apache-2.0
//
// Packed, since an alert that waits a minute for its message should cost what it has to say, and a struct of
// protobuf-c's with a dozen texts costs more and has a dozen owners.
#include "server/domain/alerts/notify_notice.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[] = {[EZ_NOTICE_CREATED] = "created",           [EZ_NOTICE_REPEATED] = "repeated",
                                    [EZ_NOTICE_ACKNOWLEDGED] = "acknowledged", [EZ_NOTICE_RESOLVED] = "resolved",
                                    [EZ_NOTICE_DISMISSED] = "dismissed",       [EZ_NOTICE_OPEN] = "open",
                                    [EZ_NOTICE_DELETED] = "deleted",           [EZ_NOTICE_TEST] = "test"};

bool ez_notice_event_read(const char *word, ez_notice_event *out) {
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) == 0) {
            *out = (ez_notice_event)i;
            return true;
        }
    }
    return false;
}

const char *ez_notice_event_word(ez_notice_event event) {
    return words[event];
}

bool ez_notice_is_end(const ez_notice *notice) {
    return notice->event == EZ_NOTICE_RESOLVED || notice->event == EZ_NOTICE_DISMISSED ||
           notice->event == EZ_NOTICE_DELETED;
}

static bool take_budget(atomic_size_t *budget, size_t len) {
    if (!budget || atomic_fetch_add(budget, len) + len <= EZ_NOTICE_BYTES_MAX)
        return true;
    atomic_fetch_sub(budget, len);
    return false;
}

ez_notice *ez_notice_create(ez_notice_event event, const Ez__V1__Alert *alert, atomic_size_t *budget) {
    size_t len = protobuf_c_message_get_packed_size(&alert->base);
    if (len > EZ_NOTICE_MAX || !take_budget(budget, len))
        return NULL;
    ez_notice *made = malloc(sizeof *made + len);
    if (!made) {
        if (budget)
            atomic_fetch_sub(budget, len);
        return NULL;
    }
    *made = (ez_notice){.holds = 1,
                        .budget = budget,
                        .event = event,
                        .alert_id = alert->id,
                        .type = alert->type,
                        .severity = alert->severity,
                        .len = len};
    protobuf_c_message_pack(&alert->base, made->packed);
    return made;
}

ez_notice *ez_notice_hold(ez_notice *notice) {
    notice->holds++;
    return notice;
}

void ez_notice_release(ez_notice *notice) {
    if (!notice || --notice->holds > 0)
        return;
    if (notice->budget)
        atomic_fetch_sub(notice->budget, notice->len);
    free(notice);
}

Ez__V1__Alert *ez_notice_unpack(const ez_notice *notice, ez_arena *arena) {
    return (Ez__V1__Alert *)protobuf_c_message_unpack(&ez__v1__alert__descriptor, ez_arena_allocator(arena),
                                                      notice->len, notice->packed);
}
