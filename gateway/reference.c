// SPDX-License-Identifier: Apache-2.0
//
// Rendered from the OpenAPI document itself, so the page can't say other things than it. Objects stand once, at the
// end, and calls link to them. The awkward case: the document is generated text from our own schema, but it is escaped
// like anybody's.
#include "gateway/reference.h"

#include <string.h>

#include "gateway/html.h"

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

// What a "$ref" names last; NULL where there is none.
static const char *name_of(const json_t *object) {
    const char *slash = strrchr(text_of(object, "$ref"), '/');
    return slash ? slash + 1 : NULL;
}

static const json_t *component(const json_t *document, const char *kind, const char *name) {
    return json_object_get(json_object_get(json_object_get(document, "components"), kind), name);
}

static void put_link(ez_buf *out, const char *name) {
    (void)ez_buf_puts(out, "<a href=\"#");
    ez_html_escape(out, name);
    (void)ez_buf_puts(out, "\">");
    ez_html_escape(out, name);
    (void)ez_buf_puts(out, "</a>");
}

static void put_words(ez_buf *out, const json_t *words) {
    const json_t *word;
    size_t i;
    json_array_foreach(words, i, word) {
        (void)ez_buf_puts(out, i ? " | <code>" : "<code>");
        ez_html_escape(out, json_string_value(word));
        (void)ez_buf_puts(out, "</code>");
    }
}

// A link, the words of an enum, or the type; of a list what its elements are.
static void put_type(ez_buf *out, const json_t *schema) {
    const json_t *either = json_object_get(schema, "anyOf"); // something, or null
    schema = either ? json_array_get(either, 0) : schema;
    const json_t *items = json_object_get(schema, "items"), *type = json_object_get(schema, "type");
    const json_t *words = json_object_get(items ? items : schema, "enum");
    const char *name = name_of(items ? items : schema);
    if (items)
        (void)ez_buf_puts(out, "list of ");
    if (name)
        put_link(out, name);
    else if (words)
        put_words(out, words);
    else if (json_is_array(type)) // a type and null
        ez_html_escape(out, json_string_value(json_array_get(type, 0)));
    else
        ez_html_escape(out, text_of(items ? items : schema, "type"));
}

static void put_row(ez_buf *out, const char *name, const char *where, const json_t *schema, const char *description) {
    (void)ez_buf_puts(out, "<tr><td><code>");
    ez_html_escape(out, name);
    (void)ez_buf_puts(out, "</code></td><td>");
    if (where) {
        ez_html_escape(out, where);
        (void)ez_buf_puts(out, "</td><td>");
    }
    put_type(out, schema);
    (void)ez_buf_puts(out, "</td><td>");
    ez_html_escape(out, description);
    (void)ez_buf_puts(out, "</td></tr>");
}

static void put_parameters(ez_buf *out, const json_t *document, const json_t *operation) {
    const json_t *list = json_object_get(operation, "parameters"), *one;
    size_t i;
    if (json_array_size(list) == 0)
        return;
    (void)ez_buf_puts(out, "<table><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr>");
    json_array_foreach(list, i, one) {
        const char *name = name_of(one);
        const json_t *parameter = name ? component(document, "parameters", name) : one;
        put_row(out, text_of(parameter, "name"), text_of(parameter, "in"), json_object_get(parameter, "schema"),
                text_of(parameter, "description"));
    }
    (void)ez_buf_puts(out, "</table>");
}

static const json_t *schema_in(const json_t *holder) {
    const json_t *content = json_object_get(holder, "content");
    return json_object_get(json_object_iter_value(json_object_iter((json_t *)(uintptr_t)content)), "schema");
}

// The first reply that is a success.
static void put_reply(ez_buf *out, const json_t *operation) {
    const char *code;
    json_t *reply;
    json_object_foreach(json_object_get(operation, "responses"), code, reply) {
        if (code[0] != '2')
            continue;
        (void)ez_buf_puts(out, "<p>Reply: ");
        ez_html_escape(out, code);
        const json_t *schema = schema_in(reply);
        if (schema) {
            (void)ez_buf_puts(out, ", ");
            put_type(out, schema);
        }
        (void)ez_buf_puts(out, "</p>");
        return;
    }
}

static void put_summary(ez_buf *out, const json_t *operation) {
    const char *summary = text_of(operation, "summary"), *description = text_of(operation, "description");
    bool is_begin = strncmp(summary, description, strlen(summary)) == 0; // what it begins with, as a rule
    (void)ez_buf_puts(out, "<p>");
    ez_html_escape(out, is_begin ? description : summary);
    if (!is_begin && *description) {
        (void)ez_buf_puts(out, "</p><p>");
        ez_html_escape(out, description);
    }
    (void)ez_buf_puts(out, "</p>");
}

static void put_operation(ez_buf *out, const json_t *document, const char *path, const char *verb,
                          const json_t *operation) {
    char upper[16] = "";
    for (size_t i = 0; verb[i] && i < sizeof upper - 1; i++)
        upper[i] = (char)(verb[i] >= 'a' && verb[i] <= 'z' ? verb[i] - 32 : verb[i]);
    (void)ez_buf_puts(out, "<article><h3><b class=\"verb\">");
    ez_html_escape(out, upper);
    (void)ez_buf_puts(out, "</b> <code>");
    ez_html_escape(out, path);
    (void)ez_buf_puts(out, "</code></h3>");
    put_summary(out, operation);
    put_parameters(out, document, operation);
    const json_t *body = schema_in(json_object_get(operation, "requestBody"));
    if (body) {
        (void)ez_buf_puts(out, "<p>Body: ");
        put_type(out, body);
        (void)ez_buf_puts(out, "</p>");
    }
    put_reply(out, operation);
    (void)ez_buf_puts(out, "</article>");
}

// Operations of one tag; of all where tag is NULL.
static void put_tag(ez_buf *out, const json_t *document, const char *tag) {
    const char *path, *verb;
    json_t *paths = json_object_get(document, "paths"), *item, *operation;
    json_object_foreach(paths, path, item) {
        json_object_foreach(item, verb, operation) {
            const char *own = json_string_value(json_array_get(json_object_get(operation, "tags"), 0));
            bool is_wanted = !tag || (own && strcmp(own, tag) == 0);
            if (is_wanted && json_is_object(operation) && json_object_get(operation, "responses"))
                put_operation(out, document, path, verb, operation);
        }
    }
}

static void put_object(ez_buf *out, const char *name, const json_t *schema) {
    const char *field;
    json_t *properties = json_object_get(schema, "properties"), *one;
    (void)ez_buf_puts(out, "<article id=\"");
    ez_html_escape(out, name);
    (void)ez_buf_puts(out, "\"><h3>");
    ez_html_escape(out, name);
    (void)ez_buf_puts(out, "</h3><p>");
    ez_html_escape(out, text_of(schema, "description"));
    (void)ez_buf_puts(out, "</p>");
    if (!properties) {
        (void)ez_buf_puts(out, "<p>");
        put_type(out, schema);
        (void)ez_buf_puts(out, "</p></article>");
        return;
    }
    (void)ez_buf_puts(out, "<table><tr><th>Field</th><th>Type</th><th></th></tr>");
    json_object_foreach(properties, field, one) put_row(out, field, NULL, one, text_of(one, "description"));
    (void)ez_buf_puts(out, "</table></article>");
}

void ez_reference_write(ez_buf *out, const json_t *document) {
    const json_t *tags = json_object_get(document, "tags"), *tag;
    const char *name;
    json_t *schema;
    size_t i;
    ez_html_head(out, "ezplane API");
    (void)ez_buf_puts(out, "<h1>ezplane API</h1><p>Made from <a href=\"/openapi.json\">/openapi.json</a>, which also "
                           "has every bound. <a href=\"#objects\">Objects and their fields</a> are at the end.</p>");
    if (json_array_size(tags) == 0)
        put_tag(out, document, NULL);
    json_array_foreach(tags, i, tag) {
        (void)ez_buf_puts(out, "<h2>");
        ez_html_escape(out, text_of(tag, "name"));
        (void)ez_buf_puts(out, "</h2>");
        put_tag(out, document, text_of(tag, "name"));
    }
    (void)ez_buf_puts(out, "<h2 id=\"objects\">Objects</h2>");
    json_object_foreach(json_object_get(json_object_get(document, "components"), "schemas"), name, schema)
        put_object(out, name, schema);
    (void)ez_buf_puts(out, "</body></html>\n");
}
