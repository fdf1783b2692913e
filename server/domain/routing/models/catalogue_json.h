// SPDX-License-Identifier: Apache-2.0
//
// A catalogue's text, in the form of models.dev's api.json, made into what is kept of it: providers → models, each with
// its limits, its dearest price and what it can do. Pure functions; any thread.
//
//   {"openai": {"api": "https://…", "models": {"gpt-4o": {"tool_call": true, "attachment": true,
//     "modalities": {"input": ["text", "image"], "output": ["text"]}, "cost": {"input": 2.5, "output": 10},
//     "limit": {"context": 128000, "output": 16384}}}}}
//
// A file of one's own may add "fim", "tool_choice" and "stream" (true or false), which models.dev has not.
#pragma once

#include "ez/v1/model.pb-c.h"
#include "proto/runtime/arena.h"
#include "proto/runtime/error.h"

#define EZ_CATALOGUE_TEXT_MAX  (16u << 20) // bytes of the text; models.dev's has 2 MiB or so
#define EZ_CATALOGUE_PROVIDERS 1000
#define EZ_CATALOGUE_MODELS    20000
#define EZ_CATALOGUE_MAX       (2u << 20)          // bytes of what is kept: it is one resource
#define EZ_CATALOGUE_ARENA     (64u << 20)         // what reading one takes at most
#define EZ_CATALOGUE_TOKENS    INT64_C(1000000000) // the largest window that is believed
#define EZ_CATALOGUE_USD       1000000.0           // for a million tokens: the highest price that is believed

// Into arena; sorted, with its checksum: the same text gives the same bytes. An entry that is malformed (a type that is
// not the form's, a negative or absurd number, a name that no model has) or there already is left out and counted in
// skipped. INVALID_ARGUMENT (CATALOGUE_INVALID): it is not JSON or not UTF-8, it is nested deeper than 64, it is no
// such catalogue, or more entries were left out than taken. RESOURCE_EXHAUSTED (CATALOGUE_TOO_LARGE).
ez_status ez_catalogue_parse(const char *text, size_t len, ez_arena *arena, Ez__V1__ModelCatalogue **out,
                             ez_error *error) EZ_MUST_CHECK;

// What a model is by its name alone: EMBEDDING or RERANK, or UNSPECIFIED.
Ez__V1__ModelKind ez_catalogue_guess_kind(const char *name);
