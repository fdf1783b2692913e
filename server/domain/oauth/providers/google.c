// SPDX-License-Identifier: Apache-2.0
//
// What Gemini CLI and Antigravity share: Google's token endpoint. Its refresh tokens stay good, so a call whose answer
// was lost can simply be made again.
#include "server/domain/oauth/providers/providers.h"

const char *const ez_oauth_google_terminal[] = {NULL};

void ez_oauth_google_read(const json_t *reply, ez_oauth_tokens *out) {
    (void)reply;
    (void)out;
}
