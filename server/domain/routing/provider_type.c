// SPDX-License-Identifier: Apache-2.0
//
// The tables. A preset's models are a start, not a claim to be complete: the group is an ordinary one afterwards, and
// its models are edited like any other's.
#include "server/domain/routing/provider_type.h"

#include <stddef.h>
#include <string.h>

static const ez_provider_type types[] = {
    {.word = "openai", .has_tool_choice = true, .catalogues = {"openai"}},
    {.word = "compatible", .needs_base_url = true},
    {.word = "anthropic", .has_tool_choice = true, .catalogues = {"anthropic"}},
    {.word = "claude", .has_tool_choice = true, .catalogues = {"anthropic"}},
    {.word = "claude-code", .has_tool_choice = true, .catalogues = {"anthropic"}},
    {.word = "codex", .has_tool_choice = true, .catalogues = {"openai"}},
    {.word = "gemini-cli", .has_tool_choice = true, .catalogues = {"google"}},
    {.word = "antigravity", .has_tool_choice = true, .catalogues = {"google", "anthropic", "openai"}},
    {.word = "gemini", .has_tool_choice = true, .catalogues = {"google"}},
    {.word = "google", .has_tool_choice = true, .catalogues = {"google"}},
    {.word = "aistudio", .has_tool_choice = true, .catalogues = {"google"}},
    {.word = "vertex",
     .is_vertex = true,
     .has_tool_choice = true,
     .catalogues = {"google-vertex", "google-vertex-anthropic", "google", "anthropic"}},
    {.word = "vertex-express",
     .is_vertex = true,
     .has_tool_choice = true,
     .catalogues = {"google-vertex", "google-vertex-anthropic", "google", "anthropic"}},
};

static const char *const openai_models[] = {
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "o3",
    "o3-mini",
    "o4-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "text-embedding-3-small",
    "text-embedding-3-large",
    NULL,
};
static const char *const anthropic_models[] = {
    "claude-opus-4-1",  "claude-opus-4-0",          "claude-sonnet-4-5",       "claude-sonnet-4-0",
    "claude-haiku-4-5", "claude-3-7-sonnet-latest", "claude-3-5-haiku-latest", NULL,
};
static const char *const gemini_models[] = {
    "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-embedding-001", NULL,
};

static const ez_provider_preset presets[] = {
    {"openai", "https://api.openai.com/v1", openai_models},
    {"anthropic", "https://api.anthropic.com/v1", anthropic_models},
    {"gemini", "https://generativelanguage.googleapis.com/v1beta", gemini_models},
};

const ez_provider_type *ez_provider_type_find(const char *word) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].word, word) == 0)
            return &types[i];
    return NULL;
}

const ez_provider_preset *ez_provider_preset_find(const char *provider) {
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].provider, provider) == 0)
            return &presets[i];
    return NULL;
}
