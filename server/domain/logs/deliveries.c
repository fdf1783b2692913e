// SPDX-License-Identifier: Apache-2.0
//
// What was sent to the error webhook, newest first.
#include "server/domain/logs/inside.h"
#include "server/state/delivery/page.h"

ez_status ez_handle_settings_list_deliveries(ez_logs *self, ez_call *call, ez_reader *reader,
                                             Ez__V1__ListDeliveriesRequest *request) {
    (void)self;
    ez_delivery_page page;
    ez_delivery_ask ask = {.kind_prefix = EZ_DELIVERY_KIND_ERROR_WEBHOOK,
                           .page_size = request->page_size,
                           .page_token = request->page_token};
    ez_status status = ez_delivery_read_page(call, reader, &ask, &page);
    if (status != EZ_OK)
        return status;
    Ez__V1__ListDeliveriesResponse reply = EZ__V1__LIST_DELIVERIES_RESPONSE__INIT;
    reply.n_items = page.count;
    reply.items = page.items;
    reply.next_page_token = page.next_page_token;
    return ez_call_reply(call, &reply.base);
}
