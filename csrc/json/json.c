/* pyoci._json: JSON texts (RFC 8259) to Python's values and back.
 *
 * The standard library's scanner is a file that the static launcher cannot open, and reports duplicate names only
 * through a call into Python for each object. What is read here comes from anybody: every step is taken between `at` and
 * `end`, and nesting has a limit of its own.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { DEPTH = 500 }; /* arrays and objects inside one another */
enum { TIMES = 5 };   /* how many times as many names in a text as members in an object, where these are limited */

/* -- reading ------------------------------------------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    int depth;
    bool unique;      /* a name that comes twice in an object is an error */
    Py_ssize_t most;  /* members of an object or an array, 0 for no limit */
    Py_ssize_t names; /* read so far */
};

static PyObject *read_value(struct reader *reader);

static void *refuse(const char *why) {
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, why);
    return NULL;
}

/* Whether this many members are too many: OverflowError. */
static bool too_many(struct reader *reader, Py_ssize_t members) {
    if (!reader->most || (members <= reader->most && reader->names <= TIMES * reader->most))
        return false;
    PyErr_SetString(PyExc_OverflowError, "too many members");
    return true;
}

static void skip_space(struct reader *reader) {
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
}

/* Whether the next character that is no space is this one, which has then been read. */
static bool take(struct reader *reader, char wanted) {
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

/* The four hexadecimal digits of \uXXXX, or -1. */
static int32_t read_hex(struct reader *reader) {
    int32_t value = 0;
    if (reader->end - reader->at < 4)
        return -1;
    for (int count = 0; count < 4; count++) {
        char digit = *reader->at++;
        value <<= 4;
        if (digit >= '0' && digit <= '9')
            value |= digit - '0';
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            value |= (digit | 0x20) - 'a' + 10;
        else
            return -1;
    }
    return value;
}

/* What follows a backslash, or -1. Two escapes for the halves of one character are that character. */
static int32_t read_escape(struct reader *reader) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end)
        return -1;
    char letter = *reader->at++;
    if (letter != 'u') {
        const char *found = letter ? strchr(letters, letter) : NULL;
        return found ? meanings[found - letters] : -1;
    }
    int32_t high = read_hex(reader);
    if (high < 0xd800 || high > 0xdbff || reader->end - reader->at < 6 || reader->at[0] != '\\' || reader->at[1] != 'u')
        return high;
    struct reader ahead = *reader;
    ahead.at += 2;
    int32_t low = read_hex(&ahead);
    if (low < 0xdc00 || low > 0xdfff)
        return low < 0 ? -1 : high;
    reader->at = ahead.at;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* One character of UTF-8, as RFC 3629 has it, or -1. */
static int32_t read_character(struct reader *reader) {
    unsigned char first = (unsigned char)*reader->at++;
    if (first < 0x80)
        return first;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (first < 0xc2 || first > 0xf4 || reader->end - reader->at < more)
        return -1;
    int32_t value = first & (0x3f >> more);
    for (int count = 0; count < more; count++) {
        unsigned char next = (unsigned char)*reader->at++;
        if ((next & 0xc0) != 0x80)
            return -1;
        value = value << 6 | (next & 0x3f);
    }
    return value < least[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? -1 : value;
}

/* A string with escapes, or with characters beyond ASCII; `close` is its closing quote. */
static PyObject *read_long_way(struct reader *reader, const char *close) {
    struct reader inside = {.at = reader->at, .end = close};
    Py_UCS4 *characters = PyMem_New(Py_UCS4, (size_t)(close - reader->at) + 1);
    Py_ssize_t count = 0;
    if (!characters)
        return PyErr_NoMemory();
    while (inside.at < inside.end) {
        int32_t next = *inside.at == '\\' ? (inside.at++, read_escape(&inside)) : read_character(&inside);
        if (next < 0) {
            PyMem_Free(characters);
            return refuse("a string is not right");
        }
        characters[count++] = (Py_UCS4)next;
    }
    PyObject *text = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, characters, count);
    PyMem_Free(characters);
    return text;
}

/* The string whose opening quote has been read. */
static PyObject *read_string(struct reader *reader) {
    bool plain = true;
    const char *close = reader->at;
    while (close < reader->end && *close != '"') {
        unsigned char next = (unsigned char)*close;
        if (next < 0x20)
            return refuse("a control character in a string");
        plain = plain && next != '\\' && next < 0x80;
        close += next == '\\' ? 2 : 1;
    }
    if (close >= reader->end)
        return refuse("a string without end");
    PyObject *text = plain ? PyUnicode_New(close - reader->at, 127) : read_long_way(reader, close);
    if (plain && text)
        memcpy(PyUnicode_DATA(text), reader->at, (size_t)(close - reader->at));
    reader->at = close + 1;
    return text;
}

static PyObject *read_object(struct reader *reader) {
    PyObject *object = PyDict_New();
    if (!object || take(reader, '}'))
        return object;
    do {
        PyObject *name = take(reader, '"') ? read_string(reader) : refuse("an object's name is missing");
        if (!name)
            goto fail;
        PyUnicode_InternInPlace(&name); /* it is looked up by names in the code */
        PyObject *value = take(reader, ':') ? read_value(reader) : refuse("a colon is missing");
        Py_ssize_t before = PyDict_Size(object);
        int result = value ? PyDict_SetItem(object, name, value) : -1;
        Py_XDECREF(value);
        Py_DECREF(name);
        if (result)
            goto fail;
        if (reader->unique && PyDict_Size(object) == before) {
            refuse("two members of the same name");
            goto fail;
        }
        reader->names++;
        if (too_many(reader, before + 1))
            goto fail;
    } while (take(reader, ','));
    if (take(reader, '}'))
        return object;
    refuse("an object without end");
fail:
    Py_DECREF(object);
    return NULL;
}

static PyObject *read_array(struct reader *reader) {
    PyObject *array = PyList_New(0);
    if (!array || take(reader, ']'))
        return array;
    do {
        PyObject *value = read_value(reader);
        int result = value ? PyList_Append(array, value) : -1;
        Py_XDECREF(value);
        if (result || too_many(reader, PyList_GET_SIZE(array)))
            goto fail;
    } while (take(reader, ','));
    if (take(reader, ']'))
        return array;
    refuse("an array without end");
fail:
    Py_DECREF(array);
    return NULL;
}

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The end of the number that begins here, or NULL; tells whether it is an integer. */
static const char *end_of_number(const char *at, const char *end, bool *integer) {
    if (at < end && *at == '-')
        at++;
    const char *digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return NULL;
    *integer = true;
    if (end - at > 1 && *at == '.' && at[1] >= '0' && at[1] <= '9') {
        *integer = false;
        at = skip_digits(at + 1, end);
    }
    if (end - at > 1 && (*at == 'e' || *at == 'E')) {
        const char *exponent = at + 1 + (at[1] == '+' || at[1] == '-');
        if (skip_digits(exponent, end) > exponent) {
            *integer = false;
            at = skip_digits(exponent, end);
        }
    }
    return at;
}

static PyObject *read_number(struct reader *reader) {
    bool integer;
    const char *start = reader->at, *end = end_of_number(start, reader->end, &integer);
    if (!end)
        return refuse("not a value");
    reader->at = end;
    size_t size = (size_t)(end - start);
    if (integer && size <= 18) {
        long long value = 0;
        for (const char *digit = start + (*start == '-'); digit < end; digit++)
            value = value * 10 + (*digit - '0');
        return PyLong_FromLongLong(*start == '-' ? -value : value);
    }
    char *text = PyMem_Malloc(size + 1);
    if (!text)
        return PyErr_NoMemory();
    memcpy(text, start, size);
    text[size] = '\0';
    PyObject *number = NULL;
    if (integer) {
        number = PyLong_FromString(text, NULL, 10);
    } else {
        double value = PyOS_string_to_double(text, NULL, NULL);
        if (!PyErr_Occurred())
            number = PyFloat_FromDouble(value);
    }
    PyMem_Free(text);
    return number;
}

static PyObject *read_word(struct reader *reader, const char *word, PyObject *value) {
    size_t size = strlen(word);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0)
        return refuse("not a value");
    reader->at += size;
    Py_INCREF(value);
    return value;
}

static PyObject *read_value(struct reader *reader) {
    skip_space(reader);
    if (reader->at == reader->end)
        return refuse("a value is missing");
    switch (*reader->at) {
    case '{':
    case '[': {
        if (reader->depth == DEPTH)
            return refuse("nested too deeply");
        reader->depth++;
        PyObject *value = *reader->at++ == '{' ? read_object(reader) : read_array(reader);
        reader->depth--;
        return value;
    }
    case '"':
        reader->at++;
        return read_string(reader);
    case 't':
        return read_word(reader, "true", Py_True);
    case 'f':
        return read_word(reader, "false", Py_False);
    case 'n':
        return read_word(reader, "null", Py_None);
    default:
        return read_number(reader);
    }
}

/* loads(text: str | bytes, unique: bool, most: int): the value of a whole text. Raises ValueError, OverflowError. */
static PyObject *loads(PyObject *module, PyObject *arguments) {
    struct reader reader = {.depth = 0};
    Py_ssize_t size;
    int unique;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "s#pn", &reader.at, &size, &unique, &reader.most))
        return NULL;
    reader.end = reader.at + size;
    reader.unique = unique;
    PyObject *value = read_value(&reader);
    skip_space(&reader);
    if (value && reader.at < reader.end) {
        Py_DECREF(value);
        return refuse("more text after the value");
    }
    return value;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

struct writer {
    char *text;
    size_t size, room;
};

static bool write_value(struct writer *writer, PyObject *value);

static bool add(struct writer *writer, const char *text, size_t size) {
    if (writer->room - writer->size < size) {
        size_t room = (writer->size + size) * 2 + 256;
        char *larger = PyMem_Realloc(writer->text, room);
        if (!larger) {
            PyErr_NoMemory();
            return false;
        }
        writer->text = larger;
        writer->room = room;
    }
    memcpy(writer->text + writer->size, text, size);
    writer->size += size;
    return true;
}

static bool add_unit(struct writer *writer, unsigned unit) {
    char text[8];
    return add(writer, text, (size_t)PyOS_snprintf(text, sizeof text, "\\u%04x", unit));
}

static bool write_character(struct writer *writer, Py_UCS4 character) {
    static const char special[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    if (character > 0xffff)
        return add_unit(writer, 0xd800 + ((character - 0x10000) >> 10)) && add_unit(writer, 0xdc00 + (character & 0x3ff));
    const char *found = character && character < 0x80 ? strchr(special, (int)character) : NULL;
    if (found) {
        char escape[2] = {'\\', letters[found - special]};
        return add(writer, escape, 2);
    }
    if (character < ' ' || character > '~')
        return add_unit(writer, character);
    char plain = (char)character;
    return add(writer, &plain, 1);
}

/* How many characters from here on are written as they are; none in a text that has more than ASCII. */
static Py_ssize_t plain_run(PyObject *text, Py_ssize_t start) {
    const Py_UCS1 *characters = PyUnicode_IS_ASCII(text) ? PyUnicode_1BYTE_DATA(text) : NULL;
    Py_ssize_t end = start, size = characters ? PyUnicode_GET_LENGTH(text) : 0;
    while (end < size && characters[end] >= ' ' && characters[end] <= '~' && characters[end] != '"' &&
           characters[end] != '\\')
        end++;
    return end - start;
}

static bool write_string(struct writer *writer, PyObject *text) {
    bool good = add(writer, "\"", 1);
    for (Py_ssize_t at = 0, run; good && at < PyUnicode_GET_LENGTH(text); at += run ? run : 1) {
        run = plain_run(text, at);
        good = run ? add(writer, (char *)PyUnicode_DATA(text) + at, (size_t)run)
                   : write_character(writer, PyUnicode_READ_CHAR(text, at));
    }
    return good && add(writer, "\"", 1);
}

static bool write_object(struct writer *writer, PyObject *object) {
    PyObject *name, *value;
    Py_ssize_t place = 0;
    bool good = add(writer, "{", 1), first = true;
    while (good && PyDict_Next(object, &place, &name, &value)) {
        if (!PyUnicode_Check(name)) {
            PyErr_SetString(PyExc_TypeError, "a name that is no text");
            return false;
        }
        good = (first || add(writer, ",", 1)) && write_string(writer, name) && add(writer, ":", 1) &&
               write_value(writer, value);
        first = false;
    }
    return good && add(writer, "}", 1);
}

static bool write_array(struct writer *writer, PyObject *array) {
    bool good = add(writer, "[", 1);
    for (Py_ssize_t at = 0; good && at < PySequence_Fast_GET_SIZE(array); at++)
        good = (at == 0 || add(writer, ",", 1)) && write_value(writer, PySequence_Fast_GET_ITEM(array, at));
    return good && add(writer, "]", 1);
}

static bool write_float(struct writer *writer, double value) {
    if (value != value || value - value != 0) {
        PyErr_SetString(PyExc_ValueError, "not a number that JSON knows");
        return false;
    }
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    bool good = text && add(writer, text, strlen(text));
    PyMem_Free(text);
    return good;
}

static bool write_integer(struct writer *writer, PyObject *value) {
    PyObject *digits = PyLong_Type.tp_repr(value);
    Py_ssize_t size;
    const char *text = digits ? PyUnicode_AsUTF8AndSize(digits, &size) : NULL;
    bool good = text && add(writer, text, (size_t)size);
    Py_XDECREF(digits);
    return good;
}

static bool write_nested(struct writer *writer, PyObject *value, bool (*write)(struct writer *, PyObject *)) {
    if (Py_EnterRecursiveCall(" while writing JSON"))
        return false;
    bool good = write(writer, value);
    Py_LeaveRecursiveCall();
    return good;
}

static bool write_value(struct writer *writer, PyObject *value) {
    if (value == Py_None)
        return add(writer, "null", 4);
    if (value == Py_True)
        return add(writer, "true", 4);
    if (value == Py_False)
        return add(writer, "false", 5);
    if (PyUnicode_Check(value))
        return write_string(writer, value);
    if (PyLong_Check(value))
        return write_integer(writer, value);
    if (PyFloat_Check(value))
        return write_float(writer, PyFloat_AS_DOUBLE(value));
    if (PyDict_Check(value))
        return write_nested(writer, value, write_object);
    if (PyList_Check(value) || PyTuple_Check(value))
        return write_nested(writer, value, write_array);
    PyErr_Format(PyExc_TypeError, "not a JSON value: %s", Py_TYPE(value)->tp_name);
    return false;
}

/* dumps(value): the shortest text, in ASCII. Raises TypeError, ValueError, RecursionError. */
static PyObject *dumps(PyObject *module, PyObject *value) {
    struct writer writer = {NULL, 0, 0};
    (void)module;
    PyObject *text = write_value(&writer, value) ? PyUnicode_DecodeASCII(writer.text, (Py_ssize_t)writer.size, NULL) : NULL;
    PyMem_Free(writer.text);
    return text;
}

static int fill(PyObject *module) {
    return PyModule_AddIntConstant(module, "DEPTH", DEPTH);
}

PyMODINIT_FUNC PyInit__json(void) {
    static PyMethodDef functions[] = {
        {"loads", loads, METH_VARARGS, NULL},
        {"dumps", dumps, METH_O, NULL},
        {NULL, NULL, 0, NULL},
    };
    static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_json", .m_methods = functions,
                                            .m_slots = slots};
    return PyModuleDef_Init(&definition);
}
