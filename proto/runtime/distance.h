// SPDX-License-Identifier: Apache-2.0
//
// How far two words are apart, for naming what somebody who mistyped one may have meant. Any thread.
#pragma once

#include <stddef.h>

#define EZ_DISTANCE_MAX 64 // bytes of either word that are looked at

// Levenshtein's distance: the fewest bytes to insert, remove or replace that make one of the other.
unsigned ez_distance(const char *a, size_t a_len, const char *b, size_t b_len);
