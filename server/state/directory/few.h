// SPDX-License-Identifier: Apache-2.0
//
// ez_few: the first few of many things, as words for an error: "3 (web), 7 (api) and 10 more". A plain value; long
// names are cut at a whole character, and no more than EZ_FEW_MAX things are named however many there are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define EZ_FEW_MAX  5
#define EZ_FEW_NAME 32 // bytes of a name that are shown

typedef struct ez_few {
    size_t count; // of all that were added
    size_t len;
    char text[EZ_FEW_MAX * (EZ_FEW_NAME + 28) + 40];
} ez_few;

// name may be NULL or empty: then the id alone. id 0: the name alone.
void ez_few_add(ez_few *few, int64_t id, const char *name, size_t name_len);
// The words; "" where nothing was added. Valid as long as few.
const char *ez_few_text(ez_few *few);
