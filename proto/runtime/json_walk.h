// SPDX-License-Identifier: Apache-2.0
//
// ez_json_walk: a strict pass over a JSON text that is not trusted and may be large: no memory, no recursion, one byte
// read once. Whoever walks takes the members it knows and steps over the rest; whatever is stepped over is checked all
// the same. Nested at most EZ_JSON_WALK_DEPTH deep.
//
// A fault is sticky: every later call fails, fault says what was wrong and at is the byte. One that had no fault and
// ez_json_walk_end was asked of is a whole JSON text. A plain value; not shared between threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/frame.h"

#define EZ_JSON_WALK_DEPTH 64

typedef struct ez_json_walk {
    const char *text;
    size_t len;
    size_t at;
    unsigned depth;    // open objects and lists
    uint64_t objects;  // by depth: it is an object
    uint64_t begun;    // by depth: it had a member already
    const char *fault; // NULL: none
} ez_json_walk;

// text must be UTF-8 (ez_utf8_is_valid) and live as long.
void ez_json_walk_init(ez_json_walk *walk, const char *text, size_t len);

// What the next value is: '{' '[' '"' '0' (a number) 't' 'f' 'n'; 0 where there is none, which is a fault.
char ez_json_walk_kind(ez_json_walk *walk);

// Each takes the next value, which must be of that kind; false: it is not, or it is malformed. A text's bytes are those
// between its quotes, escapes as they stand.
bool ez_json_walk_text(ez_json_walk *walk, ez_slice *raw);
bool ez_json_walk_number(ez_json_walk *walk, double *out);
bool ez_json_walk_bool(ez_json_walk *walk, bool *out);
bool ez_json_walk_skip(ez_json_walk *walk); // of any kind

// Enters an object ('{') or a list ('[').
bool ez_json_walk_enter(ez_json_walk *walk, char bracket);
// Goes to the next member of what was entered last: its value is then next. False at its end, which is then behind, and
// at a fault. name: of an object's member, raw; of a list's it is empty.
bool ez_json_walk_next(ez_json_walk *walk, ez_slice *name);

// Nothing follows but blanks, and there was no fault.
bool ez_json_walk_end(ez_json_walk *walk);

// A raw text with its escapes undone, NUL-terminated: its length, or SIZE_MAX where it holds a NUL or half a surrogate
// pair, or has more than size - 1 bytes.
size_t ez_json_walk_unescape(ez_slice raw, char *out, size_t size);
