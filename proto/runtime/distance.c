// SPDX-License-Identifier: Apache-2.0
//
// Levenshtein's distance over one row, which is why words have a bound: what is longer is cut.
#include "proto/runtime/distance.h"

static size_t cut(size_t len) {
    return len < EZ_DISTANCE_MAX ? len : EZ_DISTANCE_MAX;
}

unsigned ez_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
    unsigned row[EZ_DISTANCE_MAX + 1];
    a_len = cut(a_len);
    b_len = cut(b_len);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned before = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = before + (a[i - 1] != b[j - 1]);
            before = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[b_len];
}
