#include "server/state/store/backend.h"

const ez_meter_ops ez_meter_sqlite = {.has_one_writer = true};
