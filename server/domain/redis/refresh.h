// SPDX-License-Identifier: Apache-2.0
//
// ez_refresher: takes what data planes ask for from the refresh queue, on a thread and a connection of its own, and
// hands it to whoever refreshes tokens. A request is in Redis until that one has said OK: first in the queue, then
// beside it (token:refresh:processing). What is no request goes to token:refresh:dead, the newest 1,000 are kept. The
// stream of the same name is read as a group, so that its entries are acknowledged one by one.
#pragma once

#include "server/domain/redis/redis.h"
#include "server/domain/redis/url.h"

typedef struct ez_refresher ez_refresher;

typedef struct ez_refresher_options {
    const ez_redis_url *url;
    const char *prefix;
    const char *ca_file;
    int stop_fd; // readable: end
    bool (*is_holder)(void *user, uint64_t *token);
    void *holder_user;
    ez_status (*refresh)(void *user, const ez_refresh_request *request, ez_error *error);
    void *refresh_user;
} ez_refresher_options;

typedef struct ez_refresher_numbers {
    uint64_t taken, dead, retried;
} ez_refresher_numbers;

ez_status ez_refresher_create(const ez_refresher_options *options, ez_refresher **out, ez_error *error) EZ_MUST_CHECK;
// Waits for the thread, after stop_fd became readable. It can still be counted.
void ez_refresher_stop(ez_refresher *refresher);    // NULL is fine
void ez_refresher_destroy(ez_refresher *refresher); // NULL is fine
void ez_refresher_count(ez_refresher *refresher, ez_refresher_numbers *out);

// Reads {"api_key_id": 42, "observed_access_token_sha256": "…", "reason": "401"}; further members are ignored. False:
// it is no request.
bool ez_refresh_request_read(const char *text, size_t len, ez_refresh_request *out);
