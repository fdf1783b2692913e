// SPDX-License-Identifier: Apache-2.0
//
// What ezctl can be set to, and the token that follows from it.
#pragma once

#include "clients/c/client.h"
#include "clients/ctl/word.h"
#include "proto/runtime/settings.h"

#define EZ_CTL_SERVERS_TEXT_MAX 2048

extern const ez_setting ez_ctl_settings[];
extern const size_t ez_ctl_setting_count;

// The setting whose flag, without its hyphens, this is; NULL where there is none.
const ez_setting *ez_ctl_setting_find(const char *name, size_t len);
// "EZ_RPC_URL" → "rpc-url".
void ez_ctl_setting_flag(const ez_setting *setting, char out[EZ_CTL_WORD_MAX]);

// Where calls go and as whom. Texts live as long as this and the settings.
typedef struct ez_ctl_access {
    char servers[EZ_CTL_SERVERS_TEXT_MAX]; // EZ_RPC_URL, cut at its commas
    char token[EZ_CLIENT_TOKEN_MAX + 1];   // "": none was found
    char token_file[512];                  // where it was looked for last
    ez_client_options options;
} ez_ctl_access;

// EZ_TOKEN, else EZ_ADMIN_TOKEN, else EZ_HOME/admin.token where that can be read. INVALID_ARGUMENT (USAGE) for a list
// of servers or a token that can't be one.
ez_status ez_ctl_access_init(ez_ctl_access *access, const ez_settings *settings, ez_error *error) EZ_MUST_CHECK;
void ez_ctl_access_fini(ez_ctl_access *access); // wipes the token

ez_client_tls ez_ctl_tls(const ez_settings *settings);
