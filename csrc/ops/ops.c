/* pyoci._ops: the ops of ops.def for Python. A constructor for each, which takes the fields by their names; the table of them; and the
 * bytes of a plan.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <structmember.h>

#include "../ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { MOST_FIELDS = 12 };

static const char out_of_range[] = "the number %R is out of range";

/* -- the bytes of a plan ------------------------------------------------------------------------------------------- */

struct encoder {
    Py_ssize_t op; /* the index of the one that is written */
    char *text;
    size_t size, room;
};

/* A value that can't travel: ValueError(index of the op, words). */
static bool refuse(const struct encoder *encoder, const char *format, PyObject *value) {
    PyObject *words = PyUnicode_FromFormat(format, value);
    PyObject *both = words ? Py_BuildValue("(nN)", encoder->op, words) : NULL;

    if (both)
        PyErr_SetObject(PyExc_ValueError, both);
    Py_XDECREF(both);
    return false;
}

/* Room for more text, or NULL. */
static char *extend(struct encoder *encoder, size_t size) {
    if (encoder->room - encoder->size < size) {
        size_t room = (encoder->size + size) * 2;
        char *larger = PyMem_Realloc(encoder->text, room);
        if (!larger) {
            PyErr_NoMemory();
            return NULL;
        }
        encoder->text = larger;
        encoder->room = room;
    }
    encoder->size += size;
    return encoder->text + encoder->size - size;
}

/* The same on a boundary of eight bytes. */
static char *extend_aligned(struct encoder *encoder, size_t size) {
    size_t padding = -encoder->size % 8;
    char *place = extend(encoder, padding);
    if (!place)
        return NULL;
    memset(place, 0, padding);
    return extend(encoder, size);
}

static bool expect(bool right, const char *what, PyObject *value) {
    if (!right)
        PyErr_Format(PyExc_TypeError, "%s is wanted, not %R", what, value);
    return right;
}

static bool add_terminated(struct encoder *encoder, PyObject *string, const char *data, Py_ssize_t size) {
    if (memchr(data, '\0', (size_t)size))
        return refuse(encoder, "there is a NUL byte in %R", string);
    char *place = extend(encoder, (size_t)size + 1);
    if (place)
        memcpy(place, data, (size_t)size + 1);
    return place;
}

static bool add_string(struct encoder *encoder, PyObject *string) {
    if (!expect(PyUnicode_Check(string), "a string", string))
        return false;
    if (PyUnicode_IS_COMPACT_ASCII(string))
        return add_terminated(encoder, string, PyUnicode_DATA(string), PyUnicode_GET_LENGTH(string));
    PyObject *bytes = PyUnicode_AsEncodedString(string, "utf-8", "surrogateescape");
    bool good = bytes && add_terminated(encoder, string, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    Py_XDECREF(bytes);
    return good;
}

static bool put_str(struct encoder *encoder, PyObject *value, uint64_t *field) {
    *field = PyUnicode_Check(value) && PyUnicode_GET_LENGTH(value) == 0 ? 0 : encoder->size;
    return *field == 0 ? expect(PyUnicode_Check(value), "a string", value) : add_string(encoder, value);
}

static bool put_list(struct encoder *encoder, PyObject *value, struct plan_strings *field) {
    if (!expect(PyList_Check(value), "a list of strings", value))
        return false;
    field->count = (uint64_t)PyList_GET_SIZE(value);
    field->first = field->count ? encoder->size : 0;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(value); at++)
        if (!add_string(encoder, PyList_GET_ITEM(value, at)))
            return false;
    return true;
}

static bool put_bytes(struct encoder *encoder, PyObject *value, uint64_t *field, uint64_t *count, size_t unit) {
    if (!expect(PyBytes_Check(value) && (size_t)PyBytes_GET_SIZE(value) % unit == 0, "bytes", value))
        return false;
    size_t size = (size_t)PyBytes_GET_SIZE(value);
    char *place = extend_aligned(encoder, size);
    if (!place)
        return false;
    memcpy(place, PyBytes_AS_STRING(value), size);
    *field = (uint64_t)(place - encoder->text);
    *count = size / unit;
    return true;
}

static bool put_u64(struct encoder *encoder, PyObject *value, uint64_t *field) {
    if (!expect(PyLong_Check(value), "a number", value))
        return false;
    *field = PyLong_AsUnsignedLongLong(value);
    if (*field == (uint64_t)-1 && PyErr_Occurred()) { /* -1 is what some give for "no limit" */
        PyErr_Clear();
        *field = (uint64_t)PyLong_AsLongLong(value);
        if (*field == (uint64_t)-1 && PyErr_Occurred()) {
            PyErr_Clear();
            return refuse(encoder, out_of_range, value);
        }
    }
    return true;
}

/* A number between two limits. */
static bool put_within(struct encoder *encoder, PyObject *value, int64_t least, int64_t most, int64_t *number) {
    int overflow = 0;
    *number = 0;
    if (!expect(PyLong_Check(value), "a number", value))
        return false;
    *number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0 && *number >= least && *number <= most ? true : refuse(encoder, out_of_range, value);
}

static bool put_u32(struct encoder *encoder, PyObject *value, uint32_t *field) {
    int64_t number;
    bool good = put_within(encoder, value, 0, UINT32_MAX, &number);
    *field = (uint32_t)number;
    return good;
}

static bool put_i32(struct encoder *encoder, PyObject *value, int32_t *field) {
    int64_t number;
    bool good = put_within(encoder, value, INT32_MIN, INT32_MAX, &number);
    *field = (int32_t)number;
    return good;
}

static bool put_u16(struct encoder *encoder, PyObject *value, int64_t count, uint16_t *field) {
    int64_t number;
    bool good = put_within(encoder, value, 0, count - 1, &number);
    *field = (uint16_t)number;
    return good;
}

static bool put_flag(PyObject *value, uint8_t *field) {
    *field = value == Py_True;
    return expect(PyBool_Check(value), "True or False", value);
}

static bool put_ids(struct encoder *encoder, PyObject *value, struct plan_ids *field) {
    if (!expect(PyList_Check(value), "a list of numbers", value))
        return false;
    size_t count = (size_t)PyList_GET_SIZE(value);
    char *place = extend_aligned(encoder, count * sizeof(uint32_t));
    if (!place)
        return false;
    field->list = (uint64_t)(place - encoder->text);
    field->count = count;
    for (size_t at = 0; at < count; at++)
        if (!put_u32(encoder, PyList_GET_ITEM(value, (Py_ssize_t)at), (uint32_t *)(void *)place + at))
            return false;
    return true;
}

/* put_NAME: the op with these values of its fields. */
#define OP(name, error, fields)                                                                                             \
    static bool put_##name(struct encoder *encoder, PyObject *const *value, void *place) {                                  \
        struct op_##name *op = place;                                                                                       \
        (void)encoder, (void)value;                                                                                         \
        op->code = OP_##name;                                                                                               \
        return fields true;                                                                                                 \
    }
#define STR(f)      put_str(encoder, *value++, &op->f) &&
#define LIST(f)     put_list(encoder, *value++, &op->f) &&
#define BYTES(f)    put_bytes(encoder, *value++, &op->f.data, &op->f.size, 1) &&
#define IDS(f)      put_ids(encoder, *value++, &op->f) &&
#define FILTER(f)   put_bytes(encoder, *value++, &op->f.list, &op->f.count, 8) &&
#define FD(f)       put_u16(encoder, *value++, REG_COUNT, &op->f) &&
#define ENUM(f, of) put_u16(encoder, *value++, of##_COUNT, &op->f) &&
#define FLAG(f)     put_flag(*value++, &op->f) &&
#define U32(f)      put_u32(encoder, *value++, &op->f) &&
#define I32(f)      put_i32(encoder, *value++, &op->f) &&
#define U64(f)      put_u64(encoder, *value++, &op->f) &&
#include "../ops.def"

/* -- the table ----------------------------------------------------------------------------------------------------- */

struct field {
    const char *name; /* NULL: the next one may be left out */
    const char *kind;
};

#define OP(name, error, fields) static const struct field fields_of_##name[] = {fields{"", NULL}};
#define OPT(field)              {NULL, NULL}, field
#define STR(f)                  {#f, "STR"},
#define LIST(f)                 {#f, "LIST"},
#define BYTES(f)                {#f, "BYTES"},
#define IDS(f)                  {#f, "IDS"},
#define FILTER(f)               {#f, "FILTER"},
#define FD(f)                   {#f, "FD"},
#define ENUM(f, of)             {#f, "ENUM"},
#define FLAG(f)                 {NULL, NULL}, {#f, "FLAG"},
#define U32(f)                  {#f, "U32"},
#define I32(f)                  {#f, "I32"},
#define U64(f)                  {#f, "U64"},
#define MODE(f)                 {#f, "MODE"},
#define DEVICE(f)               {#f, "DEVICE"},
#define NAMESPACES(f)           {#f, "NAMESPACES"},
#define CAPS(f)                 {#f, "CAPS"},
#define ATTRS(f)                {#f, "ATTRS"},
#define PROPAGATION(f)          {#f, "PROPAGATION"},
#include "../ops.def"

static struct known {
    const char *name, *error;
    const struct field *fields;
    bool (*put)(struct encoder *, PyObject *const *, void *);
    size_t size;
    /* what the import adds */
    PyObject *symbol;
    PyObject *names[MOST_FIELDS];    /* of the fields */
    PyObject *defaults[MOST_FIELDS]; /* NULL: it has to be given */
    Py_ssize_t count;
} ops[OP_COUNT] = {
#define OP(name, error, fields) [OP_##name] = {#name, error, fields_of_##name, put_##name, sizeof(struct op_##name)},
#include "../ops.def"
};

static const char *const steps[STEP_COUNT] = {
    "",
#define STEP(name) #name,
#include "../ops.def"
};

static PyTypeObject op_type;

static PyObject *default_of(const char *kind) {
    if (strcmp(kind, "STR") == 0)
        return PyUnicode_New(0, 0);
    if (strcmp(kind, "LIST") == 0 || strcmp(kind, "IDS") == 0)
        return PyList_New(0);
    if (strcmp(kind, "BYTES") == 0 || strcmp(kind, "FILTER") == 0)
        return PyBytes_FromStringAndSize(NULL, 0);
    return strcmp(kind, "FLAG") == 0 ? PyBool_FromLong(0) : PyLong_FromLong(0);
}

/* Complete an op of the table; returns (error, ((field, kind, whether it may be left out), ...)). */
static PyObject *know(struct known *op) {
    PyObject *rows = PyTuple_New(0);
    bool optional = false;

    op->symbol = PyUnicode_InternFromString(op->name);
    for (const struct field *field = op->fields; op->symbol && rows && (!field->name || field->kind); field++) {
        if (!field->name) {
            optional = true;
            continue;
        }
        if (op->count == MOST_FIELDS || PyObject_HasAttrString((PyObject *)&op_type, field->name))
            return PyErr_Format(PyExc_SystemError, "%s can't have a field %s", op->name, field->name);
        op->names[op->count] = PyUnicode_InternFromString(field->name);
        op->defaults[op->count] = optional ? default_of(field->kind) : NULL;
        op->count++;
        PyObject *row = Py_BuildValue("((ssO))", field->name, field->kind, optional ? Py_True : Py_False);
        PyObject *longer = row ? PySequence_Concat(rows, row) : NULL;
        Py_XDECREF(row);
        Py_DECREF(rows);
        rows = longer;
        optional = false;
    }
    return op->symbol && rows ? Py_BuildValue("(sN)", op->error, rows) : NULL;
}

/* -- an op --------------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD int code; /* OP_NONE: its name and cause are known, but not its fields */
    PyObject *name, *values, *pointer, *about;
} Op;

static PyObject *nothing; /* "" */

static PyObject *new_op(int code, PyObject *name, PyObject *values) {
    Op *op = values ? PyObject_New(Op, &op_type) : NULL;

    if (!op) {
        Py_XDECREF(values);
        return NULL;
    }
    op->code = code;
    op->name = Py_NewRef(name);
    op->values = values;
    op->pointer = Py_NewRef(nothing);
    op->about = Py_NewRef(nothing);
    return (PyObject *)op;
}

static Py_ssize_t find_field(const struct known *known, PyObject *name) {
    for (Py_ssize_t at = 0; at < known->count; at++)
        if (known->names[at] == name)
            return at;
    for (Py_ssize_t at = 0; at < known->count; at++)
        if (PyUnicode_Compare(known->names[at], name) == 0)
            return at;
    return -1;
}

/* Put what was not given to its default. */
static bool complete(const struct known *known, PyObject *values) {
    for (Py_ssize_t at = 0; at < known->count; at++) {
        PyObject *value = PyTuple_GET_ITEM(values, at);
        if (value)
            continue;
        value = known->defaults[at];
        if (!value) {
            PyErr_Format(PyExc_TypeError, "%s() needs %U", known->name, known->names[at]);
            return false;
        }
        value = PyList_Check(value) ? PyList_New(0) : Py_NewRef(value);
        if (!value)
            return false;
        PyTuple_SET_ITEM(values, at, value);
    }
    return true;
}

static PyObject *make(int code, PyObject *const *arguments, Py_ssize_t positional, PyObject *names) {
    const struct known *known = &ops[code];
    Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
    PyObject *values;

    if (positional)
        return PyErr_Format(PyExc_TypeError, "%s() takes its arguments by name", known->name);
    values = PyTuple_New(known->count);
    if (!values)
        return NULL;
    for (Py_ssize_t at = 0; at < count; at++) {
        Py_ssize_t place = find_field(known, PyTuple_GET_ITEM(names, at));
        if (place < 0) {
            Py_DECREF(values);
            return PyErr_Format(PyExc_TypeError, "%s() has no %U", known->name, PyTuple_GET_ITEM(names, at));
        }
        PyTuple_SET_ITEM(values, place, Py_NewRef(arguments[at]));
    }
    if (complete(known, values))
        return new_op(code, known->symbol, values);
    Py_DECREF(values);
    return NULL;
}

/* Op(name, pointer, about): one of which no more is known */
static PyObject *op_new(PyTypeObject *type, PyObject *arguments, PyObject *names) {
    static char *words[] = {"name", "pointer", "about", NULL};
    PyObject *name, *pointer, *about;
    Op *op;

    (void)type;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "UUU", words, &name, &pointer, &about))
        return NULL;
    op = (Op *)new_op(OP_NONE, name, PyTuple_New(0));
    if (op) {
        Py_SETREF(op->pointer, Py_NewRef(pointer));
        Py_SETREF(op->about, Py_NewRef(about));
    }
    return (PyObject *)op;
}

static void op_dealloc(PyObject *self) {
    Op *op = (Op *)self;

    Py_XDECREF(op->name);
    Py_XDECREF(op->values);
    Py_XDECREF(op->pointer);
    Py_XDECREF(op->about);
    PyObject_Free(op);
}

/* op.path, for one */
static PyObject *op_getattr(PyObject *self, PyObject *name) {
    const Op *op = (Op *)self;
    Py_ssize_t place = op->code ? find_field(&ops[op->code], name) : -1;

    return place < 0 ? PyObject_GenericGetAttr(self, name) : Py_NewRef(PyTuple_GET_ITEM(op->values, place));
}

/* op.fields(): name -> value */
static PyObject *op_fields(PyObject *self, PyObject *nothing_given) {
    const Op *op = (Op *)self;
    PyObject *found = PyDict_New();

    (void)nothing_given;
    for (Py_ssize_t at = 0; found && at < PyTuple_GET_SIZE(op->values); at++)
        if (PyDict_SetItem(found, ops[op->code].names[at], PyTuple_GET_ITEM(op->values, at)))
            Py_CLEAR(found);
    return found;
}

static PyObject *op_repr(PyObject *self) {
    PyObject *fields = op_fields(self, NULL);
    PyObject *text = fields ? PyUnicode_FromFormat("<%U %R>", ((Op *)self)->name, fields) : NULL;

    Py_XDECREF(fields);
    return text;
}

/* Whether two ops do the same, whatever they are for. */
static PyObject *op_compare(PyObject *self, PyObject *other, int how) {
    const Op *one = (Op *)self, *two = (Op *)other;
    int same;

    if (!PyObject_TypeCheck(other, &op_type) || (how != Py_EQ && how != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    same = PyUnicode_Compare(one->name, two->name) == 0 && one->code == two->code
               ? PyObject_RichCompareBool(one->values, two->values, Py_EQ)
               : 0;
    return same < 0 ? NULL : PyBool_FromLong((same == 1) == (how == Py_EQ));
}

static PyMemberDef op_members[] = {
    {"name", T_OBJECT, offsetof(Op, name), READONLY, NULL},
    {"values", T_OBJECT, offsetof(Op, values), READONLY, NULL},
    {"pointer", T_OBJECT, offsetof(Op, pointer), 0, NULL},
    {"about", T_OBJECT, offsetof(Op, about), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef op_methods[] = {
    {"fields", op_fields, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject op_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pyoci._ops.Op",
    .tp_basicsize = sizeof(Op),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = op_new,
    .tp_dealloc = op_dealloc,
    .tp_getattro = op_getattr,
    .tp_repr = op_repr,
    .tp_richcompare = op_compare,
    .tp_members = op_members,
    .tp_methods = op_methods,
};

/* -- the module ---------------------------------------------------------------------------------------------------- */

/* The size of all ops, or 0 where one of them is none. */
static size_t measure(PyObject *list) {
    size_t size = sizeof(struct plan_header);

    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(list); at++) {
        PyObject *item = PyList_GET_ITEM(list, at);
        bool whole = PyObject_TypeCheck(item, &op_type) && ((Op *)item)->code != OP_NONE;
        if (!expect(whole, "an op with its fields", item))
            return 0;
        size += ops[((Op *)item)->code].size;
    }
    return size;
}

static bool put_ops(struct encoder *encoder, PyObject *list, char *place) {
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(list); at++) {
        const Op *op = (Op *)PyList_GET_ITEM(list, at);
        const struct known *known = &ops[op->code];
        encoder->op = at;
        if (!known->put(encoder, &PyTuple_GET_ITEM(op->values, 0), place))
            return false;
        place += known->size;
    }
    return true;
}

/* encode(ops: list[Op], flags: int): the bytes that the init reads. Raises ValueError(index of the op, what is wrong). */
static PyObject *encode(PyObject *module, PyObject *arguments) {
    struct encoder encoder = {.text = NULL};
    struct plan_header header = {.magic = PLAN_MAGIC};
    PyObject *list, *bytes = NULL;
    char *head, *end;
    size_t size;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!I", &PyList_Type, &list, &header.flags))
        return NULL;
    size = measure(list);
    head = size ? PyMem_Calloc(1, size) : NULL;
    end = head ? extend(&encoder, 1) : NULL;
    if (!end)
        goto done;
    *end = '\0'; /* offset 0 is the empty string */
    if (!put_ops(&encoder, list, head + sizeof(header)))
        goto done;
    end = extend(&encoder, 1);
    if (!end)
        goto done;
    *end = '\0';
    header.size = (uint32_t)(size + encoder.size);
    header.count = (uint32_t)PyList_GET_SIZE(list);
    memcpy(head, &header, sizeof(header));
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(size + encoder.size));
    if (bytes) {
        memcpy(PyBytes_AS_STRING(bytes), head, size);
        memcpy(PyBytes_AS_STRING(bytes) + size, encoder.text, encoder.size);
    }
done:
    if (!bytes && !PyErr_Occurred())
        PyErr_NoMemory();
    PyMem_Free(head);
    PyMem_Free(encoder.text);
    return bytes;
}

#define OP(name, error, fields)                                                                                             \
    static PyObject *make_##name(PyObject *module, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {         \
        (void)module;                                                                                                       \
        return make(OP_##name, arguments, count, names);                                                                    \
    }
#include "../ops.def"

static PyMethodDef functions[] = {
#define OP(name, error, fields) {#name, (PyCFunction)(void (*)(void))make_##name, METH_FASTCALL | METH_KEYWORDS, NULL},
#include "../ops.def"
    {"encode", encode, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int add(PyObject *module, const char *name, PyObject *value) {
    int result = value ? PyModule_AddObjectRef(module, name, value) : -1;

    Py_XDECREF(value);
    return result;
}

static PyObject *all_ops(void) {
    PyObject *found = PyDict_New();

    for (int code = OP_NONE + 1; found && code < OP_COUNT; code++) {
        PyObject *row = know(&ops[code]);
        if (!row || PyDict_SetItem(found, ops[code].symbol, row))
            Py_CLEAR(found);
        Py_XDECREF(row);
    }
    return found;
}

static PyObject *all_steps(void) {
    PyObject *found = PyTuple_New(STEP_COUNT);

    for (int step = STEP_NONE; found && step < STEP_COUNT; step++) {
        PyObject *name = PyUnicode_InternFromString(steps[step]);
        if (name)
            PyTuple_SET_ITEM(found, step, name);
        else
            Py_CLEAR(found);
    }
    return found;
}

static int fill(PyObject *module) {
    nothing = PyUnicode_New(0, 0);
    if (!nothing || PyType_Ready(&op_type) || PyModule_AddObjectRef(module, "Op", (PyObject *)&op_type))
        return -1;
    return add(module, "OPS", all_ops()) || add(module, "STEPS", all_steps()) ? -1 : 0;
}

PyMODINIT_FUNC PyInit__ops(void) {
    static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_ops", .m_methods = functions,
                                            .m_slots = slots};
    return PyModuleDef_Init(&definition);
}
