// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/store/fixture.h"

place at;
ez_store *store;

void given_store(void) {
    given_place(&at);
    store = open_store(&at);
}

void drop_store(void) {
    ez_store_close(store);
    drop_place(&at);
}

void reopen(void) {
    ez_store_close(store);
    store = open_store(&at);
}
