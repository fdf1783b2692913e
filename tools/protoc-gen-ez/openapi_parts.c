// SPDX-License-Identifier: Apache-2.0
//
// Tables for the most part. HTTP statuses are those that docs/protocol.md gives for the codes; 415 is the gateway's
// own.
#include "tools/protoc-gen-ez/openapi_parts.h"

#include <stddef.h>

const gen_failure gen_failures[] = {
    {400, "400", "BadRequest", "INVALID_ARGUMENT or OUT_OF_RANGE: violations name the fields."},
    {401, "401", "Unauthorized", "UNAUTHENTICATED: no credential, or none that is known."},
    {403, "403", "Forbidden", "PERMISSION_DENIED: the credential is good for other calls."},
    {404, "404", "NotFound", "NOT_FOUND: no such resource."},
    {409, "409", "Conflict",
     "ALREADY_EXISTS: the name is taken; or ABORTED: If-Match names another revision than the resource's, or the "
     "idempotency key came with another request."},
    {412, "412", "PreconditionFailed",
     "FAILED_PRECONDITION: the state of things forbids it; detail says what to do first."},
    {415, "415", "UnsupportedMediaType", "The body is not application/json."},
    {429, "429", "TooManyRequests",
     "RESOURCE_EXHAUSTED: a limit is reached, or too much is in flight; Retry-After says when."},
    {500, "500", "InternalError", "INTERNAL, UNKNOWN or DATA_LOSS: a fault of the server; its log has the request id."},
    {503, "503", "Unavailable", "UNAVAILABLE: the server is starting, stopping or away; try again after Retry-After."},
    {504, "504", "DeadlineExceeded",
     "DEADLINE_EXCEEDED: the timeout passed. A change may still have happened: send it again with the same "
     "Idempotency-Key."},
};
const unsigned gen_failure_count = sizeof gen_failures / sizeof gen_failures[0];

typedef struct part {
    const char *name;  // of the component
    const char *in;    // "header", "query"
    const char *param; // its name on the wire
    const char *schema;
    const char *text;
} part;

static const part parameters[] = {
    {"RequestId", "header", "X-Request-ID", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9._-]{1,64}$\"}",
     "Names the request in logs and in the audit; made by the gateway where absent. The reply repeats it."},
    {"IdempotencyKey", "header", "Idempotency-Key", "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 64}",
     "The same key with the same request gets the first reply again; nothing is done twice."},
    {"IfMatch", "header", "If-Match", "{\"type\": \"string\", \"examples\": [\"\\\"42\\\"\"]}",
     "The ETag the caller has seen: the change is refused (409) where the resource has another revision."},
    {"IfNoneMatch", "header", "If-None-Match", "{\"type\": \"string\", \"examples\": [\"\\\"42\\\"\"]}",
     "An ETag: 304 without body where the resource still has it."},
    {"ValidateOnly", "query", "validate_only", "{\"type\": \"boolean\", \"default\": false}",
     "Say what would happen, change nothing."},
    {"Wait", "query", "wait",
     "{\"type\": \"string\", \"enum\": [\"committed\", \"applied\"], \"default\": \"committed\"}",
     "applied: answer when every live data plane has acknowledged the change, or when the timeout has passed; "
     "X-EZ-Applied "
     "says how many have."},
    {"Timeout", "query", "timeout", "{\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m)$\", \"examples\": [\"5s\"]}",
     "How long the call may take: 500ms, 5s, 1m."},
};

static const part headers[] = {
    {"ETag", NULL, NULL, "{\"type\": \"string\", \"examples\": [\"\\\"42\\\"\"]}",
     "The resource's revision, in quotes."},
    {"Revision", NULL, NULL, "{\"type\": \"integer\", \"format\": \"uint64\", \"minimum\": 0}",
     "The store's revision as of this reply; for a change, the one it made."},
    {"Applied", NULL, NULL, "{\"type\": \"string\", \"pattern\": \"^[0-9]+/[0-9]+$\", \"examples\": [\"3/3\"]}",
     "With wait=applied: live data planes that have acknowledged the change, of how many."},
    {"RequestId", NULL, NULL, "{\"type\": \"string\"}", "The request's id."},
    {"RetryAfter", NULL, NULL, "{\"type\": \"integer\", \"minimum\": 0}", "Seconds to wait before trying again."},
};

static const part schemes[] = {
    {"adminToken", NULL, NULL, NULL, "An admin token: eza_…"},
    {"masterKey", NULL, NULL, NULL, "A master key: ezm_…; reaches the master's own resources only."},
    {"dataPlaneToken", NULL, NULL, NULL, "A data plane's token: ezd_…"},
};

static const part problem[] = {
    {"type", NULL, NULL, "string", "A URI that names the kind of problem."},
    {"title", NULL, NULL, "string", "The HTTP status in words."},
    {"status", NULL, NULL, "integer", "The HTTP status."},
    {"detail", NULL, NULL, "string", "One sentence for people: what is wrong, what to do."},
    {"reason", NULL, NULL, "string", "A stable UPPER_SNAKE word for programs."},
    {"request_id", NULL, NULL, "string", "The request's id."},
};

const char *gen_openapi_security_scheme(const gen_rpc *rpc) {
    switch (rpc->rule->scope) {
    case EZ__OPTIONS__SCOPE__ADMIN:
        return "adminToken";
    case EZ__OPTIONS__SCOPE__MASTER:
        return "masterKey";
    case EZ__OPTIONS__SCOPE__DATA_PLANE:
        return "dataPlaneToken";
    default:
        return NULL;
    }
}

static void put_header_ref(gen_json *json, const char *header, const char *component) {
    gen_json_ref(json, header, "headers", component);
}

static void put_responses(gen_json *json) {
    gen_json_open(json, "responses", '{');
    for (unsigned i = 0; i < gen_failure_count; i++) {
        const gen_failure *failure = &gen_failures[i];
        gen_json_open(json, failure->name, '{');
        gen_json_string(json, "description", failure->text);
        gen_json_open(json, "headers", '{');
        put_header_ref(json, "X-Request-ID", "RequestId");
        if (failure->http_status == 429 || failure->http_status == 503)
            put_header_ref(json, "Retry-After", "RetryAfter");
        gen_json_close(json, '}');
        gen_json_open(json, "content", '{');
        gen_json_open(json, "application/problem+json", '{');
        gen_json_ref(json, "schema", "schemas", "Problem");
        gen_json_close(json, '}');
        gen_json_close(json, '}');
        gen_json_close(json, '}');
    }
    gen_json_close(json, '}');
}

void gen_openapi_parts(gen_json *json) {
    gen_json_open(json, "parameters", '{');
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        gen_json_open(json, parameters[i].name, '{');
        gen_json_string(json, "name", parameters[i].param);
        gen_json_string(json, "in", parameters[i].in);
        gen_json_string(json, "description", parameters[i].text);
        gen_json_raw(json, "schema", parameters[i].schema);
        gen_json_close(json, '}');
    }
    gen_json_close(json, '}');
    gen_json_open(json, "headers", '{');
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        gen_json_open(json, headers[i].name, '{');
        gen_json_string(json, "description", headers[i].text);
        gen_json_raw(json, "schema", headers[i].schema);
        gen_json_close(json, '}');
    }
    gen_json_close(json, '}');
    put_responses(json);
    gen_json_open(json, "securitySchemes", '{');
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        gen_json_open(json, schemes[i].name, '{');
        gen_json_string(json, "type", "http");
        gen_json_string(json, "scheme", "bearer");
        gen_json_string(json, "description", schemes[i].text);
        gen_json_close(json, '}');
    }
    gen_json_close(json, '}');
}

static void put_text_property(gen_json *json, const char *name, const char *type, const char *text) {
    gen_json_open(json, name, '{');
    gen_json_string(json, "type", type);
    gen_json_string(json, "description", text);
    gen_json_close(json, '}');
}

void gen_openapi_problem(gen_json *json) {
    gen_json_open(json, "Problem", '{');
    gen_json_string(json, "type", "object");
    gen_json_string(json, "description", "Why a call failed (RFC 9457).");
    gen_json_open(json, "properties", '{');
    for (size_t i = 0; i < sizeof problem / sizeof problem[0]; i++)
        put_text_property(json, problem[i].name, problem[i].schema, problem[i].text);
    gen_json_open(json, "violations", '{');
    gen_json_string(json, "type", "array");
    gen_json_ref(json, "items", "schemas", "Violation");
    gen_json_close(json, '}');
    gen_json_close(json, '}');
    gen_json_raw(json, "required", "[\"type\", \"title\", \"status\"]");
    gen_json_close(json, '}');
    gen_json_open(json, "Violation", '{');
    gen_json_string(json, "type", "object");
    gen_json_string(json, "description", "One thing wrong with one field.");
    gen_json_open(json, "properties", '{');
    put_text_property(json, "field", "string", "Its path within the request: key.allow_ips[2].");
    put_text_property(json, "description", "string", "What is wrong with it.");
    gen_json_close(json, '}');
    gen_json_raw(json, "required", "[\"field\", \"description\"]");
    gen_json_close(json, '}');
}
