#include "server/state/store/backend.h"

const ez_meter_ops ez_meter_postgres = {.has_one_writer = false};
