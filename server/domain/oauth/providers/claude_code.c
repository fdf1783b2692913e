// SPDX-License-Identifier: Apache-2.0
//
// Claude Code: refresh tokens are good for one use, but a reply may leave the new one out, and then the old one stays.
// The scope is sent only where the key knows exactly what was granted: a wider one is refused (invalid_scope).
#include "server/domain/oauth/providers/providers.h"

static const char *const terminal[] = {NULL};

static void read(const json_t *reply, ez_oauth_tokens *out) {
    ez_oauth_take_text(json_object_get(json_object_get(reply, "account"), "uuid"), out->account_id,
                       sizeof out->account_id);
}

const ez_oauth_provider ez_oauth_claude_code = {
    .type = "claude-code",
    .setting = "CLAUDE_CODE",
    .token_url = "https://platform.claude.com/v1/oauth/token",
    .client_id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
    .rotates = true,
    .sends_scope = true,
    .before_s = 30 * 60,
    .lifetime_s = 8 * 3600,
    .terminal = terminal,
    .read = read,
};
