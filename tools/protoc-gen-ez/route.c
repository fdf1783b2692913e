// SPDX-License-Identifier: Apache-2.0
//
// A path is segments between slashes. Whether two segments can match the same text, and which is then the more
// specific, is decided segment by segment; a route is more specific than another if it is so somewhere and nowhere
// less. Such an order is kept by sorting on the list of ranks (literal, parameter with verb, parameter), first
// difference wins.
#include "tools/protoc-gen-ez/route.h"

#include <stdlib.h>
#include <string.h>

static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

typedef enum relation { DISJOINT, EQUAL, LEFT, RIGHT } relation; // LEFT: the left one is more specific

static void parse_segment(gen_pool *pool, const gen_rpc *rpc, const char *text, size_t len, gen_segment *out) {
    out->text = gen_pool_strndup(pool, text, len);
    const char *end = memchr(text, '}', len);
    if (text[0] != '{' || !end)
        return;
    out->name = gen_pool_strndup(pool, text + 1, (size_t)(end - text) - 1);
    out->param = gen_field_find(rpc->request, out->name);
    size_t rest = len - (size_t)(end + 1 - text);
    if (rest > 1 && end[1] == ':')
        out->verb = gen_pool_strndup(pool, end + 2, rest - 1);
}

gen_route *gen_route_parse(gen_pool *pool, gen_rpc *rpc, unsigned ordinal, const char *text) {
    gen_route *route = gen_pool_alloc(pool, 1, sizeof *route);
    route->rpc = rpc;
    route->ordinal = ordinal;
    route->path = text;
    size_t len = strcspn(text, " ");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strlen(verbs[i]) == len && !strncmp(text, verbs[i], len) && text[len] == ' ' && text[len + 1] == '/')
            route->verb = verbs[i];
    if (!route->verb)
        return route;
    route->path = text + len + 1;
    for (const char *at = route->path; *at; at++)
        route->segment_count += *at == '/';
    route->segments = gen_pool_alloc(pool, route->segment_count, sizeof *route->segments);
    unsigned i = 0;
    for (const char *at = route->path; *at;) {
        size_t width = strcspn(at + 1, "/");
        parse_segment(pool, rpc, at + 1, width, &route->segments[i++]);
        at += 1 + width;
    }
    route->body_is_request = !strcmp(rpc->rule->body, "*");
    route->body = route->body_is_request ? NULL : gen_field_find(rpc->request, rpc->rule->body);
    return route;
}

static int rank(const gen_segment *segment) {
    return !segment->name ? 0 : segment->verb ? 1 : 2;
}

// Whether the literal could be a value with this verb: "7:rotate" and ":rotate".
static bool ends_in_verb(const char *literal, const char *verb) {
    size_t len = strlen(literal), tail = strlen(verb) + 1;
    return len > tail && literal[len - tail] == ':' && !strcmp(literal + len - tail + 1, verb);
}

static relation compare_segments(const gen_segment *a, const gen_segment *b) {
    if (!a->name && !b->name)
        return strcmp(a->text, b->text) ? DISJOINT : EQUAL;
    if (!a->name)
        return b->verb && !ends_in_verb(a->text, b->verb) ? DISJOINT : LEFT;
    if (!b->name)
        return a->verb && !ends_in_verb(b->text, a->verb) ? DISJOINT : RIGHT;
    if (a->verb && b->verb)
        return strcmp(a->verb, b->verb) ? DISJOINT : EQUAL;
    return a->verb ? LEFT : b->verb ? RIGHT : EQUAL;
}

// DISJOINT, or LEFT or RIGHT, or EQUAL where both match something and neither is the more specific.
static relation compare_routes(const gen_route *a, const gen_route *b) {
    if (strcmp(a->verb, b->verb) || a->segment_count != b->segment_count)
        return DISJOINT;
    bool left = false, right = false;
    for (unsigned i = 0; i < a->segment_count; i++) {
        relation one = compare_segments(&a->segments[i], &b->segments[i]);
        if (one == DISJOINT)
            return DISJOINT;
        left |= one == LEFT;
        right |= one == RIGHT;
    }
    return left == right ? EQUAL : left ? LEFT : RIGHT;
}

static bool is_scalar(const gen_field *field) {
    return !field->repeated && field->type != GEN_MESSAGE && field->type != GEN_TIMESTAMP && field->type != GEN_FOREIGN;
}

static bool is_plain(const char *text) {
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~:";
    return *text && strspn(text, allowed) == strlen(text);
}

static void check_segment(gen_schema *schema, const gen_route *route, const gen_segment *segment) {
    const gen_rpc *rpc = route->rpc;
    if (!segment->name) {
        if (!is_plain(segment->text))
            gen_refuse(
                schema, rpc->place, rpc->full,
                "route \"%s\": segment \"%s\" is neither a word of [A-Za-z0-9-_.~:] nor {field} nor {field}:verb",
                route->path, segment->text);
        return;
    }
    size_t len = strlen(segment->name) + 2 + (segment->verb ? 1 + strlen(segment->verb) : 0);
    if (len != strlen(segment->text) || (segment->verb && (!is_plain(segment->verb) || strchr(segment->verb, ':'))))
        gen_refuse(schema, rpc->place, rpc->full, "route \"%s\": segment \"%s\" must be {field} or {field}:verb",
                   route->path, segment->text);
    else if (!segment->param)
        gen_refuse(schema, rpc->place, rpc->full, "route \"%s\": {%s} is no field of %s", route->path, segment->name,
                   rpc->request_name);
    else if (!is_scalar(segment->param))
        gen_refuse(schema, rpc->place, rpc->full, "route \"%s\": {%s} must be a single scalar field of %s", route->path,
                   segment->name, rpc->request_name);
    else if (segment->param == route->body)
        gen_refuse(schema, rpc->place, rpc->full, "route \"%s\": %s is both in the path and the body", route->path,
                   segment->name);
    for (const gen_segment *other = route->segments; other < segment; other++)
        if (other->name && !strcmp(other->name, segment->name))
            gen_refuse(schema, rpc->place, rpc->full, "route \"%s\": {%s} stands in it twice", route->path,
                       segment->name);
}

static void check_body(gen_schema *schema, const gen_route *route) {
    const gen_rpc *rpc = route->rpc;
    const char *body = rpc->rule->body;
    if (!*body)
        return;
    if (!strcmp(route->verb, "GET") || !strcmp(route->verb, "DELETE"))
        gen_refuse(schema, rpc->place, rpc->full, "route \"%s %s\": a %s has no body; leave body out", route->verb,
                   route->path, route->verb);
    else if (!route->body_is_request && !route->body)
        gen_refuse(schema, rpc->place, rpc->full, "body \"%s\" is no field of %s, nor \"*\"", body, rpc->request_name);
    else if (route->body && (route->body->repeated || route->body->type != GEN_MESSAGE))
        gen_refuse(schema, rpc->place, rpc->full, "body \"%s\" must be a single message: a JSON body is an object",
                   body);
}

// Paths that differ in nothing but their parameters' names would be two paths of one shape in openapi.json.
static bool is_same_shape(const gen_route *a, const gen_route *b) {
    bool equal = a->segment_count == b->segment_count && strcmp(a->path, b->path);
    for (unsigned i = 0; equal && i < a->segment_count; i++)
        equal = compare_segments(&a->segments[i], &b->segments[i]) == EQUAL;
    return equal;
}

static void check_pair(gen_schema *schema, const gen_route *a, const gen_route *b) {
    if (compare_routes(a, b) == EQUAL)
        gen_refuse(schema, b->rpc->place, b->rpc->full,
                   "route \"%s %s\" overlaps \"%s %s\" of %s: a URL can match both and neither is more specific",
                   b->verb, b->path, a->verb, a->path, a->rpc->full);
    else if (is_same_shape(a, b))
        gen_refuse(schema, b->rpc->place, b->rpc->full,
                   "route \"%s %s\" names its parameters otherwise than \"%s %s\" of %s; give them the same names",
                   b->verb, b->path, a->verb, a->path, a->rpc->full);
}

void gen_route_check(gen_schema *schema) {
    bool malformed = false;
    for (unsigned i = 0; i < schema->route_count; i++) {
        const gen_route *route = schema->routes[i];
        if (!route->verb) {
            malformed = true;
            gen_refuse(
                schema, route->rpc->place, route->rpc->full,
                "route \"%s\" must be GET, POST, PUT, PATCH or DELETE, one blank, and a path that begins with \"/\"",
                route->path);
            continue;
        }
        for (unsigned k = 0; k < route->segment_count; k++)
            check_segment(schema, route, &route->segments[k]);
        check_body(schema, route);
    }
    for (unsigned i = 0; !malformed && i < schema->route_count; i++)
        for (unsigned k = i + 1; k < schema->route_count; k++)
            check_pair(schema, schema->routes[i], schema->routes[k]);
}

static int by_specificity(const void *left, const void *right) {
    const gen_route *a = *(gen_route *const *)left, *b = *(gen_route *const *)right;
    if (a->segment_count != b->segment_count)
        return a->segment_count < b->segment_count ? -1 : 1;
    for (unsigned i = 0; i < a->segment_count; i++) {
        int difference = rank(&a->segments[i]) - rank(&b->segments[i]);
        if (difference)
            return difference;
    }
    int order = strcmp(a->path, b->path);
    return order ? order : strcmp(a->verb, b->verb);
}

void gen_route_sort(gen_schema *schema) {
    if (schema->route_count)
        qsort(schema->routes, schema->route_count, sizeof(gen_route *), by_specificity);
    for (unsigned i = 0; i < schema->route_count; i++)
        schema->routes[i]->index = i;
}
