// SPDX-License-Identifier: Apache-2.0
//
// The object behind the Routing services. It holds the directory that reads are answered from; changes go through the
// transaction they are handed and keep nothing here.
#include "server/domain/routing/routing.h"

#include <stdlib.h>

#include "server/domain/routing/inside.h"

ez_status ez_routing_create(const ez_routing_options *options, ez_routing **out, ez_error *error) {
    ez_routing *routing = calloc(1, sizeof *routing);
    if (!routing)
        return ez_no_memory(error);
    routing->directory = options->directory;
    routing->counters = options->counters;
    routing->allow = options->allow;
    *out = routing;
    return EZ_OK;
}

void ez_routing_show_refresh(ez_routing *routing, int64_t (*next)(void *user, int64_t api_key_id), void *user) {
    routing->next_refresh = next;
    routing->refresh_user = user;
}

void ez_routing_destroy(ez_routing *routing) {
    free(routing);
}
