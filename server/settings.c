// SPDX-License-Identifier: Apache-2.0
//
// The table of ezplaned's settings: --help and docs/configuration.md are printed from it.
#include "server/settings.h"

// How the token endpoint of one provider type is asked.
#define TEXT(env, value, doc, what)                                                                                    \
    { env, EZ_SETTING_TEXT, value, 0, 0, doc, what }
#define TOKEN_URL(env, type, url) TEXT(env, url, "Where OAuth tokens of " type " API keys are refreshed.", "URL")
#define CLIENT_ID(env, type, id)  TEXT(env, id, "OAuth client id of " type " API keys.", "ID")
#define CLIENT_SECRET(env, type)                                                                                       \
    { env, EZ_SETTING_SECRET, NULL, 0, 0, "OAuth client secret of " type " API keys.", "SECRET" }
#define SCOPE(env, type)                                                                                               \
    TEXT(env, NULL, "Scope that refreshes of " type " API keys ask for. Default: none is named.", "SCOPE")
#define HEADERS(env, type)                                                                                             \
    {                                                                                                                  \
        env, EZ_SETTING_SECRET, NULL, 0, 0,                                                                            \
            "Further headers of calls about tokens of " type " API keys, a JSON object of strings.", "JSON"            \
    }
#define PROJECT_URL(env, type)                                                                                         \
    TEXT(env, "https://cloudcode-pa.googleapis.com/v1internal:loadCodeAssist",                                         \
         "Where the project of " type " API keys that have none is looked up.", "URL")

const ez_setting ez_server_settings[] = {
    {"EZ_HOME", EZ_SETTING_TEXT, "./data", 0, 0,
     "Folder of the server's own files: the SQLite store, the sealing key, the first admin token.", "DIR"},
    {"EZ_STORE", EZ_SETTING_TEXT, NULL, 0, 0,
     "Where configuration is kept: sqlite:PATH or postgres://USER@HOST:PORT/DATABASE. Default: "
     "sqlite:EZ_HOME/ezplane.db.",
     "URL"},
    {"EZ_STORE_READERS", EZ_SETTING_INT, "4", 1, 64, "Connections to the store for queries.", "N"},
    {"EZ_LEASE_SECONDS", EZ_SETTING_INT, "10", 2, 300,
     "Of several servers on one PostgreSQL one does the background work; when it dies another takes over after so "
     "long.",
     "N"},
    {"EZ_RPC_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7350", 0, 0, "Where calls are answered.", "URL"},
    {"EZ_CONFIG_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7351", 0, 0, "Where configuration is pushed to data planes.",
     "URL"},
    {"EZ_EVENTS_URL", EZ_SETTING_TEXT, "tcp://127.0.0.1:7352", 0, 0, "Where events are published.", "URL"},
    {"EZ_ADVERTISE_RPC_URL", EZ_SETTING_TEXT, NULL, 0, 0,
     "Where others reach EZ_RPC_URL: other servers of the store, and data planes that move here. Default: EZ_RPC_URL.",
     "URL"},
    {"EZ_ADVERTISE_CONFIG_URL", EZ_SETTING_TEXT, NULL, 0, 0,
     "Where data planes reach EZ_CONFIG_URL. Default: EZ_CONFIG_URL.", "URL"},
    {"EZ_ADVERTISE_EVENTS_URL", EZ_SETTING_TEXT, NULL, 0, 0,
     "Where other servers and subscribers reach EZ_EVENTS_URL. Default: EZ_EVENTS_URL.", "URL"},
    {"EZ_PEERS", EZ_SETTING_TEXT, NULL, 0, 0,
     "Other servers of the same store, as URLs of their calls sockets with commas in between; this one's may be among "
     "them. Default: the store says who is there.",
     "URLS"},
    {"EZ_ADMIN_TOKEN", EZ_SETTING_SECRET, NULL, 0, 0,
     "At the first start: the first admin token, at least 32 characters. Without it one is made and left in "
     "EZ_HOME/admin.token.",
     "TOKEN"},
    {"EZ_SECRET_KEY_FILE", EZ_SETTING_TEXT, NULL, 0, 0,
     "The key that seals secrets in the store: 64 hexadecimal digits, mode 0600. Made at the first start. Default: "
     "EZ_HOME/secret.key.",
     "FILE"},
    {"EZ_FEED_KEEP", EZ_SETTING_INT, "100000", 1000, 10000000,
     "Changes that are kept for data planes to catch up with; one that is further behind gets a snapshot.", "N"},
    {"EZ_WRITE_QUEUE", EZ_SETTING_INT, "4096", 16, 65536, "Changes that may wait for the writer; more are refused.",
     "N"},
    {"EZ_RPC_CALLS", EZ_SETTING_INT, "1024", 64, 16384, "Calls held at once, waiting ones included; more are refused.",
     "N"},
    {"EZ_RPC_CONNECTIONS", EZ_SETTING_INT, "20000", 16, 1000000, "Connections to the calls socket; more are closed.",
     "N"},
    {"EZ_RPC_PER_CONNECTION", EZ_SETTING_INT, "512", 1, 16384,
     "Calls one connection may have in flight; more are refused.", "N"},
    {"EZ_INSECURE_LISTEN", EZ_SETTING_BOOL, "false", 0, 0,
     "Allow listening off loopback without TLS. /status then says so.", NULL},
    {"EZ_LOG_RETENTION_DAYS", EZ_SETTING_INT, "30", 1, 3650,
     "Days that request logs are kept; the feature log_retention_days overrides it.", "N"},
    {"EZ_LOG_MAX_RECORDS", EZ_SETTING_INT, "1000000", 0, 1000000000000,
     "Request logs that are kept, the newest; the feature log_max_records overrides it. 0: as many as there are.", "N"},
    {"EZ_LOG_SAMPLE_PER_SECOND", EZ_SETTING_INT, "0", 0, 1000,
     "Request logs that are published on the events socket each second, at most, without bodies. 0: none.", "N"},
    {"EZ_ALERT_RETENTION_DAYS", EZ_SETTING_INT, "90", 0, 3650,
     "Days that resolved and dismissed alerts are kept. 0: for ever.", "N"},
    {"EZ_ALERT_MAX_RECORDS", EZ_SETTING_INT, "1000000", 1000, 100000000,
     "Alerts that are kept: near it closed ones are forgotten, and where all are open new ones are refused.", "N"},
    {"EZ_MODELS_FILE", EZ_SETTING_TEXT, NULL, 0, 0,
     "A catalogue of models, in the form of models.dev's api.json: what models can do is read from it.", "FILE"},
    {"EZ_MODELS_URL", EZ_SETTING_TEXT, NULL, 0, 0,
     "The same from a URL: https, or what EZ_OUTBOUND_ALLOW lets through. Instead of EZ_MODELS_FILE.", "URL"},
    {"EZ_MODELS_INTERVAL", EZ_SETTING_INT, "21600", 0, 2592000,
     "Seconds between two looks at the catalogue. 0: at the start and when asked only.", "N"},
    {"EZ_ALERT_SECONDS", EZ_SETTING_INT, "60", 1, 120,
     "From one look for trouble to the next: what is raised by itself is raised that soon.", "N"},
    {"EZ_AUTO_BAN_SECONDS", EZ_SETTING_INT, "600", 0, 86400,
     "How long an API key with auto_ban is out of service when its requests fail; then it is tried again. 0: none is.",
     "N"},
    {"EZ_OUTBOUND_ALLOW", EZ_SETTING_TEXT, NULL, 0, 0,
     "What webhooks, EZ_MODELS_URL and token endpoints may reach beside https on the Internet: hosts, host:port, "
     "addresses or ranges "
     "with commas in "
     "between; they may be http and private.",
     "LIST"},
    {"EZ_CA_FILE", EZ_SETTING_TEXT, NULL, 0, 0, "Certificates (PEM) that calls out trust instead of the system's.",
     "FILE"},
    {"EZ_REDIS_URL", EZ_SETTING_SECRET, NULL, 0, 0,
     "Where data planes that read Redis find their configuration: redis://user:password@HOST:PORT/DATABASE, or "
     "rediss:// with TLS. Without it there is no Redis.",
     "URL"},
    {"EZ_REDIS_PREFIX", EZ_SETTING_TEXT, NULL, 0, 0, "Before the name of every key in Redis, at most 128 bytes.",
     "TEXT"},
    {"EZ_REDIS_CA_FILE", EZ_SETTING_TEXT, NULL, 0, 0,
     "Certificates (PEM) that rediss:// trusts instead of the system's.", "FILE"},
    {"EZ_SYNC_OUTBOX_INTERVAL", EZ_SETTING_TEXT, "5s", 0, 0,
     "How long a resource that Redis would not take waits for its second try, doubled at each further one; also the "
     "longest pause between two tries to reach Redis. A number with ms, s or m.",
     "TIME"},
    {"EZ_SYNC_OUTBOX_BATCH", EZ_SETTING_INT, "100", 1, 4096, "Changes that go to Redis in one batch.", "N"},
    {"EZ_SYNC_OUTBOX_MAX_RETRIES", EZ_SETTING_INT, "10", 1, 1000,
     "Tries after which a resource is parked, until ezctl sync retry.", "N"},
    {"EZ_TOKEN_REFRESH", EZ_SETTING_BOOL, "true", 0, 0,
     "Refresh the OAuth tokens of API keys; switched off it makes no call.", NULL},
    {"EZ_TOKEN_REFRESH_BEFORE", EZ_SETTING_TEXT, NULL, 0, 0,
     "How long before its end an access token is refreshed: a number with s, m or h for all, or for each type "
     "(codex=24h,claude-code=30m). Default: 24h for codex, 30m for claude-code, 10m for gemini-cli and antigravity; at "
     "least a tenth of its life.",
     "TIME"},
    {"EZ_TOKEN_REFRESH_INTERVAL", EZ_SETTING_INT, "60", 1, 3600,
     "Seconds that a refresh whose answer was lost is left alone before it is tried once more, and a token that is "
     "refused as soon as it was given.",
     "N"},
    {"EZ_TOKEN_REFRESH_CLAIM", EZ_SETTING_INT, "60", 2, 600,
     "Seconds that one of several servers has to refresh a token before another one may; a call out gets half of them.",
     "N"},
    {"EZ_TOKEN_REFRESH_RATE", EZ_SETTING_INT, "2", 1, 1000, "Token refreshes a second, for each provider type.", "N"},
    {"EZ_TOKEN_REFRESH_CONCURRENCY", EZ_SETTING_INT, "4", 1, 16, "Token refreshes at once, for each provider type.",
     "N"},
    TOKEN_URL("EZ_OAUTH_CODEX_TOKEN_URL", "codex", "https://auth.openai.com/oauth/token"),
    CLIENT_ID("EZ_OAUTH_CODEX_CLIENT_ID", "codex", "app_EMoamEEZ73f0CkXaXp7hrann"),
    CLIENT_SECRET("EZ_OAUTH_CODEX_CLIENT_SECRET", "codex"),
    SCOPE("EZ_OAUTH_CODEX_SCOPE", "codex"),
    HEADERS("EZ_OAUTH_CODEX_HEADERS", "codex"),
    TOKEN_URL("EZ_OAUTH_CLAUDE_CODE_TOKEN_URL", "claude-code", "https://platform.claude.com/v1/oauth/token"),
    CLIENT_ID("EZ_OAUTH_CLAUDE_CODE_CLIENT_ID", "claude-code", "9d1c250a-e61b-44d9-88ed-5944d1962f5e"),
    CLIENT_SECRET("EZ_OAUTH_CLAUDE_CODE_CLIENT_SECRET", "claude-code"),
    SCOPE("EZ_OAUTH_CLAUDE_CODE_SCOPE", "claude-code"),
    HEADERS("EZ_OAUTH_CLAUDE_CODE_HEADERS", "claude-code"),
    TOKEN_URL("EZ_OAUTH_GEMINI_CLI_TOKEN_URL", "gemini-cli", "https://oauth2.googleapis.com/token"),
    CLIENT_ID("EZ_OAUTH_GEMINI_CLI_CLIENT_ID", "gemini-cli", NULL),
    CLIENT_SECRET("EZ_OAUTH_GEMINI_CLI_CLIENT_SECRET", "gemini-cli"),
    SCOPE("EZ_OAUTH_GEMINI_CLI_SCOPE", "gemini-cli"),
    HEADERS("EZ_OAUTH_GEMINI_CLI_HEADERS", "gemini-cli"),
    PROJECT_URL("EZ_OAUTH_GEMINI_CLI_PROJECT_URL", "gemini-cli"),
    TOKEN_URL("EZ_OAUTH_ANTIGRAVITY_TOKEN_URL", "antigravity", "https://oauth2.googleapis.com/token"),
    CLIENT_ID("EZ_OAUTH_ANTIGRAVITY_CLIENT_ID", "antigravity", NULL),
    CLIENT_SECRET("EZ_OAUTH_ANTIGRAVITY_CLIENT_SECRET", "antigravity"),
    SCOPE("EZ_OAUTH_ANTIGRAVITY_SCOPE", "antigravity"),
    HEADERS("EZ_OAUTH_ANTIGRAVITY_HEADERS", "antigravity"),
    PROJECT_URL("EZ_OAUTH_ANTIGRAVITY_PROJECT_URL", "antigravity"),
    {"EZ_LOG_LEVEL", EZ_SETTING_TEXT, "info", 0, 0, "debug, info, warn or error.", "LEVEL"},
};
const size_t ez_server_setting_count = sizeof ez_server_settings / sizeof ez_server_settings[0];
