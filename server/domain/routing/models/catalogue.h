// SPDX-License-Identifier: Apache-2.0
//
// ez_catalogue: a kept catalogue, ready to be asked what a candidate can do. Immutable once it is open; any thread.
//
// Which entries count for a candidate (provider type, base URL, upstream model), the first of these that finds any:
//   1. the upstream model itself, among the provider's own catalogue names (provider_type.h), in their order;
//   2. its name without letter case and what stands before the last "/";
//   3. the same without a date or version at its end: "-20250514", "-2024-08-06", "@20240620", "-latest", "-001".
// The type "compatible" says nothing of whose models it has: there the providers count whose API has the base URL's
// host, and where those do not know it, all of them, by the same three steps. Where a step finds several entries, only
// what all of them say is claimed.
#pragma once

#include "ez/v1/model.pb-c.h"
#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

#define EZ_CATALOGUE_NAME_MAX 512 // "openai/gpt-4o"

typedef struct ez_catalogue ez_catalogue;

// What can be said of one candidate, or of several together. Nothing is claimed that is not known: 0, false.
typedef struct ez_claim {
    Ez__V1__ModelKind kind;
    int64_t context_window, max_output_tokens; // 0: not known
    int64_t cost;                              // nano US dollars for a million tokens
    bool has_cost;
    bool vision, functions, tool_choice, fim, stream;
} ez_claim;

// packed: a ModelCatalogue. INTERNAL (CATALOGUE_BROKEN) where it is none.
ez_status ez_catalogue_open(ez_slice packed, ez_catalogue **out, ez_error *error) EZ_MUST_CHECK;
// One that knows nothing.
ez_status ez_catalogue_open_empty(ez_catalogue **out, ez_error *error) EZ_MUST_CHECK;
void ez_catalogue_close(ez_catalogue *catalogue);

// Of which catalogue it is: its checksum; empty where it knows nothing.
ez_slice ez_catalogue_checksum(const ez_catalogue *catalogue);
const Ez__V1__ModelCatalogue *ez_catalogue_message(const ez_catalogue *catalogue);

// False where it does not know the model: then the claim is what the name alone tells. name: where it was found,
// EZ_CATALOGUE_NAME_MAX bytes; "" where it was not.
bool ez_catalogue_find(const ez_catalogue *catalogue, const char *provider_type, ez_slice base_url, ez_slice model,
                       ez_claim *out, char *name);

// What holds whichever of the two serves.
void ez_claim_join(ez_claim *claim, const ez_claim *other);
