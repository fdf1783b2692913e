// SPDX-License-Identifier: Apache-2.0
//
// What a JSON web token says. Not verified: it came over TLS from whoever made it, and nothing is allowed by it. Pure.
#pragma once

#include <jansson.h>

// The claims, an object that the caller releases; NULL where the text is no such token.
json_t *ez_oauth_jwt_claims(const char *token);
