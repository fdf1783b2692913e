// SPDX-License-Identifier: Apache-2.0
//
// What a master gives those of its keys that say nothing themselves.
#pragma once

#include "ez/v1/master.pb-c.h"
#include "proto/runtime/arena.h"

// The namespaces its keys may use: its default one, then the listed ones, each once. The texts are the master's, the
// list is in arena. NULL where there is no memory.
char **ez_master_namespaces(const Ez__V1__Master *master, ez_arena *arena, size_t *count);
