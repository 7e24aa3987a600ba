#include "labelquorum/codebooks.hpp"

#include "points.hpp"

namespace labelquorum::bindings {
namespace {

// Views the codebooks; valid as long as the lists. columns: for each codebook, the numbers of its
// columns, or None for all.
std::vector<Codebook> view_codebooks(const py::list& centers, const py::list& columns) {
    if (centers.size() != columns.size()) {
        throw std::invalid_argument("columns must have one item per codebook, " +
                                    std::to_string(centers.size()) + ", got " +
                                    std::to_string(columns.size()) + ".");
    }
    std::vector<Codebook> codebooks;
    for (std::size_t i = 0; i < centers.size(); ++i) {
        const py::handle item = centers[i];
        if (!py::isinstance<py::array>(item)) {
            throw py::type_error("codebooks must be a list of NumPy arrays.");
        }
        const std::string name = "codebooks[" + std::to_string(i) + "]";
        codebooks.push_back(
            {view_points(py::reinterpret_borrow<py::array>(item), name.c_str()), {}});
        const py::handle chosen = columns[i];
        if (chosen.is_none()) continue;
        if (!py::isinstance<Array<std::int64_t>>(chosen)) {
            throw py::type_error("columns must be a list whose items are None or int64 arrays.");
        }
        const auto numbers = py::reinterpret_borrow<Array<std::int64_t>>(chosen);
        const auto n = static_cast<std::size_t>(numbers.size());
        const std::int64_t* data = readable(std::optional(numbers), n, "columns");
        if (n == 0) {
            throw std::invalid_argument("columns[" + std::to_string(i) +
                                        "] must hold at least 1 number, got 0.");
        }
        for (std::size_t c = 0; c < n; ++c) {
            codebooks.back().columns.push_back(static_cast<std::size_t>(data[c]));
        }
    }
    return codebooks;
}

template <class Label>
void assign(const py::array& rows_array, const py::list& centers, const py::list& columns,
            const std::string& metric_name, Array<Label>& out, int n_threads,
            const py::object& progress) {
    const Points rows = view_points(rows_array, "X");
    const std::vector<Codebook> codebooks = view_codebooks(centers, columns);
    const Metric metric = metric_of(metric_name);
    Label* labels = writable(out, rows.n_rows * codebooks.size(), "out");
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        assign_codebooks(rows, codebooks, metric, labels, executor);
    });
}

template <class Id>
void assign_ids(const py::array& rows_array, const py::list& centers, const py::list& columns,
                const std::string& metric_name, SignatureTable& table, Array<Id>& out,
                int n_threads, const py::object& progress) {
    const Points rows = view_points(rows_array, "X");
    const std::vector<Codebook> codebooks = view_codebooks(centers, columns);
    const Metric metric = metric_of(metric_name);
    Id* ids = writable(out, rows.n_rows, "out");
    run_kernel(n_threads, progress, [&](const Executor& executor) {
        assign_signatures(rows, codebooks, metric, table, ids, executor);
    });
}

template <class Label>
void register_assign(py::module_& module) {
    using namespace py::literals;
    module.def("assign_codebooks", &assign<Label>, "rows"_a, "centers"_a, "columns"_a, "metric"_a,
               "out"_a.noconvert(), "n_threads"_a, "progress"_a);
}

template <class Id>
void register_assign_ids(py::module_& module) {
    using namespace py::literals;
    module.def("assign_signatures", &assign_ids<Id>, "rows"_a, "centers"_a, "columns"_a, "metric"_a,
               "table"_a, "out"_a.noconvert(), "n_threads"_a, "progress"_a);
}

}  // namespace

void register_codebooks(py::module_& module) {
    register_assign<std::int16_t>(module);
    register_assign<std::int32_t>(module);
    register_assign_ids<std::int32_t>(module);
    register_assign_ids<std::int64_t>(module);
}

}  // namespace labelquorum::bindings
