// SPDX-License-Identifier: Apache-2.0
//
// A trie over path segments. A node has literal children, at most one parameter child for each custom verb
// ("{id}:rotate") and one without. The router owns all nodes, in one list. Segments are split at raw slashes and colons
// and decoded after, so that %2F and %3A stay inside a parameter. The awkward case: "/admin/keys/5:nope", which is no
// custom verb and so parameter "5:nope" of "/admin/keys/{id}"; its field's type then decides.
#include "gateway/router.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIONS_MAX 256

typedef struct node node;
struct node {
    const node *parent;
    const char *literal; // NULL: a parameter
    const char *verb;    // of a parameter, or NULL
    node *children;      // literals first, then parameters with a verb, then the one without
    node *sibling;
    const ez_route *routes[EZ_VERB_DELETE + 1];
    unsigned verbs;
};

struct ez_router {
    node root;
};

const char *ez_verb_name(ez_verb verb) {
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    return names[verb];
}

static bool is_same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int rank(const node *one) {
    return one->literal ? 0 : one->verb ? 1 : 2;
}

static node *child_for(node *parent, const ez_route_segment *segment) {
    for (node *child = parent->children; child; child = child->sibling) {
        if (is_same_text(child->literal, segment->literal) && is_same_text(child->verb, segment->verb))
            return child;
    }
    node *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->literal = segment->literal;
    made->verb = segment->verb;
    made->parent = parent;
    node **place = &parent->children;
    while (*place && rank(*place) <= rank(made))
        place = &(*place)->sibling;
    made->sibling = *place;
    *place = made;
    return made;
}

static ez_status add(ez_router *router, const ez_route *route, ez_error *error) {
    if (route->segment_count > EZ_ROUTER_SEGMENTS_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROUTE_TOO_DEEP", "route %s has more than %d segments",
                            route->path, EZ_ROUTER_SEGMENTS_MAX);
    node *at = &router->root;
    for (unsigned i = 0; i < route->segment_count && at; i++)
        at = child_for(at, &route->segments[i]);
    if (!at)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the route table");
    if (at->routes[route->verb])
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "ROUTE_TWICE", "%s %s is routed twice",
                            ez_verb_name(route->verb), route->path);
    at->routes[route->verb] = route;
    at->verbs |= 1u << route->verb;
    return EZ_OK;
}

ez_status ez_router_create(const ez_route *routes, unsigned count, ez_router **out, ez_error *error) {
    ez_router *router = calloc(1, sizeof *router);
    if (!router)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the route table");
    for (unsigned i = 0; i < count; i++) {
        ez_status status = add(router, &routes[i], error);
        if (status != EZ_OK) {
            ez_router_destroy(router);
            return status;
        }
    }
    *out = router;
    return EZ_OK;
}

static void free_children(node *parent) {
    for (node *child = parent->children; child;) {
        node *next = child->sibling;
        free_children(child);
        free(child);
        child = next;
    }
}

void ez_router_destroy(ez_router *router) {
    if (!router)
        return;
    free_children(&router->root);
    free(router);
}

// One path cut into segments: raw, and where the last raw colon of each is (or len).
typedef struct path_segment {
    ez_text raw;
    ez_text text; // decoded
    size_t colon;
} path_segment;

static ez_status decode(ez_text *text, ez_arena *arena, ez_error *error) {
    char *room = ez_arena_alloc(arena, text->len);
    if (!room)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the request's path is too long");
    size_t len;
    ez_status status = ez_uri_decode(*text, false, room, &len, error);
    if (status == EZ_OK)
        *text = (ez_text){room, len};
    return status;
}

// EZ_OK with *count 0 for a path with too many segments: no route has that many. The path starts with a slash.
static ez_status cut(ez_text path, ez_arena *arena, path_segment *out, unsigned *count, ez_error *error) {
    *count = 0;
    unsigned found = 0;
    bool is_deep = false;
    const char *end = path.data + path.len;
    for (const char *at = path.data + 1; at <= end;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash ? slash : end;
        path_segment one = {.raw = {at, (size_t)(stop - at)}};
        one.text = one.raw;
        bool is_plain = true;
        for (const char *c = at; c < stop && is_plain; c++)
            is_plain = *c != '%' && (unsigned char)*c < 0x80;
        ez_status status = is_plain ? EZ_OK : decode(&one.text, arena, error);
        if (status != EZ_OK)
            return status;
        const char *colon = memrchr(at, ':', one.raw.len);
        one.colon = colon ? (size_t)(colon - at) : one.raw.len;
        is_deep = is_deep || found == EZ_ROUTER_SEGMENTS_MAX;
        if (!is_deep)
            out[found++] = one;
        at = stop + 1;
    }
    *count = is_deep ? 0 : found;
    return EZ_OK;
}

static bool is_text(ez_text text, const char *want) {
    return strlen(want) == text.len && memcmp(text.data, want, text.len) == 0;
}

static bool takes(const node *one, const path_segment *segment) {
    if (one->literal)
        return is_text(segment->text, one->literal);
    if (one->verb)
        return segment->colon > 0 && segment->colon < segment->raw.len &&
               is_text((ez_text){segment->raw.data + segment->colon + 1, segment->raw.len - segment->colon - 1},
                       one->verb);
    return segment->text.len > 0;
}

// The depth is that of the trie, at most EZ_ROUTER_SEGMENTS_MAX.
static const node *walk(const node *at, const path_segment *segments, unsigned count) {
    if (count == 0)
        return at->verbs ? at : NULL;
    for (const node *child = at->children; child; child = child->sibling) {
        const node *found = takes(child, segments) ? walk(child, segments + 1, count - 1) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

static ez_status fill(ez_router_match *out, const ez_route *route, const path_segment *segments, ez_arena *arena,
                      ez_error *error) {
    out->route = route;
    out->param_count = 0;
    for (unsigned i = 0; i < route->segment_count; i++) {
        const ez_route_segment *rule = &route->segments[i];
        if (!rule->param)
            continue;
        ez_text text = segments[i].text;
        if (rule->verb) { // the custom verb is cut off the raw text: a colon may have been escaped before it
            text = (ez_text){segments[i].raw.data, segments[i].colon};
            ez_status status = memchr(text.data, '%', text.len) ? decode(&text, arena, error) : EZ_OK;
            if (status != EZ_OK)
                return status;
        }
        out->params[out->param_count++] = (ez_router_param){rule->param, text};
    }
    return EZ_OK;
}

// Custom verbs that stand beside a parameter: "acknowledge, resolve". How many.
static unsigned list_actions(const node *found, char *out, size_t room) {
    unsigned count = 0;
    size_t len = 0;
    out[0] = '\0';
    for (const node *child = found->parent->children; child; child = child->sibling) {
        if (!child->verb || !child->verbs || len + strlen(child->verb) + 3 > room)
            continue;
        len += (size_t)snprintf(out + len, room - len, "%s%s", count++ ? ", " : "", child->verb);
    }
    return count;
}

// "/admin/alerts/7:nope" by POST: not an alert of that id that can't be posted to, but an action that is not there.
static ez_status refuse_verb(const node *found, ez_verb verb, const path_segment *last, ez_error *error) {
    char actions[ACTIONS_MAX];
    bool has_colon = !found->literal && last->colon > 0 && last->colon < last->raw.len;
    if (verb == EZ_VERB_POST && has_colon && list_actions(found, actions, sizeof actions) > 0)
        return ez_error_set(error, EZ_NOT_FOUND, "ACTION_UNKNOWN", "there is no such action here; there are: %s",
                            actions);
    return ez_error_set(error, EZ_UNIMPLEMENTED, "METHOD_NOT_ALLOWED",
                        "%s is not possible on this path; the Allow header lists what is", ez_verb_name(verb));
}

ez_status ez_router_find(const ez_router *router, ez_verb verb, ez_text path, ez_arena *arena, ez_router_match *out,
                         ez_error *error) {
    path_segment segments[EZ_ROUTER_SEGMENTS_MAX];
    unsigned count = 0;
    out->verbs = 0;
    if (path.len > 0 && path.data[0] == '/') {
        ez_status status = cut(path, arena, segments, &count, error);
        if (status != EZ_OK)
            return status;
    }
    const node *found = count > 0 ? walk(&router->root, segments, count) : NULL;
    if (!found)
        return ez_error_set(error, EZ_NOT_FOUND, "PATH_UNKNOWN",
                            "there is nothing at this path; GET /docs lists what there is");
    out->verbs = found->verbs;
    if (!found->routes[verb])
        return refuse_verb(found, verb, &segments[count - 1], error);
    return fill(out, found->routes[verb], segments, arena, error);
}
