// SPDX-License-Identifier: Apache-2.0
//
// Random bytes from the kernel, for tokens, nonces and epochs. No state of our own, so nothing to seed or to share
// after a fork. The awkward case: requests over 256 bytes may come back short, or be interrupted.
#include "proto/crypto/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

ez_status ez_random(void *out, size_t len) {
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return EZ_INTERNAL;
        at += got;
        len -= (size_t)got;
    }
    return EZ_OK;
}
