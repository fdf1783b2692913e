// SPDX-License-Identifier: Apache-2.0
//
// Codex: refresh tokens are good for one use, every field of a reply is optional, and the end of the access token is in
// the token itself (a JWT, about ten days). The account's id is in the id_token.
#include "server/domain/oauth/jwt.h"
#include "server/domain/oauth/providers/providers.h"

#define AUTH_CLAIM "https://api.openai.com/auth"

static const char *const terminal[] = {
    "refresh_token_expired",
    "refresh_token_reused",
    "refresh_token_invalidated",
    "invalid_refresh_token",
    "app_session_terminated",
    "app_session_expired",
    NULL,
};

static void read_account(const json_t *reply, ez_oauth_tokens *out) {
    const char *token = json_string_value(json_object_get(reply, "id_token"));
    json_t *claims = token ? ez_oauth_jwt_claims(token) : NULL;
    const json_t *auth = json_object_get(claims, AUTH_CLAIM);
    ez_oauth_take_text(json_object_get(auth, "chatgpt_account_id"), out->account_id, sizeof out->account_id);
    json_decref(claims);
}

static int64_t end_of(const char *access_token) {
    json_t *claims = ez_oauth_jwt_claims(access_token);
    double end = json_number_value(json_object_get(claims, "exp"));
    json_decref(claims);
    return end > 0 && end < EZ_OAUTH_SECONDS_MAX ? (int64_t)end : 0;
}

static void read(const json_t *reply, ez_oauth_tokens *out) {
    out->expires_s = end_of(out->access_token);
    read_account(reply, out);
}

const ez_oauth_provider ez_oauth_codex = {
    .type = "codex",
    .setting = "CODEX",
    .token_url = "https://auth.openai.com/oauth/token",
    .client_id = "app_EMoamEEZ73f0CkXaXp7hrann",
    .rotates = true,
    .before_s = 24 * 3600,
    .lifetime_s = 10 * 24 * 3600,
    .terminal = terminal,
    .read = read,
    .end_of = end_of,
};
