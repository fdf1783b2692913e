// SPDX-License-Identifier: Apache-2.0
//
// What an alert of the detector says: numbers, the window, what to do about it. Never a secret: of a resource only its
// id. Pure.
#pragma once

#include "server/domain/alerts/alerts.h"
#include "server/domain/alerts/detector_rules.h"

typedef struct ez_finding_text {
    char message[640];
    char metadata[320];
} ez_finding_text;

// The report points into text.
void ez_finding_report(const ez_finding *finding, const Ez__V1__AlertThresholds *thresholds, ez_finding_text *text,
                       ez_alert_report *out);
