// SPDX-License-Identifier: Apache-2.0
//
// What is known of each provider type, and the presets. Const tables; the words of types are those of the schema.
#pragma once

#include <stdbool.h>

#define EZ_PROVIDER_CATALOGUES 4

typedef struct ez_provider_type {
    const char *word;
    bool needs_base_url;  // nothing is known of where it is
    bool is_vertex;       // google_location defaults to "global"
    bool has_tool_choice; // its protocol lets a request say which tool is to be used
    // Under which names models.dev has its models, the first that knows one counts; none: see models/catalogue.h.
    const char *catalogues[EZ_PROVIDER_CATALOGUES];
} ez_provider_type;

// NULL: not a type of ours.
const ez_provider_type *ez_provider_type_find(const char *word);

// What POST /admin/providers/preset fills in.
typedef struct ez_provider_preset {
    const char *provider; // also the type, and the name where none is given
    const char *base_url;
    const char *const *models; // NULL-terminated; where the request gives none
} ez_provider_preset;

const ez_provider_preset *ez_provider_preset_find(const char *provider);
