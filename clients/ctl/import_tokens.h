// SPDX-License-Identifier: Apache-2.0
//
// ezctl api-keys import-tokens DIR --group ID: token files that another program's login left, as API keys. Main thread.
#pragma once

#include "clients/ctl/arguments.h"

int ez_ctl_import_tokens(const ez_ctl_arguments *arguments, const ez_settings *settings);
