#include "labelquorum/executor.hpp"

#include <pybind11/stl.h>

#include "common.hpp"
#include "labelquorum/instruction_sets.hpp"
#include "labelquorum/version.hpp"

namespace labelquorum::bindings {
namespace {

IntegerType integer_type(const py::dtype& type) {
    const bool is_signed = type.kind() == 'i';
    if (is_signed || type.kind() == 'u') {
        switch (type.itemsize()) {
            case 1: return is_signed ? IntegerType::i8 : IntegerType::u8;
            case 2: return is_signed ? IntegerType::i16 : IntegerType::u16;
            case 4: return is_signed ? IntegerType::i32 : IntegerType::u32;
            case 8: return is_signed ? IntegerType::i64 : IntegerType::u64;
            default: break;
        }
    }
    throw py::type_error("columns must be arrays of integers, got " +
                         std::string(py::str(static_cast<py::object>(type))) + ".");
}

std::string compiler() {
#if defined(__clang__)
    return "Clang " __clang_version__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#elif defined(_MSC_VER)
    return "MSVC " + std::to_string(_MSC_VER);
#else
    return "unknown";
#endif
}

}  // namespace

Partitions view_columns(const py::list& columns) {
    Partitions partitions;
    for (const py::handle item : columns) {
        if (!py::isinstance<py::array>(item)) {
            throw py::type_error("columns must be a list of NumPy arrays.");
        }
        const auto array = py::reinterpret_borrow<py::array>(item);
        const IntegerType type = integer_type(array.dtype());
        const char order = array.dtype().byteorder();
        if (array.ndim() != 1 || !(order == '=' || order == '|')) {
            throw std::invalid_argument("columns must be 1-D arrays in native byte order.");
        }
        const auto n = static_cast<std::size_t>(array.shape(0));
        if (!partitions.columns.empty() && n != partitions.n_rows) {
            throw std::invalid_argument("columns must have the same length, got " +
                                        std::to_string(partitions.n_rows) + " and " +
                                        std::to_string(n) + ".");
        }
        partitions.n_rows = n;
        partitions.columns.push_back({array.data(), array.strides(0), type});
    }
    return partitions;
}

void register_executor(py::module_& module) {
    static py::exception<WorkLimitError> work_limit(module, "WorkLimitError", PyExc_RuntimeError);
    work_limit.doc() =
        "The work would exceed a stated limit. The message says by how much and what to change.";
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(std::move(error));
        } catch (const WorkLimitError& e) {
            py::set_error(work_limit, e.what());
        } catch (const MemoryLimitError& e) {
            py::set_error(PyExc_MemoryError, e.what());
        } catch (const std::bad_alloc&) {
            py::set_error(PyExc_MemoryError, "the system has no more memory for this process.");
        } catch (const std::out_of_range& e) {
            py::set_error(PyExc_ValueError, e.what());
        }
    });
    module.def("default_n_threads", &default_n_threads);
    module.def("available_n_threads", &available_n_threads);
    module.def("available_memory", &available_memory);
    module.def(
        "instruction_set", [] { return name(instruction_set()); },
        "The instruction set in use: \"baseline\", \"avx2\", \"avx512\", \"avx512_bf16\" or "
        "\"amx\".\n\n"
        "It is the widest one that the CPU has, unless the environment variable\n"
        "LABELQUORUM_INSTRUCTION_SET names another.");
    module.def("compiled_instruction_sets", &compiled_instruction_sets);
    module.def("build_info", [] {
        return std::map<std::string, std::string>{{"version", version},
                                                  {"compiler", compiler()},
                                                  {"C++ standard", std::to_string(__cplusplus)},
                                                  {"build type", LABELQUORUM_BUILD_TYPE}};
    });
    instruction_set();  // so that importing fails if the environment variable is wrong
}

}  // namespace labelquorum::bindings
