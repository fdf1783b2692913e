// SPDX-License-Identifier: Apache-2.0
//
// What every operation shares and no .proto says: errors, headers, the parameters of changes, credentials. They mirror
// docs/protocol.md and what the gateway does.
#pragma once

#include "tools/protoc-gen-ez/json_text.h"
#include "tools/protoc-gen-ez/model.h"

typedef struct gen_failure {
    unsigned http_status;
    const char *status; // as a member of "responses"
    const char *name;   // of the component
    const char *text;
} gen_failure;

extern const gen_failure gen_failures[];
extern const unsigned gen_failure_count;

// "adminToken"; NULL for PUBLIC.
const char *gen_openapi_security_scheme(const gen_rpc *rpc);

// The members of components, but for those of schemas that come from messages.
void gen_openapi_parts(gen_json *json);
// The schemas "Problem" and "Violation", within an open "schemas".
void gen_openapi_problem(gen_json *json);
