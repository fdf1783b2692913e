// SPDX-License-Identifier: Apache-2.0
//
// The words of HTTP: status phrases, media types, entity tags, accepted codings, durations. Pure functions over texts a
// client sent, so each reads the whole of it or says no. The awkward case: Accept-Encoding "gzip;q=0", which is a no.
#include "gateway/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void ez_http_response_add(ez_http_response *response, const char *name, const char *value) {
    if (value && response->header_count < EZ_HTTP_HEADERS_MAX)
        response->headers[response->header_count++] = (ez_http_header){name, value};
}

const char *ez_http_phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Unknown";
}

static ez_text trim(ez_text text) {
    while (text.len > 0 && (*text.data == ' ' || *text.data == '\t'))
        text = (ez_text){text.data + 1, text.len - 1};
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

// Takes what stands before the next delimiter off text, trimmed. False at the end.
static bool next_part(ez_text *text, char delimiter, ez_text *part) {
    if (!text->data)
        return false;
    const char *end = memchr(text->data, delimiter, text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    *part = trim((ez_text){text->data, len});
    *text = end ? (ez_text){end + 1, text->len - len - 1} : (ez_text){NULL, 0};
    return true;
}

static bool is_word(ez_text text, const char *word) {
    return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

static bool starts_with(ez_text text, const char *word) {
    return text.len >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

bool ez_http_is_json(const char *content_type) {
    if (!content_type)
        return false;
    ez_text rest = {content_type, strlen(content_type)}, part;
    (void)next_part(&rest, ';', &part);
    // "curl -d" calls everything a form; the body is read as JSON all the same, and as nothing else.
    bool is_json = is_word(part, "application/json") || is_word(part, "application/x-www-form-urlencoded");
    if (!is_json && starts_with(part, "application/") && part.len > 5)
        is_json = strncasecmp(part.data + part.len - 5, "+json", 5) == 0;
    while (is_json && next_part(&rest, ';', &part)) {
        if (starts_with(part, "charset="))
            is_json = is_word(part, "charset=utf-8") || is_word(part, "charset=\"utf-8\"");
    }
    return is_json;
}

static bool is_zero_quality(ez_text part) {
    if (!starts_with(part, "q="))
        return false;
    for (size_t i = 2; i < part.len; i++) {
        if (part.data[i] != '0' && part.data[i] != '.')
            return false;
    }
    return true;
}

bool ez_http_takes_gzip(const char *accept_encoding) {
    if (!accept_encoding)
        return false;
    ez_text rest = {accept_encoding, strlen(accept_encoding)}, coding;
    while (next_part(&rest, ',', &coding)) {
        ez_text name, parameter;
        (void)next_part(&coding, ';', &name);
        if (!is_word(name, "gzip") && !is_word(name, "x-gzip"))
            continue;
        bool takes = true;
        while (next_part(&coding, ';', &parameter))
            takes = takes && !is_zero_quality(parameter);
        return takes;
    }
    return false;
}

// The text within "…" or W/"…". False where it is neither.
static bool unquote(ez_text tag, ez_text *out) {
    if (tag.len >= 2 && tag.data[0] == 'W' && tag.data[1] == '/')
        tag = (ez_text){tag.data + 2, tag.len - 2};
    if (tag.len < 2 || tag.data[0] != '"' || tag.data[tag.len - 1] != '"')
        return false;
    *out = (ez_text){tag.data + 1, tag.len - 2};
    return true;
}

bool ez_http_none_match_has(const char *if_none_match, const char *tag) {
    if (!if_none_match)
        return false;
    ez_text rest = {if_none_match, strlen(if_none_match)}, one, text;
    while (next_part(&rest, ',', &one)) {
        if (is_word(one, "*"))
            return true;
        if (unquote(one, &text) && text.len == strlen(tag) && memcmp(text.data, tag, text.len) == 0)
            return true;
    }
    return false;
}

// At least one digit and nothing else.
static bool read_number(ez_text text, uint64_t *out) {
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || sum > (UINT64_MAX - 9) / 10)
            return false;
        sum = sum * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = sum;
    return text.len > 0;
}

ez_status ez_http_if_match(const char *if_match, uint64_t *revision, ez_error *error) {
    uint64_t found = 0;
    ez_text text = if_match ? trim((ez_text){if_match, strlen(if_match)}) : (ez_text){"*", 1}, inner;
    bool is_any = is_word(text, "*");
    if (!is_any && (!unquote(text, &inner) || !read_number(inner, &found) || found == 0))
        return ez_error_set(
            error, EZ_INVALID_ARGUMENT, "IF_MATCH_INVALID",
            "the If-Match header must be one revision as an ETag header gave it, like \"42\" in quotes, "
            "or *");
    *revision = found;
    return EZ_OK;
}

ez_status ez_http_duration(const char *text, uint32_t *ms, ez_error *error) {
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    uint64_t scale = strcmp(unit, "ms") == 0 ? 1 : strcmp(unit, "s") == 0 ? 1000 : strcmp(unit, "m") == 0 ? 60000 : 0;
    uint64_t number = 0;
    bool is_number = digits <= 6 && read_number((ez_text){text, digits}, &number);
    if (!is_number || number * scale == 0 || number * scale > 60000)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "TIMEOUT_INVALID",
                            "timeout must be a number with a unit, like 500ms, 5s or 1m, from 1ms to 60s");
    *ms = (uint32_t)(number * scale);
    return EZ_OK;
}
