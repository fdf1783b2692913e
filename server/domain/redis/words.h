// SPDX-License-Identifier: Apache-2.0
//
// Words that several documents share.
#pragma once

#include "ez/v1/provider_group.pb-c.h"

// The route group a provider group serves: its label "route_group", else "default".
const char *ez_word_route_group(const Ez__V1__ProviderGroup *group);
