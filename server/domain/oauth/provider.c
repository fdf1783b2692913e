// SPDX-License-Identifier: Apache-2.0
//
// The list of providers. Its order is that of GET /admin/token-refresh and of nothing else.
#include "server/domain/oauth/provider.h"

#include <string.h>

#include "server/domain/oauth/providers/providers.h"

const ez_oauth_provider *const ez_oauth_providers[EZ_OAUTH_PROVIDERS] = {
    &ez_oauth_codex,
    &ez_oauth_claude_code,
    &ez_oauth_gemini_cli,
    &ez_oauth_antigravity,
};

int ez_oauth_provider_find(const char *type, size_t len) {
    for (int i = 0; i < EZ_OAUTH_PROVIDERS; i++)
        if (strlen(ez_oauth_providers[i]->type) == len && memcmp(ez_oauth_providers[i]->type, type, len) == 0)
            return i;
    return -1;
}
