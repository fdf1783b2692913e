// SPDX-License-Identifier: Apache-2.0
//
// A token endpoint of one's own (tests/support/token_endpoint.py), and servers that ask it: a process, with a
// certificate made on the spot. Every function fails the test where it can't do what it says.
#pragma once

#include "ez/v1/oauth.pb-c.h"
#include "tests/integration/support/world.h"

#define EZ_TEST_ENDPOINT_ENV 24

typedef struct ez_token_endpoint {
    ez_test_process process;
    char folder[EZ_TEST_PATH_MAX];
    char certificate[EZ_TEST_PATH_MAX + 16], log[EZ_TEST_PATH_MAX + 16];
    char texts[EZ_TEST_ENDPOINT_ENV][EZ_TEST_PATH_MAX + 64];
    const char *env[EZ_TEST_ENDPOINT_ENV + 1]; // for given_world
} ez_token_endpoint;

// delay_ms: how long it takes to answer. more: further settings of the server ("EZ_X=y"), NULL-terminated, or NULL.
void given_token_endpoint(ez_token_endpoint *endpoint, unsigned delay_ms, const char *const *more);
void end_token_endpoint(ez_token_endpoint *endpoint);

// Those accounts are answered whose name begins with "hold", from now on.
void release_answers(const ez_token_endpoint *endpoint);

// What was presented: lines "ACCOUNT N good" and "ACCOUNT N reused". How many begin with this text.
unsigned presented(const ez_token_endpoint *endpoint, const char *prefix);

// A provider group of that type, and an API key of it whose access token ends in so many seconds (may be negative).
// Its tokens are "at-ACCOUNT-0" and "rt-ACCOUNT-0", and its name is the account.
Ez__V1__ProviderGroup *given_oauth_group(ez_caller *admin, const char *type);
int64_t given_oauth_key(ez_caller *admin, int64_t group_id, const char *account, int64_t ends_in_s);
Ez__V1__ApiKey *read_oauth_key(ez_caller *admin, int64_t id);

// Whether it was refreshed, and its access token is good for a minute at least; what its last_refresh_error holds.
bool is_fresh_key(ez_caller *admin, int64_t id);
bool has_oauth_error(ez_caller *admin, int64_t id, const char *part);

// A data plane asks, having seen this access token.
ez_status request_refresh(ez_caller *plane, int64_t id, const char *seen, Ez__V1__RequestRefreshResponse **reply);
void hash_of_token(const char *token, char out[65]);

// The open alert about an API key; 0: there is none.
int64_t open_alert_about(ez_caller *admin, int64_t id);
// How many refreshes of a provider type are under way at that server.
int64_t running_refreshes(ez_caller *admin, const char *type);
