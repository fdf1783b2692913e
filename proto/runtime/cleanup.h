// SPDX-License-Identifier: Apache-2.0
//
// Local lifetimes: "ez_autofree char *text = …;" and "ez_auto(ez_buf) buf = …;", the latter for any type T that has
// T_fini(T *).
#pragma once

#include <stdlib.h>

static inline void ez_autofree_run(void *place) {
    free(*(void **)place);
}

#define ez_autofree   __attribute__((cleanup(ez_autofree_run)))
#define ez_auto(type) __attribute__((cleanup(type##_fini))) type
