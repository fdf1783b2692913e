// SPDX-License-Identifier: Apache-2.0
//
// Puts the parts together by what each is given to call; none of them knows the others. The awkward case is a detector
// that begins: what was told before it is in the store alone, open alerts and, of keys that expired, closed ones too.
#include "server/alerting.h"

#include <inttypes.h>

#include "proto/runtime/clock.h"
#include "server/domain/alerts/detector_rules.h"
#include "server/domain/alerts/open.h"
#include "server/tokens.h"

static bool raise_alerts(void *user, const ez_alert_report *reports, size_t count, const char *by) {
    return ez_alerts_raise(user, reports, count, by);
}

static bool clear_alerts(void *user, const ez_alert_subject *subjects, size_t count, const char *by) {
    return ez_alerts_clear(user, subjects, count, by);
}

static void note(void *user, const Ez__V1__AlertEvent *event) {
    ez_alerting *self = user;
    ez_oauth *oauth = atomic_load(&self->oauth);
    ez_alert_notifier_note(self->notifier, event->event, event->alert);
    if (oauth)
        ez_tokens_note_alert(oauth, event);
}

// ---- What was told, for a detector that begins

typedef struct told_run {
    ez_detector_told_fn *each;
    void *user;
    int64_t since_ns; // raised before it: not wanted
} told_run;

static ez_status give_told(void *user, const ez_alert_row *row, ez_error *error) {
    const told_run *run = user;
    if (row->first_seen_ns < run->since_ns || !ez_alert_is_by_subject(row))
        return EZ_OK;
    return run->each(run->user, (Ez__V1__AlertType)row->type, row->related_type, row->related_id, error);
}

// The first rule of a type stands for all of them.
static bool is_first_of_type(int rule) {
    for (int before = 0; before < rule; before++)
        if (ez_rule_words_of[before].type == ez_rule_words_of[rule].type)
            return false;
    return true;
}

// Open ones of the rules' types; of those that are closed, the expiries of the last time: they are not to be told
// twice.
static ez_status each_told(void *user, ez_reader *reader, int64_t since_ns, ez_detector_told_fn *each, void *each_user,
                           ez_error *error) {
    (void)user;
    told_run expired = {.each = each, .user = each_user, .since_ns = since_ns};
    ez_open_place among = {.type = EZ__V1__ALERT_TYPE__ALERT_TYPE_KEY_EXPIRED, .since_ns = since_ns};
    ez_status status = EZ_OK;
    for (int rule = 0; status == EZ_OK && rule < EZ_RULES; rule++) {
        told_run open = {.each = each, .user = each_user};
        ez_open_place place = {.type = ez_rule_words_of[rule].type};
        if (is_first_of_type(rule))
            status = ez_alerts_read_all(reader, ez_alerts_open_page, place, give_told, &open, error);
    }
    return status == EZ_OK ? ez_alerts_read_all(reader, ez_alerts_closed_page, among, give_told, &expired, error)
                           : status;
}

// ---- What was told of data planes

static void look_again(void *user, int64_t data_plane_id) {
    const ez_alerting *self = user;
    if (self->fleet)
        ez_fleet_tell_again(self->fleet, data_plane_id);
}

// ---- Opening

static ez_status open_alerts(ez_alerting *self, const ez_alerting_options *options, const ez_settings *settings,
                             ez_error *error) {
    const ez_core *core = options->core;
    ez_alert_notifier_options notifier = {.directory = core->directory,
                                          .sealer = core->sealer,
                                          .allow = ez_outbound_allowed(options->outbound),
                                          .deliverer = options->deliverer,
                                          .server_id = options->server_id};
    ez_status status = ez_alert_notifier_create(&notifier, &self->notifier, error);
    ez_alerts_options alerts = {.store = core->store,
                                .directory = core->directory,
                                .events = options->events,
                                .holder = ez_lease_holder(core->lease),
                                .queue = (size_t)ez_settings_int(settings, "EZ_RPC_CALLS"),
                                .retention_days = ez_settings_int(settings, "EZ_ALERT_RETENTION_DAYS"),
                                .max_records = ez_settings_int(settings, "EZ_ALERT_MAX_RECORDS"),
                                .noted = note,
                                .noted_user = self};
    status = status != EZ_OK ? status : ez_alerts_create(&alerts, &self->alerts, error);
    return status != EZ_OK ? status
                           : ez_alert_reteller_create(core->store, self->notifier, ez_lease_holder(core->lease),
                                                      &self->reteller, error);
}

static ez_status open_detector(ez_alerting *self, const ez_alerting_options *options, const ez_settings *settings,
                               ez_error *error) {
    const ez_core *core = options->core;
    ez_auto_bans_options bans = {.writer = core->writer,
                                 .routing = options->routing,
                                 .holder = ez_lease_holder(core->lease),
                                 .seconds = ez_settings_int(settings, "EZ_AUTO_BAN_SECONDS"),
                                 .raise = raise_alerts,
                                 .raise_user = self->alerts};
    ez_status status = ez_auto_bans_create(&bans, &self->auto_bans, error);
    ez_detector_options detector = {.store = core->store,
                                    .directory = core->directory,
                                    .counters = core->counters,
                                    .realtime = core->realtime,
                                    .holder = ez_lease_holder(core->lease),
                                    .every_ms = (uint64_t)ez_settings_int(settings, "EZ_ALERT_SECONDS") * 1000,
                                    .raise = raise_alerts,
                                    .clear = clear_alerts,
                                    .each_told = each_told,
                                    .alerts_user = self->alerts,
                                    .condemned = ez_auto_bans_condemn,
                                    .condemned_user = self->auto_bans,
                                    .look_again = look_again,
                                    .look_user = self};
    return status != EZ_OK ? status : ez_detector_create(&detector, &self->detector, error);
}

ez_status ez_alerting_open(ez_alerting *alerting, const ez_alerting_options *options, const ez_settings *settings,
                           ez_error *error) {
    ez_status status = open_alerts(alerting, options, settings, error);
    ez_alert_sources_options sources = {.raise = raise_alerts, .clear = clear_alerts, .alerts_user = alerting->alerts};
    status = status != EZ_OK ? status : ez_alert_sources_create(&sources, &alerting->sources, error);
    return status != EZ_OK ? status : open_detector(alerting, options, settings, error);
}

void ez_alerting_tick(void *user) {
    ez_alerting *alerting = user;
    uint64_t now_ms = ez_clock_mono_ms();
    ez_alert_sources_tick(alerting->sources);
    ez_detector_tick(alerting->detector);
    ez_alert_reteller_tick(alerting->reteller, now_ms);
    ez_alert_notifier_tick(alerting->notifier, now_ms);
}

static void put_metric(ez_buf *out, const char *name, const char *type, const char *help, uint64_t value) {
    ez_buf_printf(out, "# HELP ezplane_%s %s\n# TYPE ezplane_%s %s\nezplane_%s %" PRIu64 "\n", name, help, name, type,
                  name, value);
}

void ez_alerting_write_metrics(void *user, ez_buf *out) {
    const ez_alerting *alerting = user;
    ez_detector_view detector = ez_detector_look(alerting->detector);
    put_metric(out, "alerts_dropped_total", "counter", "Alerts of this server itself that were given up.",
               ez_alerts_dropped(alerting->alerts));
    put_metric(out, "detector_rounds_total", "counter", "Rounds of the alerts' detector that ended.", detector.rounds);
    put_metric(out, "detector_failures_total", "counter", "Rounds that could not be finished.", detector.failed);
    put_metric(out, "detector_round_ms", "gauge", "How long the last round took.", detector.last_ms);
}

// ---- Ending

void ez_alerting_stop_calls(ez_alerting *alerting) {
    ez_alert_notifier_stop(alerting->notifier);
}

void ez_alerting_stop(ez_alerting *alerting) {
    if (alerting->sources)
        ez_alert_sources_tick(alerting->sources); // the timer has ended
    ez_alerts_stop(alerting->alerts);
    if (alerting->notifier)
        ez_alert_notifier_flush(alerting->notifier);
}

void ez_alerting_destroy(ez_alerting *alerting) {
    ez_detector_destroy(alerting->detector);
    ez_auto_bans_destroy(alerting->auto_bans);
    ez_alert_reteller_destroy(alerting->reteller);
    ez_alert_sources_destroy(alerting->sources);
    ez_alerts_destroy(alerting->alerts);
    ez_alert_notifier_destroy(alerting->notifier);
}
