/* The floor of Python's protocols: C that does nothing. A context manager whose type is called by vectorcall and takes
 * its objects from a free list, and empty functions. Built for the interpreter that runs the bench, not for the stable
 * ABI, so that nothing stands between it and the least that a call can cost. */

#include <Python.h>

typedef struct {
    PyObject_HEAD
} Manager;

#define KEPT 64
static Manager *kept[KEPT];
static int kept_count;
static PyTypeObject manager_type;

static PyObject *manager_vectorcall(PyObject *type, PyObject *const *args, size_t count, PyObject *keywords)
{
    Manager *manager;
    if (kept_count > 0) {
        manager = kept[--kept_count];
        PyObject_Init((PyObject *)manager, &manager_type);
        return (PyObject *)manager;
    }
    return (PyObject *)PyObject_New(Manager, &manager_type);
}

static void manager_dealloc(PyObject *self)
{
    if (kept_count < KEPT)
        kept[kept_count++] = (Manager *)self;
    else
        PyObject_Free(self);
}

static PyObject *manager_enter(PyObject *self, PyObject *unused)
{
    Py_INCREF(self);
    return self;
}

static PyObject *manager_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_RETURN_NONE;
}

static PyObject *nothing(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static PyObject *one(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_RETURN_NONE;
}

static PyMethodDef manager_methods[] = {
    {"__enter__", manager_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))manager_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject manager_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "floor.Manager",
    .tp_basicsize = sizeof(Manager),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = manager_dealloc,
    .tp_methods = manager_methods,
    .tp_vectorcall = manager_vectorcall,
    .tp_new = PyType_GenericNew,
};

static PyMethodDef functions[] = {
    {"nothing", nothing, METH_NOARGS, NULL},
    {"one", (PyCFunction)(void (*)(void))one, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_floor(void)
{
    PyObject *made;
    if (PyType_Ready(&manager_type) < 0)
        return NULL;
    made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
    Py_INCREF(&manager_type);
    if (PyModule_AddObject(made, "Manager", (PyObject *)&manager_type) < 0)
        return NULL;
    return made;
}
