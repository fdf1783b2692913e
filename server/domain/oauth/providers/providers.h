// SPDX-License-Identifier: Apache-2.0
//
// The one symbol of each provider's file, and what Google's two share. For server/domain/oauth alone.
#pragma once

#include "server/domain/oauth/provider.h"

extern const ez_oauth_provider ez_oauth_codex;
extern const ez_oauth_provider ez_oauth_claude_code;
extern const ez_oauth_provider ez_oauth_gemini_cli;
extern const ez_oauth_provider ez_oauth_antigravity;

#define EZ_OAUTH_GOOGLE_TOKEN_URL   "https://oauth2.googleapis.com/token"
#define EZ_OAUTH_GOOGLE_PROJECT_URL "https://cloudcode-pa.googleapis.com/v1internal:loadCodeAssist"
// Google's replies hold nothing beyond the standard fields.
void ez_oauth_google_read(const json_t *reply, ez_oauth_tokens *out);
extern const char *const ez_oauth_google_terminal[];
