// SPDX-License-Identifier: Apache-2.0
//
// What the schema's tables say about nouns, verbs and operands. Owns nothing. The awkward case is a method with several
// routes ("/admin/keys" and "/admin/masters/{master_id}/keys"): the number of operands decides which one is meant.
#include "clients/ctl/command.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "clients/ctl/word.h"

#define LIST_MAX 320

const ez_method *ez_ctl_noun_next(const ez_method *after) {
    if (!after)
        return ez_method_count ? &ez_methods[0] : NULL;
    for (const ez_method *m = after + 1; m < ez_methods + ez_method_count; m++) {
        if (strcmp(m->service, after->service) != 0)
            return m;
    }
    return NULL;
}

const ez_method *ez_ctl_verb_next(const ez_method *after) {
    const ez_method *m = after + 1;
    return m < ez_methods + ez_method_count && strcmp(m->service, after->service) == 0 ? m : NULL;
}

// Adds ", word" and cuts at the bound.
static void list_add(char list[LIST_MAX], const char *name) {
    char word[EZ_CTL_WORD_MAX];
    size_t len = strlen(list);
    ez_ctl_kebab(name, word);
    snprintf(list + len, LIST_MAX - len, "%s%s", len ? ", " : "", word);
}

static void offer(ez_ctl_nearest *nearest, const char *name) {
    char word[EZ_CTL_WORD_MAX];
    ez_ctl_kebab(name, word);
    ez_ctl_nearest_offer(nearest, word);
}

ez_status ez_ctl_noun_find(const char *noun, const ez_method **out, ez_error *error) {
    ez_ctl_nearest nearest = {.wanted = noun, .wanted_len = strlen(noun)};
    char list[LIST_MAX] = "";
    for (const ez_method *m = ez_ctl_noun_next(NULL); m; m = ez_ctl_noun_next(m)) {
        if (ez_ctl_word_is(noun, strlen(noun), m->service)) {
            *out = m;
            return EZ_OK;
        }
        offer(&nearest, m->service);
        list_add(list, m->service);
    }
    return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "there is no \"%.40s\"%s (there are %s)", noun,
                        ez_ctl_nearest_note(&nearest, ""), list);
}

ez_status ez_ctl_verb_find(const ez_method *noun, const char *verb, const ez_method **out, ez_error *error) {
    char word[EZ_CTL_WORD_MAX], list[LIST_MAX] = "";
    ez_ctl_nearest nearest = {.wanted = verb, .wanted_len = verb ? strlen(verb) : 0};
    ez_ctl_kebab(noun->service, word);
    for (const ez_method *m = noun; m; m = ez_ctl_verb_next(m)) {
        if (verb && ez_ctl_word_is(verb, strlen(verb), m->rpc)) {
            *out = m;
            return EZ_OK;
        }
        if (verb)
            offer(&nearest, m->rpc);
        list_add(list, m->rpc);
    }
    if (!verb)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s wants a verb: %s", word, list);
    return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s can't \"%.40s\"%s (there are %s)", word, verb,
                        ez_ctl_nearest_note(&nearest, ""), list);
}

ez_status ez_ctl_method_find(const char *name, const ez_method **out, ez_error *error) {
    const ez_method *found = ez_method_find(name, strlen(name));
    ez_ctl_nearest nearest = {.wanted = name, .wanted_len = strlen(name)};
    for (unsigned i = 0; i < ez_method_count && !found; i++) {
        const char *package_end = strrchr(ez_methods[i].name, '.');
        if (package_end && strcmp(package_end + 1, name) == 0)
            found = &ez_methods[i];
        bool is_short = package_end && !strchr(name, '.');
        ez_ctl_nearest_offer(&nearest, is_short ? package_end + 1 : ez_methods[i].name);
    }
    if (!found)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE,
                            "there is no method \"%.64s\"%s (ezctl methods lists all)", name,
                            ez_ctl_nearest_note(&nearest, ""));
    *out = found;
    return EZ_OK;
}

const ez_field_rule *ez_ctl_body(const ez_method *method) {
    for (unsigned i = 0; i < ez_route_count; i++) {
        if (ez_routes[i].method == method && ez_routes[i].body)
            return ez_routes[i].body;
    }
    return NULL;
}

static unsigned operand_count(const ez_route *route) {
    unsigned count = 0;
    while (ez_ctl_operand(route, count))
        count++;
    return count;
}

const ez_route *ez_ctl_route(const ez_method *method, unsigned operands) {
    const ez_route *best = NULL;
    unsigned best_count = UINT_MAX;
    for (unsigned i = 0; i < ez_route_count; i++) {
        unsigned count = operand_count(&ez_routes[i]);
        if (ez_routes[i].method == method && count >= operands && count < best_count) {
            best = &ez_routes[i];
            best_count = count;
        }
    }
    return best;
}

const ez_field_rule *ez_ctl_operand(const ez_route *route, unsigned n) {
    for (unsigned i = 0; i < route->segment_count; i++) {
        if (!route->segments[i].literal && route->segments[i].param && n-- == 0)
            return route->segments[i].param;
    }
    return NULL;
}
