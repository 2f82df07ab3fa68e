// Requests and responses. A request has an instance of its own, which is gone after it: nothing needs to be freed.

#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct request {
    const char *method, *path, *query; // the path without its query
    const char *body;                  // ends with a zero byte, which `length` does not count
    size_t length;
};

struct response {
    int status;       // 200 unless set
    const char *type; // of the body: text/plain unless set
    const char *body;
    size_t length; // strlen(body) unless set
};

// The package's own: app.c.
void handle(const struct request *request, struct response *response);

struct reply {
    int status; // 0: there was no answer
    const char *body, *etag;
};

// Sends a request: wasi.c asks the host, and a test answers by itself. `json` may be NULL.
struct reply http_send(const char *method, const char *authority, const char *path, const char *json);

// A text as printf makes it.
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
