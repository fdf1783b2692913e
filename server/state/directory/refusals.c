// SPDX-License-Identifier: Apache-2.0
//
// Refusals that follow from what the directory holds, which may be behind the store; those of a request alone hold
// anywhere.
#include "server/state/directory/refusals.h"

static bool depends_on_state(const ez_group_item *item) {
    ez_status status = item->write->status;
    return status == EZ_NOT_FOUND || status == EZ_ALREADY_EXISTS || status == EZ_FAILED_PRECONDITION ||
           status == EZ_ABORTED || status == EZ_PERMISSION_DENIED || status == EZ_OUT_OF_RANGE;
}

static bool is_any(const ez_writer *writer) {
    for (size_t i = 0; i < writer->item_count; i++) {
        if (depends_on_state(&writer->items[i]))
            return true;
    }
    return false;
}

static void take_back(ez_writer *writer) {
    for (size_t i = 0; i < writer->item_count; i++) {
        ez_write *write = writer->items[i].write;
        if (depends_on_state(&writer->items[i]))
            write->status = ez_error_set(&write->call->error, EZ_UNAVAILABLE, "STORE_UNAVAILABLE",
                                         "the store does not answer, and without it this server may be behind: nothing "
                                         "was changed, try again");
    }
}

ez_status ez_refusals_check(ez_writer *writer, ez_error *error) {
    if (!is_any(writer) || !ez_writer_has_others(writer))
        return EZ_OK;
    ez_store_head head;
    if (ez_store_read_head(writer->options.store, &head, NULL) != EZ_OK) {
        take_back(writer);
        return EZ_OK;
    }
    return head.n == writer->head.n ? EZ_OK
                                    : ez_error_set(error, EZ_ABORTED, "HEAD_MOVED", "another server committed first");
}

void ez_refusals_after_failure(ez_writer *writer, bool is_old) {
    ez_error error = EZ_ERROR_INIT;
    if (is_old || ez_refusals_check(writer, &error) != EZ_OK)
        take_back(writer);
}
