// SPDX-License-Identifier: Apache-2.0
//
// Here, because both who resolves keys and who writes them into Redis must say the same.
#include "server/state/directory/master.h"

#include <string.h>

char **ez_master_namespaces(const Ez__V1__Master *master, ez_arena *arena, size_t *count) {
    char **names = ez_arena_alloc(arena, (master->n_namespaces + 1) * sizeof *names);
    *count = 0;
    if (!names)
        return NULL;
    if (master->default_namespace[0])
        names[(*count)++] = master->default_namespace;
    for (size_t i = 0; i < master->n_namespaces; i++)
        if (strcmp(master->namespaces[i], master->default_namespace) != 0)
            names[(*count)++] = master->namespaces[i];
    return names;
}
