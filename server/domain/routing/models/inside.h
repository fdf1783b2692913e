// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share, and nobody else sees.
#pragma once

#include "ez/handlers.h"
#include "ez/v1/model.pb-c.h"
#include "server/domain/routing/models/models.h"
#include "server/state/directory/edit.h"
#include "server/state/directory/setting.h"

#define SETTING_CATALOGUE "model_catalogue"
#define SETTING_META      "models_meta"

struct ez_models {
    ez_models_options options;
};
