// SPDX-License-Identifier: Apache-2.0
//
// What a packed API key says about its tokens, and when it is its turn. Pure.
#pragma once

#include "server/state/directory/directory.h"

typedef struct ez_oauth_facts {
    int64_t group_id;                                          // 0: there is no such key
    int64_t expires_ns, last_refresh_ns, ended_ns, updated_ns; // 0: none
    int status;
    bool has_access, has_refresh;
    bool has_project, has_error;
} ez_oauth_facts;

ez_oauth_facts ez_oauth_read_facts(ez_slice packed);

// Nothing of it is to be done.
#define EZ_OAUTH_NEVER INT64_MAX

// When something is to be done about it, in wall-clock nanoseconds: a refresh, or, where its refresh token has ended or
// there is none, what follows when the access token ends. before_s: how long before the access token's end; at least a
// tenth of its life, at most half. Some earlier, by id, so that keys that were made together don't come together.
int64_t ez_oauth_due_ns(const ez_oauth_facts *facts, int64_t id, int64_t before_s);

// The same where it was refreshed less than a minute before: a reply whose access token is none, or has ended already,
// is not asked for again for a minute, or the interval where that is longer.
int64_t ez_oauth_not_before_ns(const ez_oauth_facts *facts, int64_t due_ns, uint32_t interval_ms, int64_t now_ns);

// When a try that failed is repeated: when it was planned, but no later from now than any pause between tries lasts. A
// clock that was set back leaves a key alone for no longer.
int64_t ez_oauth_retry_ns(int64_t due_ns, uint32_t interval_ms, int64_t now_ns);
