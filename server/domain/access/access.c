// SPDX-License-Identifier: Apache-2.0
//
// The object behind the Access services. It holds the directory that reads are answered from; changes go through the
// transaction they are handed and keep nothing here.
#include "server/domain/access/access.h"

#include <stdlib.h>

#include "server/domain/access/inside.h"

ez_status ez_access_create(const ez_access_options *options, ez_access **out, ez_error *error) {
    ez_access *access = calloc(1, sizeof *access);
    if (!access)
        return ez_no_memory(error);
    access->directory = options->directory;
    access->counters = options->counters;
    access->realtime = options->realtime;
    *out = access;
    return EZ_OK;
}

void ez_access_destroy(ez_access *access) {
    free(access);
}
