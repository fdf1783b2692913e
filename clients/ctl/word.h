// SPDX-License-Identifier: Apache-2.0
//
// Words as they are typed: the schema's names in kebab-case, and the nearest word to a mistyped one. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define EZ_CTL_WORD_MAX 64

// "ProviderGroups" and "provider_groups" → "provider-groups"; cut to EZ_CTL_WORD_MAX - 1 bytes.
void ez_ctl_kebab(const char *name, char out[EZ_CTL_WORD_MAX]);

// Whether typed (len bytes) is name in kebab-case; underscores are taken for hyphens.
bool ez_ctl_word_is(const char *typed, size_t len, const char *name);

// The candidate that takes the fewest edits; ties go to the first. Set wanted, then offer; word is "" before. One that
// differs in more than half of what was typed is no candidate: nobody meant it.
typedef struct ez_ctl_nearest {
    const char *wanted;
    size_t wanted_len;
    unsigned edits;
    char word[EZ_CTL_WORD_MAX], note[EZ_CTL_WORD_MAX + 24];
} ez_ctl_nearest;
void ez_ctl_nearest_offer(ez_ctl_nearest *nearest, const char *candidate);
// "; the nearest is <before><word>", or "" where none is near. It lives as long as nearest.
const char *ez_ctl_nearest_note(ez_ctl_nearest *nearest, const char *before);
