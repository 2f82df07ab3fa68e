// Between the component's host and the package: wasi:http 0.2 by the canonical ABI of the component model.

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http.h"

#define IMPORT(module, name) __attribute__((import_module(module "@0.2.10"), import_name(name)))
#define TYPES(name) IMPORT("wasi:http/types", name)
#define STREAMS(name) IMPORT("wasi:io/streams", name)

typedef int32_t held; // by the host

TYPES("[method]incoming-request.method") void request_method(held, void *);
TYPES("[method]incoming-request.path-with-query") void request_path(held, void *);
TYPES("[method]incoming-request.consume") void request_consume(held, void *);
TYPES("[static]fields.from-list") void fields_from_list(const void *, size_t, void *);
TYPES("[method]fields.get") void fields_get(held, const char *, size_t, void *);
TYPES("[method]incoming-body.stream") void body_stream(held, void *);
STREAMS("[method]input-stream.blocking-read") void stream_read(held, uint64_t, void *);
STREAMS("[resource-drop]input-stream") void input_drop(held);
STREAMS("[method]output-stream.blocking-write-and-flush") void stream_write(held, const char *, size_t, void *);
STREAMS("[resource-drop]output-stream") void output_drop(held);
TYPES("[constructor]outgoing-response") held new_response(held);
TYPES("[method]outgoing-response.set-status-code") int32_t response_status(held, int32_t);
TYPES("[method]outgoing-response.body") void response_body(held, void *);
TYPES("[static]response-outparam.set")
void response_set(held, int32_t, held, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
TYPES("[method]outgoing-body.write") void body_write(held, void *);
TYPES("[static]outgoing-body.finish") void body_finish(held, int32_t, held, void *);
TYPES("[constructor]outgoing-request") held new_request(held);
TYPES("[method]outgoing-request.set-method") int32_t set_method(held, int32_t, const char *, size_t);
TYPES("[method]outgoing-request.set-path-with-query") int32_t set_path(held, int32_t, const char *, size_t);
TYPES("[method]outgoing-request.set-authority") int32_t set_authority(held, int32_t, const char *, size_t);
TYPES("[method]outgoing-request.set-scheme") int32_t set_scheme(held, int32_t, int32_t, const char *, size_t);
TYPES("[method]outgoing-request.body") void request_body(held, void *);
IMPORT("wasi:http/outgoing-handler", "handle") void handle_outgoing(held, int32_t, held, void *);
TYPES("[method]future-incoming-response.subscribe") held future_subscribe(held);
TYPES("[method]future-incoming-response.get") void future_get(held, void *);
IMPORT("wasi:io/poll", "[method]pollable.block") void poll_block(held);
IMPORT("wasi:io/poll", "[resource-drop]pollable") void poll_drop(held);
TYPES("[method]incoming-response.status") int32_t answer_status(held);
TYPES("[method]incoming-response.headers") held answer_headers(held);
TYPES("[method]incoming-response.consume") void answer_consume(held, void *);

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size, (void)align; // malloc aligns for everything
    void *made = size ? realloc(old, size) : (void *)align;
    if (!made)
        abort();
    return made;
}

struct span {
    const char *start;
    size_t length;
};

static struct span span_of(const char *text) { return (struct span){text, strlen(text)}; }

static const char *string(struct span span) { return text("%.*s", (int)span.length, span.start); }

char *text(const char *format, ...) {
    va_list values;
    va_start(values, format);
    char *made = NULL;
    if (vasprintf(&made, format, values) < 0)
        abort();
    va_end(values);
    return made;
}

// All of a body, with a zero byte behind it.
static char *read_body(held body, size_t *length) {
    struct {
        uint8_t is_error;
        held stream;
    } opened;
    body_stream(body, &opened);
    char *all = calloc(1, 1);
    *length = 0;
    for (;;) {
        struct {
            uint8_t is_error;
            struct span part;
        } read;
        stream_read(opened.stream, 65536, &read);
        if (read.is_error) // or the end
            break;
        all = realloc(all, *length + read.part.length + 1);
        memcpy(all + *length, read.part.start, read.part.length);
        *length += read.part.length;
        all[*length] = 0;
        if (read.part.length)
            free((void *)read.part.start);
    }
    input_drop(opened.stream);
    return all;
}

static void write_body(held body, const char *content, size_t length) {
    enum { MOST = 4096 }; // that one write may have
    struct {
        uint8_t is_error;
        held stream;
    } opened;
    struct {
        uint8_t is_error;
        uint8_t kind;
        held error;
    } written = {0};
    uint64_t finished[8];
    body_write(body, &opened);
    for (size_t at = 0; at < length && !written.is_error; at += MOST)
        stream_write(opened.stream, content + at, length - at < MOST ? length - at : MOST, &written);
    output_drop(opened.stream);
    body_finish(body, 0, 0, finished);
}

static held fields(const char *type) {
    struct {
        struct span name, value;
    } entry = {span_of("content-type"), span_of(type ? type : "")};
    struct {
        uint8_t is_error;
        held fields;
    } made;
    fields_from_list(&entry, type ? 1 : 0, &made);
    if (made.is_error)
        abort();
    return made.fields;
}

// %XX as what it stands for.
static const char *decoded(const char *path) {
    char *made = strdup(path), *end = made;
    for (; *path; path++) {
        char digits[3] = {path[0] == '%' ? path[1] : 0, 0, 0};
        if (digits[0])
            digits[1] = path[2];
        if (strspn(digits, "0123456789abcdefABCDEF") == 2 && strcmp(digits, "00") != 0) {
            *end++ = (char)strtol(digits, NULL, 16);
            path += 2;
        } else {
            *end++ = *path;
        }
    }
    *end = 0;
    return made;
}

static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
enum { OTHER = sizeof METHODS / sizeof *METHODS };

__attribute__((export_name("wasi:http/incoming-handler@0.2.10#handle"))) void handle_incoming(held incoming, held out) {
    struct {
        uint8_t kind;
        struct span other;
    } method;
    struct {
        uint8_t is_some;
        struct span path;
    } target;
    struct {
        uint8_t is_error;
        held body;
    } consumed, made;
    request_method(incoming, &method);
    request_path(incoming, &target);
    request_consume(incoming, &consumed);
    char *path = text("%s", target.is_some ? string(target.path) : "/");
    char *query = strchr(path, '?');
    if (query)
        *query++ = 0;
    struct request request = {
        .method = method.kind < OTHER ? METHODS[method.kind] : string(method.other),
        .path = decoded(path),
        .query = query ? query : "",
    };
    request.body = read_body(consumed.body, &request.length);
    struct response response = {.status = 200, .type = "text/plain; charset=utf-8", .body = ""};
    handle(&request, &response);
    held outgoing = new_response(fields(response.type));
    response_status(outgoing, response.status);
    response_body(outgoing, &made);
    response_set(out, 0, outgoing, 0, 0, 0, 0, 0, 0);
    write_body(made.body, response.body, response.length ? response.length : strlen(response.body));
}

struct reply http_send(const char *method, const char *authority, const char *path, const char *json) {
    held request = new_request(fields(json ? "application/json" : NULL));
    struct {
        uint8_t is_error;
        held body;
    } made, consumed;
    union { // results with error codes, which are as aligned as their largest number
        uint64_t whole[8];
        struct {
            uint8_t is_error;
            _Alignas(8) held future;
        } sent;
        struct {
            uint8_t is_some;
            _Alignas(8) uint8_t is_taken;
            _Alignas(8) uint8_t is_error;
            _Alignas(8) held response;
        } got;
    } result;
    set_method(request, OTHER, method, strlen(method));
    set_scheme(request, 1, 0, NULL, 0);
    set_authority(request, 1, authority, strlen(authority));
    set_path(request, 1, path, strlen(path));
    request_body(request, &made);
    handle_outgoing(request, 0, 0, &result);
    if (result.sent.is_error)
        return (struct reply){0};
    held future = result.sent.future;
    write_body(made.body, json ? json : "", json ? strlen(json) : 0);
    held ready = future_subscribe(future);
    poll_block(ready);
    poll_drop(ready);
    future_get(future, &result);
    if (result.got.is_error)
        return (struct reply){0};
    held response = result.got.response;
    struct reply reply = {.status = answer_status(response)};
    struct span etags;
    fields_get(answer_headers(response), "etag", 4, &etags);
    if (etags.length)
        reply.etag = string(*(const struct span *)etags.start);
    answer_consume(response, &consumed);
    size_t length;
    reply.body = read_body(consumed.body, &length);
    return reply;
}
