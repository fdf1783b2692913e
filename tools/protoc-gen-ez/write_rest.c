// SPDX-License-Identifier: Apache-2.0
//
// ez/rest.md: the reference of REST for people. A chapter per service with its calls, one for the calls that are not on
// REST, then the objects and words that replies hold. Bodies are shown as tables where they are taken, replies by a
// link to their object.
#include <ctype.h>
#include <string.h>

#include "tools/protoc-gen-ez/openapi_parts.h"
#include "tools/protoc-gen-ez/rest.h"
#include "tools/protoc-gen-ez/rest_table.h"
#include "tools/protoc-gen-ez/write.h"

static const char *const preface =
    "# REST\n\n"
    "<!-- Made by protoc-gen-ez from proto/ez/v1. Not to be edited. -->\n\n"
    "Served by `ez-gateway`. The same as OpenAPI 3.1: `GET /openapi.json`.\n\n"
    "- **JSON**: snake_case names, 64-bit integers as numbers (in requests also as strings, which is how one above "
    "9223372036854775807 has to be written), enums as lower-case words, timestamps RFC 3339 in UTC, bytes base64 or "
    "hexadecimal as the field says. A reply has every field, also empty ones, unless its table says "
    "otherwise. "
    "Unknown fields and unknown query parameters are refused.\n"
    "- **Credential**: `Authorization: Bearer …`: an admin token (`eza_…`), a master key (`ezm_…`) or a data plane's "
    "token "
    "(`ezd_…`), as each call says.\n"
    "- **Every call** takes the header `X-Request-ID` and the query parameter `timeout` (`500ms`, `5s`, `1m`), and "
    "replies "
    "with `X-Request-ID` and `X-EZ-Revision`, the store's revision.\n"
    "- **Every change** also takes the header `Idempotency-Key` (the same key with the same request gets the first "
    "reply "
    "again), on a resource `If-Match` (its ETag; 409 where it has changed since), and the query parameters "
    "`validate_only=true` (say what would happen, change nothing) and `wait=applied` (answer when every live data "
    "plane has "
    "acknowledged it, or the timeout has passed; `X-EZ-Applied` says how many of how many have).\n"
    "- **Errors** are problem documents (RFC 9457, `application/problem+json`) with `type`, `title`, `status`, "
    "`detail`, "
    "`reason`, `violations` and `request_id`. 400, 429, 500, 503 and 504 can come from every call, 401 and 403 from "
    "every one "
    "that wants a credential.\n\n";

static const char *scope_words(const gen_rpc *rpc) {
    switch (rpc->rule->scope) {
    case EZ__OPTIONS__SCOPE__ADMIN:
        return "an admin token";
    case EZ__OPTIONS__SCOPE__MASTER:
        return "a master key";
    case EZ__OPTIONS__SCOPE__DATA_PLANE:
        return "a data plane's token";
    default:
        return "no credential";
    }
}

static const gen_route *route_of(const gen_schema *schema, const gen_rpc *rpc, unsigned ordinal) {
    for (unsigned i = 0; i < schema->route_count; i++)
        if (schema->routes[i]->rpc == rpc && schema->routes[i]->ordinal == ordinal)
            return schema->routes[i];
    return NULL;
}

static void put_params(const gen_route *route, gen_text *out) {
    const gen_message *request = route->rpc->request;
    bool any = false;
    for (unsigned i = 0; i < request->field_count; i++) {
        const gen_field *field = &request->fields[i];
        bool in_path = gen_route_has_param(route, field);
        if (!in_path && !gen_route_has_query(route, field))
            continue;
        if (!any)
            gen_text_puts(out, "| Parameter | In | Type | |\n|---|---|---|---|\n");
        any = true;
        gen_text_printf(out, "| `%s` | %s | ", field->name, in_path ? "path" : "query");
        gen_rest_put_type(field, out);
        gen_text_puts(out, " | ");
        gen_rest_put_rules(field, GEN_VIEW_INPUT, out);
        gen_text_puts(out, " |\n");
    }
    if (any)
        gen_text_puts(out, "\n");
}

static void put_body(const gen_route *route, gen_text *out) {
    if (!gen_route_has_body(route))
        return;
    if (route->body && gen_view_of_body(route->rpc) == GEN_VIEW_PATCH)
        gen_text_puts(out, "Body: any of these fields; what is left out stays as it is.\n\n");
    else
        gen_text_puts(out, "Body:\n\n");
    if (route->body)
        gen_rest_put_fields(route->body->message, gen_view_of_body(route->rpc), NULL, out);
    else
        gen_rest_put_fields(route->rpc->request, GEN_VIEW_INPUT, route, out);
}

static void put_reply(const gen_rpc *rpc, gen_text *out) {
    unsigned status = gen_rpc_http_status(rpc);
    if (status == 204)
        gen_text_puts(out, "Reply: 204, empty.");
    else if (rpc->rule->streams)
        gen_text_printf(out, "Reply: %u, `text/event-stream`; what is in it is in docs/protocol.md.", status);
    else
        gen_text_printf(out, "Reply: %u, [%s](#object-%s)%s%s.", status, rpc->reply->ident, rpc->reply->c_lower,
                        gen_view_of_reply(rpc) == GEN_VIEW_REVEALED ? " with its secrets" : "",
                        gen_rpc_has_etag(rpc) ? ", its revision as `ETag`" : "");
    const char *errors = gen_doc_errors(rpc->doc);
    if (*errors)
        gen_text_printf(out, " Errors: %s", errors);
    gen_text_puts(out, "\n\n");
}

// Within single quotes of a shell.
static void put_quoted(const char *text, gen_text *out) {
    gen_text_puts(out, "'");
    for (const char *at = text; *at; at++)
        if (*at == '\'')
            gen_text_puts(out, "'\\''");
        else
            gen_text_append(out, at, 1);
    gen_text_puts(out, "'");
}

static void put_curl(const gen_route *route, gen_text *out) {
    gen_text text = {0};
    gen_text_puts(out, "```sh\ncurl ");
    if (strcmp(route->verb, "GET"))
        gen_text_printf(out, "-X %s ", route->verb);
    gen_text_puts(&text, "http://127.0.0.1:7380");
    gen_example_url(route, &text);
    put_quoted(text.data, out);
    if (gen_openapi_security_scheme(route->rpc))
        gen_text_puts(out, " \\\n  -H \"Authorization: Bearer $EZ_TOKEN\"");
    if (gen_route_has_body(route)) {
        text.len = 0;
        gen_example_body(route, &text);
        gen_text_puts(out, " \\\n  -H 'Content-Type: application/json' \\\n  -d ");
        put_quoted(text.data, out);
    }
    gen_text_puts(out, "\n```\n\n");
    gen_text_fini(&text);
}

static void put_call(const gen_schema *schema, const gen_rpc *rpc, gen_text *out) {
    const gen_route *route = route_of(schema, rpc, 0);
    gen_text_printf(out, "### %s\n\n`%s %s`", rpc->name, route->verb, route->path);
    for (unsigned i = 1; i <= rpc->rule->n_also; i++) {
        const gen_route *also = route_of(schema, rpc, i);
        gen_text_printf(out, " · `%s %s`", also->verb, also->path);
    }
    gen_text_printf(out, " · %s · `%s`\n\n%s\n\n", scope_words(rpc), rpc->full, gen_doc_body(schema->pool, rpc->doc));
    put_params(route, out);
    put_body(route, out);
    put_reply(rpc, out);
    put_curl(route, out);
}

static void put_chapter(const gen_schema *schema, const gen_service *service, gen_text *out) {
    bool any = false;
    for (unsigned i = 0; i < service->rpc_count; i++) {
        if (!route_of(schema, service->rpcs[i], 0))
            continue;
        if (!any)
            gen_text_printf(out, "## %s\n\n%s%s", service->title, service->doc, *service->doc ? "\n\n" : "");
        any = true;
        put_call(schema, service->rpcs[i], out);
    }
}

static void put_binary_only(const gen_schema *schema, gen_text *out) {
    bool any = false;
    for (unsigned i = 0; i < schema->rpc_count; i++) {
        const gen_rpc *rpc = schema->rpcs[i];
        if (route_of(schema, rpc, 0))
            continue;
        if (!any)
            gen_text_puts(
                out, "## Binary protocol only\n\nThese have no route: they are called over nng as docs/protocol.md "
                     "says.\n\n");
        any = true;
        gen_text_printf(out, "### %s\n\nWith %s.%s%s\n\n", rpc->full, scope_words(rpc), *rpc->doc ? " " : "",
                        gen_doc_body(schema->pool, rpc->doc));
        if (rpc->request->field_count) {
            gen_text_puts(out, "Request:\n\n");
            gen_rest_put_fields(rpc->request, GEN_VIEW_INPUT, NULL, out);
        }
        gen_text_printf(out, "Reply: [%s](#object-%s).", rpc->reply->ident, rpc->reply->c_lower);
        const char *errors = gen_doc_errors(rpc->doc);
        gen_text_printf(out, "%s%s\n\n", *errors ? " Errors: " : "", errors);
    }
}

void gen_write_rest(const gen_schema *schema, gen_text *out) {
    gen_text_puts(out, preface);
    for (unsigned i = 0; i < schema->service_count; i++)
        put_chapter(schema, schema->services[i], out);
    put_binary_only(schema, out);
    gen_rest_put_objects(schema, out);
    out->data[--out->len] = '\0'; // the blank line at the end
}
