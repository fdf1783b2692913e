// SPDX-License-Identifier: Apache-2.0
//
// What is held always has a place, so that an alert does not end because others came; what is new gets what is left.
#include <stdlib.h>

#include "server/domain/alerts/detector_inside.h"

#define ROOM_MIN 256

void ez_findings_fini(ez_findings *findings) {
    free(findings->items);
    *findings = (ez_findings){0};
}

void ez_findings_clear(ez_findings *findings) {
    *findings = (ez_findings){.items = findings->items, .room = findings->room};
}

static bool make_room(ez_findings *findings) {
    if (findings->count < findings->room)
        return true;
    size_t room = findings->room ? 2 * findings->room : ROOM_MIN;
    ez_finding *items = realloc(findings->items, room * sizeof *items);
    if (!items)
        return false;
    findings->items = items;
    findings->room = room;
    return true;
}

void ez_findings_add(ez_findings *findings, const ez_held *held, const ez_finding *finding) {
    ez_rule rule = finding->rule;
    bool is_fresh = !ez_held_has(held, rule, finding->id);
    if (is_fresh && held->counts[rule] + findings->fresh[rule] >= EZ_HELD_MAX) {
        findings->left_out++;
        return;
    }
    if (!make_room(findings)) {
        findings->has_failed = true;
        return;
    }
    findings->fresh[rule] += is_fresh;
    findings->items[findings->count++] = *finding;
}

void ez_findings_add_all(ez_findings *findings, const ez_held *held, const ez_findings *others) {
    for (size_t i = 0; i < others->count; i++)
        ez_findings_add(findings, held, &others->items[i]);
    findings->left_out += others->left_out;
    findings->has_failed = findings->has_failed || others->has_failed;
}

ez_finding *ez_findings_find(ez_findings *findings, ez_rule rule, int64_t id) {
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].rule == rule && findings->items[i].id == id)
            return &findings->items[i];
    return NULL;
}
