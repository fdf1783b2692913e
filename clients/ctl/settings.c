// SPDX-License-Identifier: Apache-2.0
//
// Where the servers are and which token to show them. The access object owns copies and wipes the token. The awkward
// case is a token that is nowhere: that is no fault here, because some calls need none; the server's refusal is then
// explained by where it was looked for.
#include "clients/ctl/settings.h"

#include <stdio.h>
#include <string.h>

#include "clients/ctl/command.h"
#include "proto/runtime/version.h"

const ez_setting ez_ctl_settings[] = {
    {"EZ_RPC_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7350", 0, 0,
     "Where calls go: tcp://HOST:PORT or tls+tcp://HOST:PORT, several with commas, tried in this order.", "URL"},
    {"EZ_CONFIG_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7351", 0, 0, "Where ezctl watch config listens.", "URL"},
    {"EZ_EVENTS_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7352", 0, 0,
     "Where ezctl watch listens for stats, logs, alerts and data-planes.", "URL"},
    {"EZ_TOKEN", EZ_SETTING_SECRET, NULL, 0, 0,
     "The token to call with: an admin token, a master key or a data plane's token.", "TOKEN"},
    {"EZ_ADMIN_TOKEN", EZ_SETTING_SECRET, NULL, 0, 0, "The same, where EZ_TOKEN is not set.", "TOKEN"},
    {"EZ_HOME", EZ_SETTING_TEXT, "./data", 0, 0,
     "The server's folder: where neither is set, the token is read from EZ_HOME/admin.token.", "DIR"},
    {"EZ_TLS_CA_FILE", EZ_SETTING_TEXT, NULL, 0, 0, "tls+tcp: who signs the server's certificate, PEM.", "FILE"},
    {"EZ_TLS_CERT_FILE", EZ_SETTING_TEXT, NULL, 0, 0,
     "tls+tcp: our certificate and its key in one file, PEM, where the server asks for one.", "FILE"},
    {"EZ_TLS_SERVER_NAME", EZ_SETTING_TEXT, NULL, 0, 0,
     "tls+tcp: the name in the server's certificate. Default: the URL's host.", "NAME"},
    {"EZ_LOG_LEVEL", EZ_SETTING_TEXT, "error", 0, 0, "What the connection says of itself: debug, info, warn or error.",
     "LEVEL"},
};
const size_t ez_ctl_setting_count = sizeof ez_ctl_settings / sizeof ez_ctl_settings[0];

void ez_ctl_setting_flag(const ez_setting *setting, char out[EZ_CTL_WORD_MAX]) {
    size_t len = 0;
    for (const char *c = setting->env + strlen("EZ_"); *c && len < EZ_CTL_WORD_MAX - 1; c++)
        out[len++] = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    out[len] = '\0';
}

const ez_setting *ez_ctl_setting_find(const char *name, size_t len) {
    for (size_t i = 0; i < ez_ctl_setting_count; i++) {
        char flag[EZ_CTL_WORD_MAX];
        ez_ctl_setting_flag(&ez_ctl_settings[i], flag);
        if (strlen(flag) == len && memcmp(flag, name, len) == 0)
            return &ez_ctl_settings[i];
    }
    return NULL;
}

static ez_status split_servers(ez_ctl_access *access, const char *list, ez_error *error) {
    if (strlen(list) >= sizeof access->servers)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "EZ_RPC_URL is longer than %zu bytes",
                            sizeof access->servers - 1);
    snprintf(access->servers, sizeof access->servers, "%s", list);
    char *rest = access->servers, *url;
    while ((url = strsep(&rest, ",")) != NULL) {
        url += strspn(url, " ");
        url[strcspn(url, " ")] = '\0';
        if (*url == '\0')
            continue;
        if (access->options.server_count == EZ_CLIENT_SERVERS_MAX)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "EZ_RPC_URL names more than %d servers",
                                EZ_CLIENT_SERVERS_MAX);
        access->options.servers[access->options.server_count++] = url;
    }
    if (access->options.server_count == 0)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "EZ_RPC_URL names no server");
    return EZ_OK;
}

// from: where it came from. A token is printable and has no blanks, which is all that is known of it here.
static ez_status take_token(ez_ctl_access *access, const char *text, const char *from, ez_error *error) {
    size_t len = strcspn(text, "\r\n");
    bool is_good = len > 0 && len <= EZ_CLIENT_TOKEN_MAX && text[len + strspn(text + len, "\r\n")] == '\0';
    for (size_t i = 0; is_good && i < len; i++)
        is_good = text[i] > ' ' && text[i] < 0x7F;
    if (!is_good)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE,
                            "%s holds no token: it must be one line of 1 to %d printable characters", from,
                            EZ_CLIENT_TOKEN_MAX);
    memcpy(access->token, text, len);
    access->token[len] = '\0';
    access->options.token = access->token;
    return EZ_OK;
}

static ez_status read_token_file(ez_ctl_access *access, ez_error *error) {
    char text[EZ_CLIENT_TOKEN_MAX + 3];
    FILE *file = fopen(access->token_file, "re");
    if (!file)
        return EZ_OK;
    size_t len = fread(text, 1, sizeof text - 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    text[len] = '\0';
    ez_status status =
        failed ? ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s can't be read", access->token_file)
               : take_token(access, text, access->token_file, error);
    explicit_bzero(text, sizeof text);
    return status;
}

ez_client_tls ez_ctl_tls(const ez_settings *settings) {
    return (ez_client_tls){.ca_file = ez_settings_text(settings, "EZ_TLS_CA_FILE"),
                           .cert_file = ez_settings_text(settings, "EZ_TLS_CERT_FILE"),
                           .server_name = ez_settings_text(settings, "EZ_TLS_SERVER_NAME")};
}

ez_status ez_ctl_access_init(ez_ctl_access *access, const ez_settings *settings, ez_error *error) {
    static char name[64];
    *access = (ez_ctl_access){.options.tls = ez_ctl_tls(settings)};
    snprintf(name, sizeof name, "ezctl/%.50s", ez_version);
    access->options.name = name;
    ez_status status = split_servers(access, ez_settings_text(settings, "EZ_RPC_URL"), error);
    if (status != EZ_OK)
        return status;
    static const char *const given[] = {"EZ_TOKEN", "EZ_ADMIN_TOKEN"};
    for (unsigned i = 0; i < 2; i++) {
        const char *token = ez_settings_text(settings, given[i]);
        if (token)
            return take_token(access, token, given[i], error);
    }
    snprintf(access->token_file, sizeof access->token_file, "%s/admin.token", ez_settings_text(settings, "EZ_HOME"));
    return read_token_file(access, error);
}

void ez_ctl_access_fini(ez_ctl_access *access) {
    explicit_bzero(access->token, sizeof access->token);
}
