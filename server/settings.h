// SPDX-License-Identifier: Apache-2.0
//
// What ezplaned can be set to.
#pragma once

#include "proto/runtime/settings.h"

extern const ez_setting ez_server_settings[];
extern const size_t ez_server_setting_count;
