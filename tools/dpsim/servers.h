// SPDX-License-Identifier: Apache-2.0
//
// Servers as a setting names them: one URL or several with commas.
#pragma once

#include "clients/c/client.h"

#define EZ_SIM_SERVERS_TEXT 2048

// Fills options->servers; room holds EZ_SIM_SERVERS_TEXT bytes and must live until ez_client_open has returned.
// INVALID_ARGUMENT (SERVERS_INVALID) for none, too many or too long a list.
ez_status ez_sim_servers(const char *list, char *room, ez_client_options *options, ez_error *error) EZ_MUST_CHECK;
