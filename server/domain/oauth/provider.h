// SPDX-License-Identifier: Apache-2.0
//
// What is known of each provider type whose API keys hold OAuth tokens: where its token endpoint is, how it wants to be
// asked, what its replies hold and what its errors mean. One const table in a file each, below providers/; adding a
// provider is adding a file and its row in provider.c. docs/oauth.md says where the facts come from.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/domain/oauth/tokens.h"

#define EZ_OAUTH_PROVIDERS 4

typedef struct ez_oauth_provider {
    const char *type;        // the provider group's: "claude-code"
    const char *setting;     // between EZ_OAUTH_ and _TOKEN_URL: "CLAUDE_CODE"
    const char *token_url;   // defaults of the settings
    const char *client_id;   // "": must be set
    const char *project_url; // who knows a key's project; NULL: it needs none
    bool is_form;            // the body is a form, else JSON
    bool needs_secret;       // no call is made without a client secret
    bool rotates;            // a refresh token is good for one use
    bool sends_scope;        // a key's granted scope goes along
    int64_t before_s;        // refreshed so long before the access token ends
    int64_t lifetime_s;      // of an access token, where neither reply nor token says it
    // Error codes that end a refresh token, beside invalid_grant. NULL-terminated.
    const char *const *terminal;
    // Takes what only this provider's replies hold; the standard fields are taken before. Pure.
    void (*read)(const json_t *reply, ez_oauth_tokens *out);
    // When an access token ends, in Unix seconds, as it says itself; 0: it does not. NULL: none of them does. Pure.
    int64_t (*end_of)(const char *access_token);
} ez_oauth_provider;

extern const ez_oauth_provider *const ez_oauth_providers[EZ_OAUTH_PROVIDERS];

// The place in the table of a provider group's type; -1: its API keys hold no OAuth tokens that we know how to refresh.
int ez_oauth_provider_find(const char *type, size_t len);
