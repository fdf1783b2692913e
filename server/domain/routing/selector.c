// SPDX-License-Identifier: Apache-2.0
//
// The three ways to find a model. Expressions run on PCRE2, restricted to RE2's syntax by pattern.c, without its JIT.
//
// PCRE2's match limit counts from zero at each place in the subject where a match could start. So the expression is
// compiled as "anything, then it", anchored: one count for the whole search. Each model gets a small limit first; one
// that needs more is tried again with a large limit, which only so many models of one compilation may.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "server/domain/routing/selector.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/frame.h"
#include "server/domain/routing/pattern.h"

#define STEPS_SMALL  2000u   // enough for nearly every name; 10,000 models: a second in the worst case
#define STEPS_LARGE  200000u // some milliseconds
#define LARGE_TRIES  20u
#define DEPTH_MAX    20000u
#define HEAP_MAX_KIB 4096u

#define OPTIONS (PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY)

struct ez_selector {
    Ez__V1__SelectorType type;
    char *value;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    unsigned large_left;
};

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the selector; try again");
}

static ez_status refuse(int code, size_t offset, ez_error *error) {
    char text[160] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
    return ez_error_set(error, EZ_INVALID_ARGUMENT, "SELECTOR_INVALID",
                        "selector_value is no regular expression: %s, at byte %zu", text, offset + 1);
}

static pcre2_code *compile(const char *pattern, uint32_t more, int *code, size_t *offset) {
    return pcre2_compile((PCRE2_SPTR)pattern, strlen(pattern), OPTIONS | more, code, offset, NULL);
}

static ez_status open_pattern(ez_selector *selector, ez_error *error) {
    ez_status status = ez_pattern_check(selector->value, error);
    if (status != EZ_OK)
        return status;
    int code;
    size_t offset;
    // By itself first: "a)(b" must not become whole by what is put around it.
    pcre2_code *alone = compile(selector->value, 0, &code, &offset);
    if (!alone)
        return refuse(code, offset, error);
    pcre2_code_free(alone);
    char whole[EZ_PATTERN_MAX + 32] = "(?s:.*?)(?:"; // "\E" ends a quotation that was left open, else it is nothing
    strcat(strcat(whole, selector->value), "\\E)");
    selector->code = compile(whole, PCRE2_ANCHORED, &code, &offset);
    if (!selector->code)
        return refuse(code, offset, error);
    selector->data = pcre2_match_data_create(1, NULL);
    selector->context = pcre2_match_context_create(NULL);
    if (!selector->data || !selector->context)
        return no_memory(error);
    pcre2_set_depth_limit(selector->context, DEPTH_MAX);
    pcre2_set_heap_limit(selector->context, HEAP_MAX_KIB);
    selector->large_left = LARGE_TRIES;
    return EZ_OK;
}

ez_status ez_selector_open(Ez__V1__SelectorType type, const char *value, ez_selector **out, ez_error *error) {
    ez_selector *selector = calloc(1, sizeof *selector);
    if (!selector)
        return no_memory(error);
    selector->type = type;
    selector->value = strdup(value);
    ez_status status = selector->value ? EZ_OK : no_memory(error);
    if (status == EZ_OK && type == EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_REGEX)
        status = open_pattern(selector, error);
    if (status != EZ_OK) {
        ez_selector_close(selector);
        return status;
    }
    *out = selector;
    return EZ_OK;
}

void ez_selector_close(ez_selector *selector) {
    if (!selector)
        return;
    pcre2_match_context_free(selector->context);
    pcre2_match_data_free(selector->data);
    pcre2_code_free(selector->code);
    free(selector->value);
    free(selector);
}

// ---- Hits

static bool is_blank(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static ez_slice trim(const char *text, size_t len) {
    while (len > 0 && is_blank((uint8_t)text[0])) {
        text++;
        len--;
    }
    while (len > 0 && is_blank((uint8_t)text[len - 1]))
        len--;
    return (ez_slice){(const uint8_t *)text, len};
}

// What stands behind the last "/", trimmed.
static ez_slice base_name(const char *text, size_t len) {
    const char *slash = memrchr(text, '/', len);
    if (!slash)
        return trim(text, len);
    return trim(slash + 1, len - (size_t)(slash + 1 - text));
}

// ASCII only: model names are.
static bool equal_folded(ez_slice a, ez_slice b) {
    return a.len == b.len && (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

static bool equal(ez_slice a, ez_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static int run(ez_selector *selector, ez_slice model, uint32_t steps) {
    pcre2_set_match_limit(selector->context, steps);
    return pcre2_match(selector->code, (PCRE2_SPTR)model.data, model.len, 0, 0, selector->data, selector->context);
}

static ez_status match(ez_selector *selector, ez_slice model, bool *hit, ez_error *error) {
    if (model.len == 0)
        model.data = (const uint8_t *)"";
    int result = run(selector, model, STEPS_SMALL);
    if (result == PCRE2_ERROR_MATCHLIMIT && selector->large_left > 0) {
        selector->large_left--;
        result = run(selector, model, STEPS_LARGE);
    }
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "SELECTOR_TOO_COSTLY",
                            "the expression takes too many steps on model \"%.*s\": make it simpler",
                            (int)(model.len < 100 ? model.len : 100), (const char *)model.data);
    *hit = result >= 0; // 0: more groups than there is room for, which is a hit
    return EZ_OK;
}

ez_status ez_selector_hit(ez_selector *selector, const char *model, size_t len, bool *hit, ez_error *error) {
    switch (selector->type) {
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_REGEX:
        return match(selector, trim(model, len), hit, error);
    case EZ__V1__SELECTOR_TYPE__SELECTOR_TYPE_NORMALIZE_EXACT:
        *hit = equal_folded(base_name(model, len), base_name(selector->value, strlen(selector->value)));
        return EZ_OK;
    default:
        *hit = equal(trim(model, len), trim(selector->value, strlen(selector->value)));
        return EZ_OK;
    }
}
