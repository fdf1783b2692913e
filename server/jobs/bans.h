// SPDX-License-Identifier: Apache-2.0
//
// ez_bans: the job that ends bans whose time has passed, so that the bindings of their groups have an upstream again.
// One change at a time, made by the writer like any other.
#pragma once

#include "server/domain/routing/routing.h"

typedef struct ez_bans ez_bans;

// All must outlive it. holder: only while it says so.
ez_status ez_bans_create(ez_writer *writer, ez_routing *routing, ez_holder holder, ez_bans **out,
                         ez_error *error) EZ_MUST_CHECK;
// After the writer ended: nothing of this job may be out with it.
void ez_bans_destroy(ez_bans *bans);

// From the timer, each second or so: looks, and submits where something is due. Never waits.
void ez_bans_tick(ez_bans *bans);
