/*
 * conf_value: one option's value. For conf.c alone.
 */
#ifndef RUN_CONF_VALUE_H
#define RUN_CONF_VALUE_H

#include "run/conf.h"

/* Reads s into the field, or appends it to a list; false if it is not what the
 * option takes. */
bool conf_value_set(const struct conf_option *o, void *field, const char *s);

/* What the option takes, in words that follow "is not". */
void conf_value_right(const struct conf_option *o, char *out, size_t cap);

/* Writes the option as a line, or several, of the file's form. */
void conf_value_print(
    const struct conf_option *o, const void *field, FILE *out);

/* May it be given repeatedly? */
bool conf_value_is_list(const struct conf_option *o);

/* Frees what the field owns; a list is empty then. */
void conf_value_clear(const struct conf_option *o, void *field);

#endif
