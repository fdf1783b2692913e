// SPDX-License-Identifier: Apache-2.0
//
// The fixture of most suites: a store of the kind under test in a place of its own, gone after the test.
#pragma once

#include "tests/unit/store/support.h"

extern place at;
extern ez_store *store;

void given_store(void); // .init
void drop_store(void);  // .fini
void reopen(void);
