// As much of JSON (RFC 8259) as orders need; a library takes its place where there is more.

#ifndef JSON_H
#define JSON_H

// Where the value of an object's member begins, or NULL.
const char *json_member(const char *object, const char *name);

// A string without its quotes and escapes, or NULL.
const char *json_text(const char *value);

// A text as a string.
const char *json_quoted(const char *text);

#endif
