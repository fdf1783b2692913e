// SPDX-License-Identifier: Apache-2.0
//
// Splits a list of servers in the caller's room.
#include "tools/dpsim/servers.h"

#include <string.h>

ez_status ez_sim_servers(const char *list, char *room, ez_client_options *options, ez_error *error) {
    size_t len = strlen(list);
    if (len >= EZ_SIM_SERVERS_TEXT) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SERVERS_INVALID", "EZ_RPC_URL is longer than %d bytes.",
                            EZ_SIM_SERVERS_TEXT - 1);
    }
    memcpy(room, list, len + 1);
    options->server_count = 0;
    for (char *rest = room, *url; (url = strsep(&rest, ", ")) != NULL;) {
        if (*url == '\0') {
            continue;
        }
        if (options->server_count == EZ_CLIENT_SERVERS_MAX) {
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "SERVERS_INVALID", "EZ_RPC_URL names more than %d servers.",
                                EZ_CLIENT_SERVERS_MAX);
        }
        options->servers[options->server_count++] = url;
    }
    return options->server_count > 0
               ? EZ_OK
               : ez_error_set(error, EZ_INVALID_ARGUMENT, "SERVERS_INVALID", "EZ_RPC_URL names no server.");
}
