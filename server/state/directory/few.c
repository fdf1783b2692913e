// SPDX-License-Identifier: Apache-2.0
//
// Collects names for "can't be deleted: keys 3 (web), 7 (api) and 10 more". The text has room for the worst case by its
// declaration, so nothing here can overrun; a caller may stop adding early and say so in its own words.
#include "server/state/directory/few.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/runtime/utf8.h"

void ez_few_add(ez_few *few, int64_t id, const char *name, size_t name_len) {
    if (few->count++ >= EZ_FEW_MAX)
        return;
    char *at = few->text + few->len;
    size_t room = sizeof few->text - few->len;
    const char *comma = few->len > 0 ? ", " : "";
    int cut = name ? (int)ez_utf8_cut(name, name_len, EZ_FEW_NAME) : 0;
    int len;
    if (cut > 0 && id != 0)
        len = snprintf(at, room, "%s%" PRId64 " (%.*s)", comma, id, cut, name);
    else if (cut > 0)
        len = snprintf(at, room, "%s%.*s", comma, cut, name);
    else
        len = snprintf(at, room, "%s%" PRId64, comma, id);
    if (len > 0)
        few->len += (size_t)len < room ? (size_t)len : room - 1;
}

const char *ez_few_text(ez_few *few) {
    few->text[few->len] = 0;
    if (few->count > EZ_FEW_MAX)
        snprintf(few->text + few->len, sizeof few->text - few->len, " and %zu more", few->count - EZ_FEW_MAX);
    return few->text;
}
