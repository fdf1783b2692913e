// SPDX-License-Identifier: Apache-2.0
//
// Gemini CLI: Google's token endpoint with a client of its own, whose id and secret are settings.
#include "server/domain/oauth/providers/providers.h"

const ez_oauth_provider ez_oauth_gemini_cli = {
    .type = "gemini-cli",
    .setting = "GEMINI_CLI",
    .token_url = EZ_OAUTH_GOOGLE_TOKEN_URL,
    .client_id = "",
    .project_url = EZ_OAUTH_GOOGLE_PROJECT_URL,
    .is_form = true,
    .needs_secret = true,
    .before_s = 10 * 60,
    .lifetime_s = 3600,
    .terminal = ez_oauth_google_terminal,
    .read = ez_oauth_google_read,
};
