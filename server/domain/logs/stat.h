// SPDX-License-Identifier: Apache-2.0
//
// A row of sums as the LogStat that is shown: rates, percentiles, and the name of what an id stands for.
#pragma once

#include "ez/v1/log.pb-c.h"
#include "server/domain/logs/top.h"
#include "server/state/directory/directory.h"

// The numbers; the texts stay empty.
void ez_stat_fill(const ez_rollup_sums *sums, Ez__V1__LogStat *out);
// The name of a resource in arena; "" where it is not there any more, NULL where there is no memory. kind: a master,
// key, provider group or API key.
char *ez_stat_name(const ez_directory *directory, int kind, int64_t id, ez_arena *arena) EZ_MUST_CHECK;

typedef enum ez_stat_form { EZ_STAT_MODEL, EZ_STAT_ID, EZ_STAT_TIME } ez_stat_form;
// A list of the rows in arena, as form says; kind: what ids are of, 0: nothing. NULL where there is no memory.
Ez__V1__LogStat **ez_stat_list(const ez_directory *directory, const ez_top *top, ez_stat_form form, int kind,
                               ez_arena *arena) EZ_MUST_CHECK;
