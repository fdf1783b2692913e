// SPDX-License-Identifier: Apache-2.0
//
// A scan of a regular expression for what PCRE2 knows and RE2 does not: backreferences, lookaround, atomic groups,
// possessive quantifiers, recursion, conditionals, callouts, verbs, comments, and escapes outside RE2's list. It is one
// pass over at most 512 bytes. Escapes are an allow list: what is not known here is refused, not let through. Where a
// malformed pattern misleads the scan, the compiler refuses it, and matching is bounded in any case.
#include "server/domain/routing/pattern.h"

#include <stdio.h>
#include <string.h>

#define REPEAT_MAX 1000 // of {n}, as RE2

typedef struct scan {
    const char *start;
    const char *at;
    ez_error *error;
    bool has_atom; // what stands before could be repeated
} scan;

static ez_status refuse(const scan *s, const char *what) {
    return ez_error_set(s->error, EZ_INVALID_ARGUMENT, "SELECTOR_INVALID",
                        "selector_value: %s at byte %d can't be used: write the expression in the syntax of RE2", what,
                        (int)(s->at - s->start) + 1);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Past "\Q…\E", or to the end where it is not closed. s->at is behind the Q.
static void skip_quoted(scan *s) {
    const char *end = strstr(s->at, "\\E");
    s->at = end ? end + 2 : s->at + strlen(s->at);
}

// s->at is at the backslash.
static ez_status scan_escape(scan *s) {
    char c = s->at[1];
    if (c >= '1' && c <= '9')
        return refuse(s, "a backreference");
    if (c == 'k' || c == 'g')
        return refuse(s, "a backreference or a call by name (\\k, \\g)");
    if (c == 'C')
        return refuse(s, "\\C");
    if (c == 'Q') {
        s->at += 2;
        skip_quoted(s);
        return EZ_OK;
    }
    if (c && is_word(c) && !strchr("dDsSwWbBAzpPaftnrxE0", c)) {
        char what[] = "the escape \\?";
        what[sizeof what - 2] = c;
        return refuse(s, what);
    }
    s->at += c ? 2 : 1; // a lone backslash at the end is the compiler's to refuse
    return EZ_OK;
}

// s->at is at "[".
static ez_status scan_class(scan *s) {
    s->at++;
    if (*s->at == '^')
        s->at++;
    if (*s->at == ']')
        s->at++; // the first one stands for itself
    while (*s->at && *s->at != ']') {
        const char *end = s->at[0] == '[' && s->at[1] == ':' ? strstr(s->at, ":]") : NULL;
        if (end) {
            s->at = end + 2;
        } else if (*s->at == '\\') {
            ez_status status = scan_escape(s);
            if (status != EZ_OK)
                return status;
        } else {
            s->at++;
        }
    }
    if (*s->at)
        s->at++;
    return EZ_OK;
}

// "(?…": s->at is at the parenthesis. Flags may be i, m, s, U.
static ez_status scan_group_kind(scan *s) {
    const char *kind = s->at + 2;
    if (kind[0] == 'P' && kind[1] == '<') {
        s->at = kind + 2;
        return EZ_OK;
    }
    if (kind[0] == '=' || kind[0] == '!' || (kind[0] == '<' && (kind[1] == '=' || kind[1] == '!')) ||
        (kind[0] == '<' && kind[1] == '*') || kind[0] == '*')
        return refuse(s, "lookaround");
    if (kind[0] == '<') {
        s->at = kind + 1;
        return EZ_OK;
    }
    if (kind[0] == '>')
        return refuse(s, "an atomic group");
    if (kind[0] == '(')
        return refuse(s, "a conditional");
    if (kind[0] == 'C')
        return refuse(s, "a callout");
    if (kind[0] == '#')
        return refuse(s, "a comment");
    if (kind[0] == '|')
        return refuse(s, "a branch reset");
    if (kind[0] == 'P' || kind[0] == 'R' || kind[0] == '&' || kind[0] == '+' || is_digit(kind[0]) ||
        (kind[0] == '-' && is_digit(kind[1])))
        return refuse(s, "recursion or a backreference by name");
    kind += strspn(kind, "imsU-");
    if (*kind != ':' && *kind != ')')
        return refuse(s, "a group that is none of (?:…), (?P<name>…), (?imsU)");
    s->at = *kind == ':' ? kind + 1 : kind;
    return EZ_OK;
}

static ez_status scan_open(scan *s) {
    s->has_atom = false;
    if (s->at[1] == '*')
        return refuse(s, "a verb (*…)");
    if (s->at[1] == '?')
        return scan_group_kind(s);
    s->at++;
    return EZ_OK;
}

// The length of "{n}", "{n,}" or "{n,m}" at text; 0 where it is none and so stands for itself. *most: the greater
// number.
static size_t repeat_length(const char *text, long *most) {
    const char *at = text + 1;
    *most = 0;
    if (!is_digit(*at))
        return 0;
    for (int part = 0; part < 2; part++) {
        long n = 0;
        for (; is_digit(*at); at++)
            n = n > 100000 ? n : n * 10 + (*at - '0');
        *most = n > *most ? n : *most;
        if (*at == '}')
            return (size_t)(at - text) + 1;
        if (*at != ',' || part == 1)
            return 0;
        at++;
    }
    return 0;
}

// s->at is at a quantifier of this length.
static ez_status scan_quantifier(scan *s, size_t len) {
    s->at += len;
    if (*s->at == '+' && s->has_atom)
        return refuse(s, "a possessive quantifier");
    if (*s->at == '?')
        s->at++;
    s->has_atom = false;
    return EZ_OK;
}

static ez_status scan_one(scan *s) {
    long most;
    size_t len;
    switch (*s->at) {
    case '\\':
        s->has_atom = true;
        return scan_escape(s);
    case '[':
        s->has_atom = true;
        return scan_class(s);
    case '(':
        return scan_open(s);
    case '*':
    case '+':
    case '?':
        return scan_quantifier(s, 1);
    case '{':
        len = repeat_length(s->at, &most);
        if (len > 0 && most > REPEAT_MAX)
            return refuse(s, "a repetition of more than 1000 times");
        if (len > 0)
            return scan_quantifier(s, len);
        break;
    case '|':
        s->has_atom = false;
        s->at++;
        return EZ_OK;
    default:
        break;
    }
    s->has_atom = true;
    s->at++;
    return EZ_OK;
}

ez_status ez_pattern_check(const char *pattern, ez_error *error) {
    size_t len = strlen(pattern);
    if (len > EZ_PATTERN_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "SELECTOR_INVALID",
                            "selector_value: the expression has %zu bytes, it may have %d", len, EZ_PATTERN_MAX);
    scan s = {.start = pattern, .at = pattern, .error = error};
    ez_status status = EZ_OK;
    while (status == EZ_OK && *s.at)
        status = scan_one(&s);
    return status;
}
