#include "labelquorum/signatures.hpp"

#include <pybind11/stl.h>

#include "common.hpp"

namespace labelquorum::bindings {
namespace {

template <class Id>
void update(SignatureTable& table, const py::list& columns, Array<Id>& out,
            const std::optional<Array<std::uint8_t>>& eligible, int n_threads,
            const py::object& progress) {
    const Partitions partitions = view_columns(columns);
    Id* ids = writable(out, partitions.n_rows, "out");
    const std::uint8_t* chosen = readable(eligible, partitions.n_rows, "eligible");
    run_kernel(n_threads, progress,
               [&](const Executor& executor) { table.update(partitions, ids, executor, chosen); });
}

void update_counted(SignatureTable& table, const py::list& columns,
                    const Array<std::int64_t>& counts, Array<std::int32_t>& out, int n_threads,
                    const py::object& progress) {
    const Partitions rows = view_columns(columns);
    const std::int64_t* weights = readable(std::optional(counts), rows.n_rows, "counts");
    std::int32_t* ids = writable(out, rows.n_rows, "out");
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        table.update_counted(rows, weights, ids, executor);
    });
}

py::array_t<std::int32_t> merge(SignatureTable& table, const SignatureTable& other, int n_threads,
                                const py::object& progress) {
    return to_array(run_kernel(n_threads, progress, [&](const Executor& executor) {
        return table.merge(other, executor);
    }));
}

Array<std::int32_t> lookup(const SignatureTable& table, const py::list& columns, int n_threads,
                           const py::object& progress) {
    const Partitions partitions = view_columns(columns);
    Array<std::int32_t> out(static_cast<py::ssize_t>(partitions.n_rows));
    std::int32_t* ids = out.mutable_data();
    run_kernel(n_threads, progress,
               [&](const Executor& executor) { table.lookup(partitions, ids, executor); });
    return out;
}

template <class Value>
void expand_ids(const Array<std::int32_t>& ids, const Array<Value>& values, Value missing,
                Array<Value>& out, int n_threads, const py::object& progress) {
    const auto n = static_cast<std::size_t>(ids.size());
    const std::int32_t* from = readable(std::optional(ids), n, "ids");
    const auto n_values = static_cast<std::size_t>(values.size());
    const Value* table = readable(std::optional(values), n_values, "values");
    Value* to = writable(out, n, "out");
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        expand(from, n, table, n_values, missing, to, executor);
    });
}

}  // namespace

void register_signatures(py::module_& module) {
    using namespace py::literals;
    py::class_<SignatureTable>(module, "SignatureTable")
        .def(py::init<std::size_t>(), "n_partitions"_a)
        .def("__len__", &SignatureTable::size, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("n_partitions", &SignatureTable::n_partitions)
        .def_property_readonly(
            "n_samples",
            py::cpp_function(&SignatureTable::n_samples, py::call_guard<py::gil_scoped_release>()))
        .def_property_readonly(
            "n_bytes",
            py::cpp_function(&SignatureTable::n_bytes, py::call_guard<py::gil_scoped_release>()))
        .def("update", &update<std::int32_t>, "columns"_a, "out"_a.noconvert(),
             "eligible"_a.noconvert(), "n_threads"_a, "progress"_a)
        .def("update", &update<std::int64_t>, "columns"_a, "out"_a.noconvert(),
             "eligible"_a.noconvert(), "n_threads"_a, "progress"_a)
        .def("update_counted", &update_counted, "columns"_a, "counts"_a.noconvert(),
             "out"_a.noconvert(), "n_threads"_a, "progress"_a)
        .def("merge", &merge, "other"_a, "n_threads"_a, "progress"_a)
        .def("lookup", &lookup, "columns"_a, "n_threads"_a, "progress"_a)
        .def(
            "signatures",
            [](const SignatureTable& table, int n_threads) {
                auto rows = run_kernel(n_threads, py::none(), [&](const Executor& executor) {
                    return table.signatures(executor);
                });
                const auto m = static_cast<py::ssize_t>(table.n_partitions());
                const auto n = static_cast<py::ssize_t>(rows.size()) / m;
                return to_array(std::move(rows), {n, m});
            },
            "n_threads"_a)
        .def("counts",
             [](const SignatureTable& table) {
                 std::vector<std::int64_t> counts;
                 {
                     const py::gil_scoped_release unlock;
                     counts = table.counts();
                 }
                 return to_array(std::move(counts));
             })
        .def(
            "copy", [](const SignatureTable& table) { return SignatureTable(table); },
            py::call_guard<py::gil_scoped_release>());
    module.def("expand", &expand_ids<std::int32_t>, "ids"_a.noconvert(), "values"_a.noconvert(),
               "missing"_a, "out"_a.noconvert(), "n_threads"_a, "progress"_a);
    module.def("expand", &expand_ids<std::int64_t>, "ids"_a.noconvert(), "values"_a.noconvert(),
               "missing"_a, "out"_a.noconvert(), "n_threads"_a, "progress"_a);
}

}  // namespace labelquorum::bindings
