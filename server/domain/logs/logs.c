// SPDX-License-Identifier: Apache-2.0
#include "server/domain/logs/logs.h"

#include "ez/handlers.h"

static ez_status not_yet(ez_call *call) {
    return ez_call_fail(call, EZ_UNIMPLEMENTED, "NOT_YET", "not yet");
}

ez_status ez_handle_logs_ingest(struct ez_logs *self, ez_call *call, struct ez_append *append,
                                Ez__V1__IngestLogsRequest *request) {
    (void)self, (void)append, (void)request;
    return not_yet(call);
}
ez_status ez_handle_logs_list(struct ez_logs *self, ez_call *call, struct ez_reader *reader,
                              Ez__V1__ListLogsRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
ez_status ez_handle_logs_get_stats(struct ez_logs *self, ez_call *call, struct ez_reader *reader,
                                   Ez__V1__GetLogStatsRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
ez_status ez_handle_logs_delete(struct ez_logs *self, ez_call *call, struct ez_txn *txn,
                                Ez__V1__DeleteLogsRequest *request) {
    (void)self, (void)txn, (void)request;
    return not_yet(call);
}
ez_status ez_handle_logs_get_dashboard(struct ez_logs *self, ez_call *call, struct ez_reader *reader,
                                       Ez__V1__GetDashboardRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
ez_status ez_handle_logs_list_own(struct ez_logs *self, ez_call *call, struct ez_reader *reader,
                                  Ez__V1__ListLogsRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
ez_status ez_handle_logs_get_own_stats(struct ez_logs *self, ez_call *call, struct ez_reader *reader,
                                       Ez__V1__GetLogStatsRequest *request) {
    (void)self, (void)reader, (void)request;
    return not_yet(call);
}
