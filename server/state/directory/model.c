// SPDX-License-Identifier: Apache-2.0
//
// Written by hand, not by the schema: what other programs read from Redis is a contract of its own, with fewer fields
// than a Model has and none that is empty.
#include "server/state/directory/model.h"

#include <string.h>

#include "proto/runtime/json.h"

static const char *kind_word(Ez__V1__ModelKind kind) {
    switch (kind) {
    case EZ__V1__MODEL_KIND__MODEL_KIND_CHAT:
        return "chat";
    case EZ__V1__MODEL_KIND__MODEL_KIND_EMBEDDING:
        return "embedding";
    case EZ__V1__MODEL_KIND__MODEL_KIND_RERANK:
        return "rerank";
    case EZ__V1__MODEL_KIND__MODEL_KIND_OTHER:
        return "other";
    default:
        return "";
    }
}

static ez_status put_number(const char *name, int64_t value, ez_buf *out) {
    return value > 0 ? ez_buf_printf(out, ",\"%s\":%lld", name, (long long)value) : EZ_OK;
}

static ez_status put_flags(const Ez__V1__Model *model, ez_buf *out) {
    const struct {
        const char *name;
        bool is_set;
    } flags[] = {
        {"vision", model->supports_vision},           {"functions", model->supports_functions},
        {"tool_choice", model->supports_tool_choice}, {"fim", model->supports_fim},
        {"stream", model->supports_stream},
    };
    ez_status status = EZ_OK;
    for (size_t i = 0; status == EZ_OK && i < sizeof flags / sizeof flags[0]; i++)
        status = flags[i].is_set ? ez_buf_printf(out, ",\"supports_%s\":true", flags[i].name) : EZ_OK;
    return status;
}

ez_status ez_model_json(const Ez__V1__Model *model, ez_buf *out) {
    const char *kind = kind_word(model->kind);
    ez_status status = ez_buf_puts(out, "{\"name\":");
    if (status == EZ_OK)
        status = ez_json_write_string(model->name, strlen(model->name), out);
    if (status == EZ_OK && kind[0])
        status = ez_buf_printf(out, ",\"kind\":\"%s\"", kind);
    if (status == EZ_OK)
        status = put_number("context_window", model->context_window, out);
    if (status == EZ_OK && model->cost_per_token > 0) {
        status = ez_buf_puts(out, ",\"cost_per_token\":");
        if (status == EZ_OK)
            status = ez_json_write_double(model->cost_per_token, out);
    }
    if (status == EZ_OK)
        status = put_flags(model, out);
    if (status == EZ_OK)
        status = put_number("max_output_tokens", model->max_output_tokens, out);
    return status == EZ_OK ? ez_buf_putc(out, '}') : status;
}
