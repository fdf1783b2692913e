// SPDX-License-Identifier: Apache-2.0
//
// How one provider is asked here: its table's defaults under what the settings say. Made at the start, not changed
// after; any thread reads.
#pragma once

#include "proto/runtime/error.h"
#include "server/domain/oauth/provider.h"
#include "server/platform/outbound/outbound.h"

#define EZ_OAUTH_HEADERS 16 // of EZ_OAUTH_…_HEADERS

// As the settings say it; NULL or "": the default. Copied.
typedef struct ez_oauth_setting {
    const char *token_url, *client_id, *client_secret, *scope, *headers, *project_url;
} ez_oauth_setting;

typedef struct ez_oauth_source {
    const ez_oauth_provider *provider;
    char *token_url, *client_id, *client_secret, *scope, *project_url;
    ez_outbound_field headers[EZ_OAUTH_HEADERS];
    size_t header_count;
    int64_t before_s;
} ez_oauth_source;

// INVALID_ARGUMENT names the setting: a URL that outbound refuses, headers that are no JSON object of strings. *out is
// to be zeroed; fini it also after a failure.
ez_status ez_oauth_source_init(ez_oauth_source *out, const ez_oauth_provider *provider, const ez_oauth_setting *setting,
                               const ez_outbound_allow *allow, ez_error *error) EZ_MUST_CHECK;
void ez_oauth_source_fini(ez_oauth_source *source); // wipes the secret

// Whether it can be asked at all.
bool ez_oauth_source_is_set(const ez_oauth_source *source);
// FAILED_PRECONDITION (OAUTH_CLIENT_MISSING): names the settings that are missing.
ez_status ez_oauth_source_refuse(const ez_oauth_source *source, ez_error *error);

// "24h", "30m", "90s" or seconds for all, or "codex=24h,claude-code=30m": sets before_s of those it names. NULL or "":
// as the table has it. INVALID_ARGUMENT.
ez_status ez_oauth_read_before(const char *text, ez_oauth_source sources[EZ_OAUTH_PROVIDERS],
                               ez_error *error) EZ_MUST_CHECK;
