// SPDX-License-Identifier: Apache-2.0
//
// Kebab-case and the nearest word. Owns nothing. The awkward case is a run of capitals: a hyphen stands before its last
// letter where a small one follows ("OAuthTokens", "HTTPRoutes"), and nowhere else within it.
#include "clients/ctl/word.h"

#include <stdio.h>
#include <string.h>

#include "proto/runtime/distance.h"

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_small(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

void ez_ctl_kebab(const char *name, char out[EZ_CTL_WORD_MAX]) {
    size_t len = 0;
    for (size_t i = 0; name[i] && len < EZ_CTL_WORD_MAX - 2; i++) {
        char c = name[i];
        bool starts =
            is_upper(c) && i > 0 && (is_small(name[i - 1]) || (is_upper(name[i - 1]) && is_small(name[i + 1])));
        if (starts)
            out[len++] = '-';
        out[len++] = is_upper(c) ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
    }
    out[len] = '\0';
}

bool ez_ctl_word_is(const char *typed, size_t len, const char *name) {
    char word[EZ_CTL_WORD_MAX];
    ez_ctl_kebab(name, word);
    if (strlen(word) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((typed[i] == '_' ? '-' : typed[i]) != word[i])
            return false;
    }
    return true;
}

void ez_ctl_nearest_offer(ez_ctl_nearest *nearest, const char *candidate) {
    unsigned edits = ez_distance(nearest->wanted, nearest->wanted_len, candidate, strlen(candidate));
    if (edits * 2 > nearest->wanted_len || (nearest->word[0] && edits >= nearest->edits))
        return;
    nearest->edits = edits;
    snprintf(nearest->word, sizeof nearest->word, "%s", candidate);
}

const char *ez_ctl_nearest_note(ez_ctl_nearest *nearest, const char *before) {
    if (nearest->word[0])
        snprintf(nearest->note, sizeof nearest->note, "; the nearest is %.4s%s", before, nearest->word);
    return nearest->note;
}
